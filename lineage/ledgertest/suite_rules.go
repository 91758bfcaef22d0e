package ledgertest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/migrations"
)

// filler is a Kind that puts one row into every table that a projection may
// write, so that rules about tables can be tried on each of them.
func filler() lineage.Kind {
	return lineage.Kind{
		Name:  attest.KindWindow,
		Check: func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
			for _, tables := range [][]string{migrations.Governed, migrations.Current} {
				for _, table := range tables {
					if logTable(table) {
						continue
					}
					if err := fill(w, table, e.Index); err != nil {
						return fmt.Errorf("%s: %w", table, err)
					}
				}
			}
			return nil
		},
	}
}

// logTable says whether the log itself, not a projection, writes the table.
func logTable(table string) bool {
	switch table {
	case "entries", "leaves", "hashes", "checkpoints", "edges", "erased", "payloads", "cur_head":
		return true
	}
	return false
}

func fill(w *lineage.WriteTx, table string, index int64) error {
	rows, err := w.DB().Raw("SELECT * FROM " + table + " WHERE 1 = 0").Rows()
	if err != nil {
		return err
	}
	types, err := rows.ColumnTypes()
	rows.Close()
	if err != nil {
		return err
	}
	row := map[string]any{}
	for _, c := range types {
		switch c.DatabaseTypeName() {
		case "TEXT":
			row[c.Name()] = fmt.Sprintf("%s-%d", c.Name(), index)
		case "REAL", "FLOAT8":
			row[c.Name()] = 0.25
		case "BLOB", "BYTEA":
			row[c.Name()] = []byte{1, 2, byte(index)}
		case "INTEGER", "INT8":
			row[c.Name()] = index
		default:
			return fmt.Errorf("column %s is a %q", c.Name(), c.DatabaseTypeName())
		}
	}
	if _, ok := row["active"]; ok {
		row["active"] = int64(0) // counts for nobody
	}
	return w.DB().Table(table).Create(row).Error
}

// full is a world with a row in every governed and cur_ table.
func full(t *testing.T, open Open) *World {
	t.Helper()
	db, _ := open(t)
	w := New(t, []lineage.Kind{Fact(), filler()}, WithDB(db))
	w.Person("erin-engineer", "engineer")
	w.Account("trainer", "erin-engineer")
	window := attest.Window{Endpoint: "e", Model: "m", Version: "1", Sequence: 1, Count: 1, Status: "ok", Digest: Data("w").Digest, Report: json.RawMessage("{}")}
	for range 3 {
		w.Must(w.Do(lineage.Step{Kind: attest.KindWindow, Project: Project}, lineage.Result{Predicate: window}))
		w.Must(w.Do(FactStep(), FactResult(1, "", attest.Relation{Type: attest.RelGenerated, Ref: Data("x")})))
		fact := FactStep()
		fact.Inputs = []lineage.Ref{Data("x")}
		w.Must(w.Do(fact, FactResult(2, "")))
	}
	w.Must(w.erase(w.find(attest.KindKeyEvent, "erin-engineer"), "name", "email"))
	w.Must(w.Do(FactStep(), FactResult(3, "")))
	for table, n := range w.Rows() {
		if n == 0 {
			t.Fatalf("%s is empty", table)
		}
	}
	return w
}

// find returns the first entry of a kind whose predicate mentions a word.
func (w *World) find(kind, word string) (found *lineage.Entry) {
	w.T.Helper()
	w.View(func(r *lineage.ReadTx) error {
		list, err := r.Entries(lineage.EntryFilter{Kind: kind})
		for _, e := range list {
			if found == nil && strings.Contains(string(e.Predicate()), word) {
				found = e
			}
		}
		return err
	})
	if found == nil {
		w.T.Fatalf("no %s says %s", kind, word)
	}
	return found
}

// erase submits an erasure of an entry in which the fields are emptied.
func (w *World) erase(e *lineage.Entry, fields ...string) (lineage.Receipt, error) {
	w.T.Helper()
	var p map[string]any
	if err := json.Unmarshal(e.Predicate(), &p); err != nil {
		w.T.Fatal(err)
	}
	for _, f := range fields {
		p[f] = ""
	}
	redacted, err := json.Marshal(p)
	if err != nil {
		w.T.Fatal(err)
	}
	return w.SubmitAs(Admin, lineage.Step{Kind: attest.KindErasure}, lineage.Result{Predicate: attest.Erasure{
		Reason: "asked for", Basis: "GDPR Article 17", Entries: []attest.EntryRef{e.EntryRef()}, Redacted: []json.RawMessage{redacted}}})
}

