package demo

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/migrations"
	"affidavit/server/wire"
)

// TestAuditNamesEveryColumn changes one value of each column of each governed
// and cur_ table, and of the payloads, by SQL with the triggers off, one at a
// time on a fresh copy of the demo's database: audit must name that row.
func TestAuditNamesEveryColumn(t *testing.T) {
	dir, _ := live(t)
	text, err := os.ReadFile(filepath.Join(dir, "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := keys.ParseTrustedRoot(text)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := wire.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(filepath.Join(dir, "data", "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	tables := append(append(append([]string{}, migrations.Governed...), migrations.Current...), "payloads")
	empty := 0
	for _, table := range tables {
		columns := columnsOf(t, dir, table)
		if len(columns) == 0 {
			t.Fatalf("%s has no columns", table)
		}
		if !filled(t, dir, table) {
			empty++
			t.Logf("%s has no row in the demo; the ledger's own suite fills it", table)
			continue
		}
		for _, column := range columns {
			t.Run(table+"."+column, func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(t.TempDir(), "ledger.db")
				if err := os.WriteFile(file, original, 0o600); err != nil {
					t.Fatal(err)
				}
				key := change(t, file, table, column)
				named(t, file, root, kinds, table, key)
			})
		}
	}
	if empty > 3 {
		t.Errorf("%d tables are empty in the demo", empty)
	}
}

func open(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func columnsOf(t *testing.T, dir, table string) []string {
	t.Helper()
	rows, err := open(t, filepath.Join(dir, "data", "ledger.db")).Query("SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func filled(t *testing.T, dir, table string) bool {
	t.Helper()
	var n int
	if err := open(t, filepath.Join(dir, "data", "ledger.db")).QueryRow("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// change alters one value of the last row and returns that row's key, as audit
// prints it: the new key when the column is part of it.
func change(t *testing.T, file, table, column string) string {
	t.Helper()
	db := open(t, file)
	db.SetMaxOpenConns(1)
	exec := func(q string, args ...any) {
		t.Helper()
		if _, err := db.Exec(q, args...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec("PRAGMA foreign_keys=OFF")
	exec("PRAGMA ignore_check_constraints=ON")
	rows, err := db.Query("SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name=?", table)
	if err != nil {
		t.Fatal(err)
	}
	var triggers []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			t.Fatal(err)
		}
		triggers = append(triggers, n)
	}
	rows.Close()
	for _, n := range triggers {
		exec("DROP TRIGGER " + n)
	}
	var rowid int64
	var typ string
	if err := db.QueryRow(fmt.Sprintf("SELECT rowid, typeof(%s) FROM %s ORDER BY rowid DESC LIMIT 1", column, table)).Scan(&rowid, &typ); err != nil {
		t.Fatal(err)
	}
	value := map[string]string{
		"integer": column + " + 1000003", "real": column + " + 0.125", "null": "7", "text": column + " || 'x'",
		// The middle byte, inverted: outer bytes of a timestamp are framing.
		"blob": fmt.Sprintf("CAST(substr(%[1]s, 1, length(%[1]s)/2) || X'A5' || substr(%[1]s, length(%[1]s)/2 + 2) AS BLOB)", column),
	}[typ]
	isKey := false
	if err := db.QueryRow("SELECT pk > 0 FROM pragma_table_info(?) WHERE name = ?", table, column).Scan(&isKey); err != nil {
		t.Fatal(err)
	}
	before := keyOf(t, db, table, rowid)
	exec(fmt.Sprintf("UPDATE %s SET %s = %s WHERE rowid = ?", table, column, value), rowid)
	if isKey {
		return before // audit says that the row of this key is missing
	}
	return keyOf(t, db, table, rowid)
}

func keyOf(t *testing.T, db *sql.DB, table string, rowid int64) string {
	t.Helper()
	rows, err := db.Query("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY cid", table)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, c)
	}
	rows.Close()
	var out []string
	for _, c := range parts {
		var v any
		if err := db.QueryRow(fmt.Sprintf("SELECT %s FROM %s WHERE rowid = ?", c, table), rowid).Scan(&v); err != nil {
			t.Fatal(err)
		}
		if s, ok := v.(string); ok {
			out = append(out, fmt.Sprintf("%q", s))
		} else {
			out = append(out, fmt.Sprint(v))
		}
	}
	return strings.Join(out, " / ")
}

func named(t *testing.T, file string, root *keys.TrustedRoot, kinds lineage.Kinds, table, key string) {
	t.Helper()
	db, err := lineage.OpenSQLite(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rep, err := lineage.Audit(context.Background(), lineage.AuditConfig{DB: db, Kinds: kinds, Root: root})
	if err != nil {
		t.Fatalf("audit gave up: %v", err)
	}
	if rep.OK() {
		t.Fatal("audit found nothing")
	}
	for _, d := range rep.Differences {
		if d.Table == table && d.Row == key {
			return
		}
	}
	t.Errorf("row %s of %s is not named among %d differences, the first %v", key, table, len(rep.Differences), rep.Differences[0])
}
