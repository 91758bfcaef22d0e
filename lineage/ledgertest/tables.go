package ledgertest

import (
	"context"
	"testing"

	"affidavit/lineage"
	"affidavit/migrations"
)

// CountRows counts the rows of every governed and cur_ table, and of payloads.
func CountRows(t testing.TB, db *lineage.Database) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, tables := range [][]string{migrations.Governed, migrations.Current, {"payloads"}} {
		for _, table := range tables {
			var n int64
			if err := db.SQL().QueryRowContext(context.Background(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			out[table] = n
		}
	}
	return out
}
