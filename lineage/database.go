package lineage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite" // driver "sqlite"

	"affidavit/migrations"
)

// Dialects.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Database is one store of the ledger: a writer and a reader side.
type Database struct {
	dialect string
	write   *sql.DB
	read    *sql.DB
	// wgorm and rgorm are gorm over the same pools; statements inside a
	// transaction run on a session whose pool is that transaction.
	wgorm, rgorm *gorm.DB
}

// Dialect is "sqlite" or "postgres".
func (d *Database) Dialect() string { return d.dialect }

// Close closes both sides, the writer last: on SQLite the last connection to
// go moves the write-ahead log into the file, which a read-only one cannot.
func (d *Database) Close() error {
	var err error
	if d.read != d.write {
		err = d.read.Close()
	}
	return errors.Join(err, d.write.Close())
}

// SQL returns the writer pool, for tests that attack the tables from outside
// and for backup tools. Nothing in the product writes through it.
func (d *Database) SQL() *sql.DB { return d.write }

// OpenSQLite opens (or makes) the file at path: one writer connection with
// synchronous=FULL, which is asserted, and a pool of read-only ones.
func OpenSQLite(ctx context.Context, path string) (*Database, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "cannot make its directory", Err: err}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "no absolute path", Err: err}
	}
	file := (&url.URL{Scheme: "file", Path: abs}).String()
	pragmas := "_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=recursive_triggers(1)&_pragma=synchronous(FULL)&_pragma=journal_mode(WAL)&_pragma=trusted_schema(0)"
	w, err := sql.Open("sqlite", file+"?_txlock=immediate&"+pragmas)
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "cannot open " + path, Err: err}
	}
	w.SetMaxOpenConns(1)
	var sync, rec int
	if err := w.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		w.Close()
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "cannot open " + path, Err: err}
	}
	if err := w.QueryRowContext(ctx, "PRAGMA recursive_triggers").Scan(&rec); err != nil || sync != 2 || rec != 1 {
		w.Close()
		return nil, Errf(CodeUnavailable, "database", "synchronous=FULL and recursive_triggers=ON do not hold (got %d, %d)", sync, rec)
	}
	r, err := sql.Open("sqlite", file+"?mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)&_pragma=trusted_schema(0)")
	if err != nil {
		w.Close()
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "cannot open a reader", Err: err}
	}
	r.SetMaxOpenConns(8)
	return newDatabase(SQLite, w, r)
}

// OpenPostgres opens a PostgreSQL database by DSN (URL or key=value form).
func OpenPostgres(ctx context.Context, dsn string) (*Database, error) {
	w, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "the DSN does not parse", Err: err}
	}
	w.SetMaxOpenConns(4)
	if err := w.PingContext(ctx); err != nil {
		w.Close()
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "PostgreSQL does not answer", Err: err}
	}
	r, err := sql.Open("pgx", dsn)
	if err != nil {
		w.Close()
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "the DSN does not parse", Err: err}
	}
	r.SetMaxOpenConns(8)
	return newDatabase(Postgres, w, r)
}

func newDatabase(dialect string, w, r *sql.DB) (*Database, error) {
	d := &Database{dialect: dialect, write: w, read: r}
	open := func(pool *sql.DB) (*gorm.DB, error) {
		cfg := &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true}
		if dialect == Postgres {
			return gorm.Open(postgres.New(postgres.Config{Conn: pool}), cfg)
		}
		return gorm.Open(sqlite.New(sqlite.Config{Conn: pool}), cfg)
	}
	var err error
	if d.wgorm, err = open(w); err == nil {
		d.rgorm = d.wgorm.Session(&gorm.Session{NewDB: true})
	}
	if err != nil {
		d.Close()
		return nil, &Error{Code: CodeUnavailable, Field: "database", Message: "gorm refuses it", Err: err}
	}
	return d, nil
}

// session returns gorm bound to one transaction.
func session(base *gorm.DB, ctx context.Context, tx gorm.ConnPool) *gorm.DB {
	s := base.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
	s.Statement.ConnPool = tx
	return s
}

