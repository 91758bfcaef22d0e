package ledgertest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"affidavit/lineage"
	"affidavit/migrations"
)

// Vandal changes single values behind the ledger, with all rules lifted, as
// somebody with full rights on the database could.
type Vandal struct {
	T  testing.TB
	DB *lineage.Database
}

// NewVandal lifts the rules for good: triggers, foreign keys, checks.
func NewVandal(t testing.TB, db *lineage.Database) *Vandal {
	t.Helper()
	v := &Vandal{t, db}
	if db.Dialect() == lineage.Postgres {
		v.exec(nil, "ALTER TABLE cur_head DROP CONSTRAINT cur_head_id_check")
		return v
	}
	rows, err := db.SQL().Query("SELECT name FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	rows.Close()
	for _, n := range names {
		v.exec(nil, "DROP TRIGGER "+n)
	}
	return v
}

func (v *Vandal) exec(conn *sql.Conn, q string, args ...any) {
	v.T.Helper()
	var err error
	if conn != nil {
		_, err = conn.ExecContext(context.Background(), q, args...)
	} else {
		_, err = v.DB.SQL().Exec(q, args...)
	}
	if err != nil {
		v.T.Fatalf("%s: %v", q, err)
	}
}

// lawless runs statements without foreign keys and rules, on one connection.
func (v *Vandal) lawless(fn func(*sql.Conn)) {
	v.T.Helper()
	conn, err := v.DB.SQL().Conn(context.Background())
	if err != nil {
		v.T.Fatal(err)
	}
	defer conn.Close()
	lift, restore := []string{"PRAGMA foreign_keys=0", "PRAGMA ignore_check_constraints=1"}, []string{"PRAGMA foreign_keys=1", "PRAGMA ignore_check_constraints=0"}
	if v.DB.Dialect() == lineage.Postgres {
		lift, restore = []string{"SET session_replication_role = replica"}, []string{"SET session_replication_role = DEFAULT"}
	}
	for _, q := range lift {
		v.exec(conn, q)
	}
	fn(conn)
	for _, q := range restore {
		v.exec(conn, q)
	}
}

// Columns lists a table's columns and the positions of its primary key.
func (v *Vandal) Columns(table string) (names []string, keys []string) {
	v.T.Helper()
	q := "SELECT name, pk FROM pragma_table_info('" + table + "') ORDER BY cid"
	if v.DB.Dialect() == lineage.Postgres {
		q = `SELECT a.attname, COALESCE(array_position(i.indkey::int2[], a.attnum), -1) + 1 FROM pg_attribute a
			JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
			WHERE a.attrelid = '` + table + `'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`
	}
	rows, err := v.DB.SQL().Query(q)
	if err != nil {
		v.T.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		var pk int
		if err := rows.Scan(&n, &pk); err != nil {
			v.T.Fatal(err)
		}
		names = append(names, n)
		if pk > 0 {
			keys = append(keys, n)
		}
	}
	return names, keys
}

// Change is one value that was changed.
type Change struct {
	Table, Column string
	// Rows are its key as audit shows it, before the change and after.
	Rows [2]string
	undo func()
}

// Undo puts the old value back.
func (c Change) Undo() { c.undo() }

// Change alters one column of the middle row of a table.
func (v *Vandal) Change(table, column string) Change {
	v.T.Helper()
	names, keys := v.Columns(table)
	row := v.middle(table, names, keys)
	value := func(name string) any { return row[slices.Index(names, name)] }
	var where []string
	var shown [2][]string
	var oldKey, newKey []any
	old, new := value(column), altered(value(column))
	for i, k := range keys {
		where = append(where, fmt.Sprintf("%s = $%d", k, i+2))
		oldKey = append(oldKey, value(k))
		if k == column {
			newKey = append(newKey, new)
		} else {
			newKey = append(newKey, value(k))
		}
		shown[0], shown[1] = append(shown[0], showKey(oldKey[i])), append(shown[1], showKey(newKey[i]))
	}
	q := "UPDATE " + table + " SET " + column + " = $1 WHERE " + strings.Join(where, " AND ")
	v.lawless(func(c *sql.Conn) { v.exec(c, q, append([]any{new}, oldKey...)...) })
	return Change{Table: table, Column: column, Rows: [2]string{strings.Join(shown[0], " / "), strings.Join(shown[1], " / ")}, undo: func() {
		v.lawless(func(c *sql.Conn) { v.exec(c, q, append([]any{old}, newKey...)...) })
	}}
}

// middle reads the row in the middle of a table, in the order of its key.
func (v *Vandal) middle(table string, names, keys []string) []any {
	v.T.Helper()
	row, ptr := make([]any, len(names)), make([]any, len(names))
	for i := range row {
		ptr[i] = &row[i]
	}
	q := fmt.Sprintf("SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET (SELECT COUNT(*) / 2 FROM %s)", strings.Join(names, ", "), table, strings.Join(keys, ", "), table)
	if err := v.DB.SQL().QueryRow(q).Scan(ptr...); err != nil {
		v.T.Fatalf("%s: %v", q, err)
	}
	return row
}

// altered is another value of the same type.
func altered(v any) any {
	switch x := v.(type) {
	case nil:
		return int64(5) // the columns that may be empty hold log indexes
	case int64:
		return x + 1_000_000
	case float64:
		return x + 0.5
	case string:
		return x + "x"
	case []byte:
		y := slices.Clone(x)
		y[len(y)/2] ^= 1
		return y
	}
	return v
}

func showKey(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

func (c Change) String() string { return fmt.Sprintf("%s of %s %s", c.Column, c.Table, c.Rows[0]) }

// Named says whether the report names the change's table and row. When the
// key itself was changed, the row is known by the new one only. A statement
// and the leaf with its signature vouch for each other: that the signature
// fails may be put down to either.
func (c Change) Named(rep *lineage.AuditReport) bool {
	return slices.ContainsFunc(rep.Differences, func(d lineage.Difference) bool {
		pair := c.Table == "leaves" && c.Column == "body" && d.Table == "payloads"
		return (d.Table == c.Table || pair) && slices.Contains(c.Rows[:], d.Row)
	})
}

// auditEveryColumn: one changed value anywhere is found and named.
func auditEveryColumn(t *testing.T, open Open) {
	w := full(t, open)
	audited(w)
	w.Close()
	v := NewVandal(t, w.DB)
	audit := func(repair bool) (*lineage.AuditReport, error) {
		return lineage.Audit(context.Background(), lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.Keys.TrustedRoot(), Repair: repair})
	}
	check := func(changes []Change) {
		t.Helper()
		rep, err := audit(false)
		if err != nil {
			t.Errorf("%v: %v", changes, err)
			rep = &lineage.AuditReport{}
		}
		for _, c := range changes {
			if err == nil && !c.Named(rep) {
				t.Errorf("%s was changed, audit names only %d others: %v", c, len(rep.Differences), rep.Differences[:min(8, len(rep.Differences))])
			}
		}
		for _, c := range slices.Backward(changes) {
			c.Undo()
		}
	}
	// The log's own tables one column at a time, since the replay rests on them.
	var projected []string
	for _, tables := range [][]string{migrations.Governed, migrations.Current, {"payloads"}} {
		for _, table := range tables {
			if !logTable(table) {
				projected = append(projected, table)
				continue
			}
			names, _ := v.Columns(table)
			for _, column := range names {
				check([]Change{v.Change(table, column)})
			}
		}
	}
	// Projections are only compared: the nth column of all of them at once.
	for n, more := 0, true; more; n++ {
		var changes []Change
		for _, table := range projected {
			if names, _ := v.Columns(table); n < len(names) {
				changes = append(changes, v.Change(table, names[n]))
			}
		}
		if more = len(changes) > 0; more {
			check(changes)
		}
	}
	if rep, err := audit(false); err != nil || !rep.OK() {
		t.Fatalf("the changes were undone: %v %v", err, rep.Differences)
	}
	repairs(t, v, audit)
}

// repairs: cur_ tables come back from the log, governed ones never.
func repairs(t *testing.T, v *Vandal, audit func(bool) (*lineage.AuditReport, error)) {
	for _, table := range migrations.Current {
		names, _ := v.Columns(table)
		v.Change(table, names[len(names)-1])
	}
	rep, err := audit(true)
	if err != nil || !rep.OK() || !slices.Equal(slices.Sorted(slices.Values(rep.Repaired)), slices.Sorted(slices.Values(migrations.Current))) {
		t.Fatalf("repair: %v %+v", err, rep)
	}
	if rep, err := audit(false); err != nil || !rep.OK() {
		t.Fatalf("after the repair: %v %+v", err, rep)
	}
	c := v.Change("versions", "model")
	v.Change("cur_stages", "version")
	if rep, err := audit(true); lineage.CodeOf(err) != lineage.CodeRefused || rep.OK() || !c.Named(rep) {
		t.Errorf("a governed table was edited: %v %+v", err, rep)
	}
	if rep, err := audit(false); err != nil || !c.Named(rep) || !slices.ContainsFunc(rep.Differences, func(d lineage.Difference) bool { return d.Table == "cur_stages" }) {
		t.Errorf("the refused repair changed something: %v %+v", err, rep)
	}
}
