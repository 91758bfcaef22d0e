package lineage

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"

	"affidavit/migrations"
)

// table is what the comparison needs to know of one; read from the scratch
// database, whose schema has the binary's version.
type table struct {
	name    string
	columns []column
	keys    []int // positions of the primary key
}

type column struct {
	name string
	text bool
}

func describe(ctx context.Context, d *Database, name string) (table, error) {
	t := table{name: name}
	rows, err := d.write.QueryContext(ctx, "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", name)
	if err != nil {
		return t, err
	}
	defer rows.Close()
	for rows.Next() {
		var c, typ string
		var pk int
		if err := rows.Scan(&c, &typ, &pk); err != nil {
			return t, err
		}
		if pk > 0 {
			t.keys = append(t.keys, len(t.columns))
		}
		t.columns = append(t.columns, column{c, typ == "TEXT"})
	}
	return t, rows.Err()
}

// query reads the table in key order; text keys sort by bytes on both databases.
func (t table) query(dialect string) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	order := make([]string, len(t.keys))
	for i, k := range t.keys {
		order[i] = t.columns[k].name
		if t.columns[k].text && dialect == Postgres {
			order[i] += ` COLLATE "C"`
		}
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + t.name + " ORDER BY " + strings.Join(order, ", ")
}

// compareAll compares every governed and cur_ table, and the payloads' keys.
func (a *auditor) compareAll(ctx context.Context) error {
	for _, group := range [][]string{migrations.Governed, migrations.Current, {"payloads"}} {
		for _, name := range group {
			t, err := describe(ctx, a.scratch, name)
			if err != nil {
				return err
			}
			if err := a.compare(ctx, t); err != nil {
				return fmt.Errorf("compare %s: %w", name, err)
			}
			a.rep.Tables++
		}
	}
	return nil
}

// cursor steps through one side.
type cursor struct {
	rows *sql.Rows
	t    table
	row  []any
}

func (c *cursor) next() error {
	c.row = nil
	if !c.rows.Next() {
		return c.rows.Err()
	}
	row := make([]any, len(c.t.columns))
	ptr := make([]any, len(row))
	for i := range row {
		ptr[i] = &row[i]
	}
	if err := c.rows.Scan(ptr...); err != nil {
		return err
	}
	c.row = row
	return nil
}

// key renders the primary key for people.
func (c *cursor) key() string {
	parts := make([]string, len(c.t.keys))
	for i, k := range c.t.keys {
		parts[i] = show(c.row[k])
	}
	return strings.Join(parts, " / ")
}

// order compares the keys of two rows.
func (t table) order(a, b []any) int {
	for _, k := range t.keys {
		if c := compareValue(a[k], b[k]); c != 0 {
			return c
		}
	}
	return 0
}

// compare merges both sides in key order and names each row that differs.
func (a *auditor) compare(ctx context.Context, t table) error {
	live, err := a.live.q.QueryContext(ctx, t.query(a.live.d.dialect))
	if err != nil {
		return err
	}
	defer live.Close()
	replayed, err := a.scratch.write.QueryContext(ctx, t.query(SQLite))
	if err != nil {
		return err
	}
	defer replayed.Close()
	l, s := &cursor{rows: live, t: t}, &cursor{rows: replayed, t: t}
	if err := l.next(); err != nil {
		return err
	}
	if err := s.next(); err != nil {
		return err
	}
	for l.row != nil || s.row != nil {
		var err error
		switch {
		case s.row == nil || l.row != nil && t.order(l.row, s.row) < 0:
			a.differ(t.name, l.key(), "", "the log knows no such row")
			err = l.next()
		case l.row == nil || t.order(l.row, s.row) > 0:
			a.differ(t.name, s.key(), "", "the row is missing")
			err = s.next()
		default:
			a.rep.Rows++
			for i, c := range t.columns {
				if compareValue(l.row[i], s.row[i]) != 0 {
					a.differ(t.name, l.key(), c.name, "holds %s, the log says %s", show(l.row[i]), show(s.row[i]))
				}
			}
			if err = l.next(); err == nil {
				err = s.next()
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compareValue orders the values that the two drivers return for our columns.
func compareValue(a, b any) int {
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return cmpOrdered(x, y)
		}
	case float64:
		if y, ok := b.(float64); ok {
			return cmpOrdered(x, y)
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case []byte:
		if y, ok := b.([]byte); ok {
			return bytes.Compare(x, y)
		}
	case nil:
		if b == nil {
			return 0
		}
	}
	if a == nil {
		return -1
	}
	return 1
}

func cmpOrdered[T int64 | float64](x, y T) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func show(v any) string {
	switch x := v.(type) {
	case nil:
		return "nothing"
	case []byte:
		if len(x) > 16 {
			return hex.EncodeToString(x[:16]) + "…"
		}
		return hex.EncodeToString(x)
	case string:
		if len(x) > 80 {
			return fmt.Sprintf("%q…", x[:80])
		}
		return fmt.Sprintf("%q", x)
	}
	return fmt.Sprint(v)
}
