package ledgertest

import (
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
)

func TestWorld(t *testing.T) {
	w := New(t, nil)
	w.Person("erin-engineer", "engineer")
	w.Account("trainer", "erin-engineer")
	w.View(func(r *lineage.ReadTx) error {
		e, err := r.Entry(0)
		if err != nil {
			return err
		}
		if e.Kind != attest.KindGenesis || r.Size() != 7 {
			t.Errorf("entry 0 is %s, size %d", e.Kind, r.Size())
		}
		return nil
	})
	w.Refused(lineage.CodeForbidden, func() error {
		_, err := w.SubmitAs("erin-engineer", lineage.Step{Kind: attest.KindProject}, lineage.Result{Predicate: attest.Project{ID: "other", Name: "x"}})
		t.Log(err)
		return err
	})
	w.Reopen()
}
