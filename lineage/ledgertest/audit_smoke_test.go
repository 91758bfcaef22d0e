package ledgertest

import (
	"context"
	"testing"

	"affidavit/lineage"
)

func TestAuditOfAFreshLog(t *testing.T) {
	w := New(t, nil)
	w.Person("erin-engineer", "engineer")
	w.Account("trainer", "erin-engineer")
	rep, err := lineage.Audit(context.Background(), lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.L.TrustedRoot()})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range rep.Differences {
		t.Error(d)
	}
	if rep.Entries != 7 || !rep.Anchored || rep.Rows < 60 {
		t.Errorf("%+v", rep)
	}
	if _, err := w.DB.SQL().Exec("UPDATE cur_memberships SET role = 'admin' WHERE actor = 'erin-engineer'"); err != nil {
		t.Fatal(err)
	}
	rep, err = lineage.Audit(context.Background(), lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.L.TrustedRoot(), Repair: true})
	if err != nil || !rep.OK() || len(rep.Repaired) != 1 {
		t.Fatalf("%v %+v", err, rep)
	}
}
