package ledgertest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
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

// A checkpoint that was served and then removed in the middle is missed,
// because each names the one before it.
func TestAuditMissesAMiddleCheckpoint(t *testing.T) {
	w := New(t, nil)
	w.Person("erin-engineer", "engineer")
	for _, q := range []string{"DROP TRIGGER checkpoints_no_delete", "DELETE FROM checkpoints WHERE size = 3"} {
		if _, err := w.DB.SQL().Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	rep, err := lineage.Audit(context.Background(), lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.L.TrustedRoot()})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range rep.Differences {
		if d.Table == "checkpoints" && d.Column == "prev" && d.Row == "4" {
			return
		}
	}
	t.Errorf("not noticed: %+v", rep.Differences)
}

// An address that was erased does not make what its owner signed by
// certificate before look forged.
func TestErasedAddressOfACertificateSigner(t *testing.T) {
	ctx := context.Background()
	w := New(t, nil)
	w.Person("aaron-auditor", "auditor")
	enrolled := int64(-1)
	var enrolment *lineage.Entry
	w.View(func(r *lineage.ReadTx) error {
		list, err := r.Entries(lineage.EntryFilter{Kind: attest.KindKeyEvent})
		enrolment = list[len(list)-1]
		enrolled = enrolment.Index
		return err
	})
	signer, err := keys.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := keys.ParsePublicKey(signer.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	der, err := w.Keys.CA.Issue("aaron-auditor@bank.example", "https://idp.example", pub, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if w.People["aaron-auditor"], err = keys.WithCertificate(signer, der); err != nil {
		t.Fatal(err)
	}
	var size int64
	var root string
	w.View(func(r *lineage.ReadTx) error { p := r.Position(); size, root = p.Size, p.Root; return nil })
	manifest := attest.Ref{Kind: attest.ArtefactManifest, Digest: strings.Repeat("ab", 32)}
	w.Must(w.SubmitAs("aaron-auditor", lineage.Step{Kind: attest.KindExport, Project: Project}, lineage.Result{
		Predicate: attest.Export{Query: "project", Project: Project, TreeSize: size, Root: root, Manifest: manifest.Digest},
		Subjects:  []attest.Subject{{Name: "manifest.json", Digest: map[string]string{"sha256": manifest.Digest}}},
		Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: manifest}},
	}))
	var k attest.KeyEvent
	if err := enrolment.Decode(&k); err != nil {
		t.Fatal(err)
	}
	k.Name, k.Email = "erased", "erased"
	redacted, err := attest.CanonicalJSON(k)
	if err != nil {
		t.Fatal(err)
	}
	w.Must(w.SubmitAs(Admin, lineage.Step{Kind: attest.KindErasure}, lineage.Result{Predicate: attest.Erasure{
		Reason: "asked for", Basis: "GDPR Art. 17", Entries: []attest.EntryRef{{Index: enrolled, PAE: enrolment.PAE, Kind: enrolment.Kind}}, Redacted: []json.RawMessage{redacted}}}))
	rep, err := lineage.Audit(ctx, lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.L.TrustedRoot()})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range rep.Differences {
		t.Error(d)
	}
	if len(rep.Erased) != 1 {
		t.Errorf("erased: %v", rep.Erased)
	}
}
