package lineage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"affidavit/migrations"
)

// repair replaces each cur_ table that differs by the replayed one, in one
// transaction under the head lock, and only if the log has not grown since.
// Governed tables are never repaired: what was edited there needs a backup.
func (a *auditor) repair(ctx context.Context) error {
	var broken []string
	var left []Difference
	for _, d := range a.rep.Differences {
		if !slices.Contains(migrations.Current, d.Table) {
			left = append(left, d)
		} else if !slices.Contains(broken, d.Table) {
			broken = append(broken, d.Table)
		}
	}
	if len(broken) == 0 {
		return nil
	}
	if a.rep.Omitted > 0 || len(left) > 0 {
		return Errf(CodeRefused, "repair", "%d differences are outside the cur_ tables; the log itself must be whole first", len(left)+a.rep.Omitted).
			WithRemedy("restore the database from a backup and audit again")
	}
	tx, err := a.cfg.DB.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if a.cfg.DB.dialect == Postgres {
		if _, err := tx.ExecContext(ctx, "SELECT id FROM cur_head FOR UPDATE"); err != nil {
			return err
		}
	}
	var leaves int64
	if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM leaves").Scan(&leaves); err != nil {
		return err
	}
	if leaves != a.total {
		return Errf(CodeConflict, "repair", "the log grew from %d to %d entries meanwhile", a.total, leaves).WithRemedy("audit again")
	}
	for _, name := range broken {
		if err := a.replace(ctx, tx, name); err != nil {
			return fmt.Errorf("repair %s: %w", name, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	a.rep.Repaired, a.rep.Differences = broken, left
	return nil
}

func (a *auditor) replace(ctx context.Context, tx *sql.Tx, name string) error {
	t, err := describe(ctx, a.scratch, name)
	if err != nil {
		return err
	}
	restore, err := a.suspendTriggers(ctx, tx, name)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM "+name); err != nil {
		return err
	}
	rows, err := a.scratch.write.QueryContext(ctx, t.query(SQLite))
	if err != nil {
		return err
	}
	defer rows.Close()
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	c := &cursor{rows: rows, t: t}
	for {
		if err := c.next(); err != nil {
			return err
		}
		if c.row == nil {
			return restore()
		}
		if err := multiInsert(ctx, a.cfg.DB, tx, name, strings.Join(names, ", "), len(names), c.row); err != nil {
			return err
		}
	}
}

// suspendTriggers lifts the rules of a cur_ table (only the head has some)
// inside the transaction; the function it returns puts them back.
func (a *auditor) suspendTriggers(ctx context.Context, tx *sql.Tx, name string) (func() error, error) {
	if a.cfg.DB.dialect == Postgres {
		if _, err := tx.ExecContext(ctx, "ALTER TABLE "+name+" DISABLE TRIGGER USER"); err != nil {
			return nil, err
		}
		return func() error {
			_, err := tx.ExecContext(ctx, "ALTER TABLE "+name+" ENABLE TRIGGER USER")
			return err
		}, nil
	}
	rows, err := tx.QueryContext(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names, texts []string
	for rows.Next() {
		var n, text string
		if err := rows.Scan(&n, &text); err != nil {
			return nil, err
		}
		names, texts = append(names, n), append(texts, text)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	for _, n := range names {
		if _, err := tx.ExecContext(ctx, "DROP TRIGGER "+n); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, text := range texts {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