// appendOnly attacks every governed table by SQL on the writer's own pool.
func appendOnly(t *testing.T, open Open) {
	w := full(t, open)
	w.Close()
	before := w.Rows()
	attack := func(table, why, q string) {
		t.Helper()
		if _, err := w.DB.SQL().Exec(q); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", q, err)
		}
	}
	postgres := w.DB.Dialect() == lineage.Postgres
	for _, table := range migrations.Governed {
		var column string
		rows, err := w.DB.SQL().Query("SELECT * FROM " + table + " WHERE 1 = 0")
		if err != nil {
			t.Fatal(err)
		}
		names, _ := rows.Columns()
		rows.Close()
		column = names[len(names)-1]
		attack(table, "append-only", fmt.Sprintf("UPDATE %s SET %s = %s", table, column, column))
		attack(table, "append-only", "DELETE FROM "+table)
		if postgres {
			attack(table, "append-only", "TRUNCATE "+table+" CASCADE")
			attack(table, "append-only", fmt.Sprintf("INSERT INTO %s SELECT * FROM %s ON CONFLICT ON CONSTRAINT %s_pkey DO UPDATE SET %s = EXCLUDED.%s", table, table, table, column, column))
		} else {
			attack(table, "append-only", fmt.Sprintf("INSERT OR REPLACE INTO %s SELECT * FROM %s", table, table))
		}
	}
	attack("payloads", "attested erasure", "DELETE FROM payloads")
	attack("payloads", "", "UPDATE payloads SET payload = payload")
	attack("cur_head", "shrinks", "UPDATE cur_head SET size = size - 1")
	attack("cur_head", "shrinks", "UPDATE cur_head SET stamp = stamp - 1")
	attack("cur_head", "", "DELETE FROM cur_head")
	if postgres {
		attack("payloads", "", "TRUNCATE payloads")
		attack("cur_head", "", "TRUNCATE cur_head")
	}
	for table, n := range w.Rows() {
		if n != before[table] {
			t.Errorf("%s: %d rows before the attacks, %d after", table, before[table], n)
		}
	}
	audited(w)
}

func readersCannotWrite(t *testing.T, open Open) {
	w, _ := world(t, open)
	for _, q := range []string{
		"UPDATE cur_head SET size = size + 1", "UPDATE cur_memberships SET active = 1", "INSERT INTO projects (entry, id) VALUES (2, 'x')",
		"DELETE FROM intents", "DELETE FROM payloads", "CREATE TABLE mine (a INTEGER)", "DROP TABLE intents",
	} {
		w.View(func(r *lineage.ReadTx) error {
			if err := r.DB().Exec(q).Error; err == nil {
				t.Errorf("a view may %s", q)
			}
			return nil
		})
	}
	audited(w)
}

func erasure(t *testing.T, open Open) {
	w, _ := world(t, open)
	ctx := context.Background()
	w.Person("ivy-inspector")
	signed, err := w.Sign(Admin, lineage.Step{Kind: attest.KindRoleGrant}, lineage.Result{Predicate: attest.RoleGrant{
		Action: attest.ActionGrant, Actor: "ivy-inspector", Role: "auditor", Project: Project, Reason: "Ivy's phone is 555-0199"}})
	if err != nil {
		t.Fatal(err)
	}
	rec := w.Must(w.L.Submit(ctx, signed))
	w.Must(w.Do(FactStep(), FactResult(1, "")))
	grant := w.find(attest.KindRoleGrant, "555-0199")
	if err := w.Refused(lineage.CodeRefused, func() error { _, err := w.erase(grant, "role"); return err }); !strings.Contains(err.Error(), `"role"`) {
		t.Errorf("the refusal says %v", err)
	}
	wrong := *grant
	wrong.Index++
	w.Refused(lineage.CodeInvalid, func() error { _, err := w.erase(&wrong, "reason"); return err })
	w.Refused(lineage.CodeForbidden, func() error {
		_, err := w.SubmitAs("erin-engineer", lineage.Step{Kind: attest.KindErasure}, lineage.Result{Predicate: attest.Erasure{Reason: "x", Basis: "x", Entries: []attest.EntryRef{grant.EntryRef()}, Redacted: []json.RawMessage{grant.Predicate()}}})
		return err
	})
	by := w.Must(w.erase(grant, "reason"))
	w.View(func(r *lineage.ReadTx) error {
		e, err := r.Entry(grant.Index)
		if err != nil {
			return err
		}
		if !e.Erased || e.PAE != grant.PAE || strings.Contains(string(e.Predicate()), "555") || !strings.Contains(string(e.Predicate()), "auditor") {
			t.Errorf("the entry is %+v with %s", e, e.Predicate())
		}
		if _, err := r.Bundle(grant.Index, 0); lineage.CodeOf(err) != lineage.CodeNotFound || !strings.Contains(err.Error(), "erased") {
			t.Errorf("its bundle: %v", err)
		}
		return nil
	})
	var left int
	if err := w.DB.SQL().QueryRow(fmt.Sprintf("SELECT COUNT(*) FROM payloads WHERE idx = %d", grant.Index)).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d payload rows are left (%v)", left, err)
	}
	// The place in the log is still owed.
	if dup := w.Must(w.L.Submit(ctx, signed)); dup.Index != rec.Index || dup.Checkpoint != rec.Checkpoint || dup.Bundle != nil {
		t.Errorf("submitted again: %+v", dup)
	}
	w.Refused(lineage.CodeConflict, func() error { _, err := w.erase(grant, "reason"); return err })
	rep, err := lineage.Audit(ctx, lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.L.TrustedRoot()})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("entry %d: payload erased by entry %d", grant.Index, by.Index)
	if !rep.OK() || len(rep.Erased) != 1 || rep.Erased[0] != want {
		t.Errorf("audit says %v and %v, want %q", rep.Erased, rep.Differences, want)
	}
	w.Reopen()
	w.Must(w.Do(FactStep(), FactResult(2, "")))
}