// bind turns ? into $1… for PostgreSQL. Our SQL has no ? in literals.
func (d *Database) bind(q string) string {
	if d.dialect != Postgres {
		return q
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(q); i++ {
		if q[i] == '?' {
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteByte(q[i])
	}
	return b.String()
}

// provider is goose on this database; on PostgreSQL an advisory lock lets any
// number of servers start at once.
func (d *Database) provider() (*goose.Provider, error) {
	dialect, dir := goose.DialectSQLite3, "sqlite"
	opts := []goose.ProviderOption{goose.WithSlog(slog.New(slog.DiscardHandler))}
	if d.dialect == Postgres {
		dialect, dir = goose.DialectPostgres, "postgres"
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	sub, err := fs.Sub(migrations.FS, dir)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, d.write, sub, opts...)
}

// Migrate brings the schema to this binary's version. A database that is
// newer than the binary is left alone and refused.
func (d *Database) Migrate(ctx context.Context) error {
	if err := d.checkNotNewer(ctx); err != nil {
		return err
	}
	p, err := d.provider()
	if err != nil {
		return &Error{Code: CodeInternal, Field: "migrations", Message: "cannot be read", Err: err}
	}
	if _, err := p.Up(ctx); err != nil {
		return &Error{Code: CodeUnavailable, Field: "database", Message: "migration failed; nothing of it remains", Err: err}
	}
	return nil
}

// SchemaVersion returns the database's and the binary's newest migration.
func (d *Database) SchemaVersion(ctx context.Context) (have, want int64, err error) {
	p, err := d.provider()
	if err != nil {
		return 0, 0, err
	}
	for _, s := range p.ListSources() {
		want = max(want, s.Version)
	}
	var table int
	exists := "SELECT COUNT(*) FROM sqlite_master WHERE type='table' AND name='goose_db_version'"
	if d.dialect == Postgres {
		exists = "SELECT COUNT(*) FROM pg_tables WHERE schemaname=current_schema() AND tablename='goose_db_version'"
	}
	if err := d.write.QueryRowContext(ctx, exists).Scan(&table); err != nil || table == 0 {
		return 0, want, err
	}
	err = d.write.QueryRowContext(ctx, "SELECT COALESCE(MAX(version_id),0) FROM goose_db_version WHERE "+d.bool("is_applied")).Scan(&have)
	return have, want, err
}

func (d *Database) bool(col string) string {
	if d.dialect == Postgres {
		return col
	}
	return col + " = 1"
}

func (d *Database) checkNotNewer(ctx context.Context) error {
	have, want, err := d.SchemaVersion(ctx)
	if err != nil {
		return &Error{Code: CodeUnavailable, Field: "database", Message: "cannot read the schema version", Err: err}
	}
	if have > want {
		return Errf(CodeUnavailable, "database", "its schema is version %d, this binary knows %d", have, want).
			WithRemedy("run the newer affidavit, or restore the backup that fits this one")
	}
	return nil
}

// checkMigrated is for readers that must not migrate.
func (d *Database) checkMigrated(ctx context.Context) error {
	if err := d.checkNotNewer(ctx); err != nil {
		return err
	}
	have, want, err := d.SchemaVersion(ctx)
	if err != nil {
		return &Error{Code: CodeUnavailable, Field: "database", Message: "cannot read the schema version", Err: err}
	}
	if have < want {
		return Errf(CodeUnavailable, "database", "its schema is version %d, this binary needs %d", have, want).
			WithRemedy("run affidavit migrate")
	}
	return nil
}

// discard makes the pool forget a connection whose state is in doubt: after
// an interrupt SQLite falls back to autocommit without saying so.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

// multiInsert writes rows of equal width with as few statements as the
// parameter limit allows.
func multiInsert(ctx context.Context, d *Database, tx *sql.Tx, table, columns string, width int, args []any) error {
	const limit = 900 // parameters a statement; SQLite's oldest limit is 999
	per := max(1, limit/width)
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", width), ",") + ")"
	for len(args) > 0 {
		n := min(per, len(args)/width)
		q := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", table, columns, strings.TrimSuffix(strings.Repeat(row+",", n), ","))
		if _, err := tx.ExecContext(ctx, d.bind(q), args[:n*width]...); err != nil {
			return fmt.Errorf("insert into %s: %w", table, err)
		}
		args = args[n*width:]
	}
	return nil
}
