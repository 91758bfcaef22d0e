package gateway_test

import (
	"bytes"

	"affidavit/attest"
	"affidavit/attest/pack"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/lineage/ledgertest"
)

// offline exports the whole project as an evidence pack and verifies it with nothing but the trusted root: what the
// ledger let in must hold there too.
func (l *life) offline() *pack.Report {
	l.T.Helper()
	l.Person("audrey-auditor", "auditor")
	var state attest.ProjectState
	l.View(func(r *lineage.ReadTx) (err error) {
		state, err = govern.StateOf(r, ledgertest.Project, r.Size())
		return err
	})
	l.Must(l.Do(step(attest.KindProjectState), lineage.Result{Predicate: state}))
	root, err := l.L.TrustedRoot().Marshal()
	l.check(err)
	in := pack.Input{Project: ledgertest.Project, Query: pack.QueryProject, TrustedRoot: root, Policies: map[string][]byte{l.policy: []byte(policyYAML)}}
	l.View(func(r *lineage.ReadTx) (err error) {
		if in.Checkpoint, err = r.Checkpoint(); err != nil {
			return err
		}
		for i := range r.Size() {
			e, err := r.Entry(i)
			if err != nil {
				return err
			}
			b, err := r.Bundle(i, r.Size())
			if err != nil {
				return err
			}
			in.Items = append(in.Items, pack.Item{Index: i, PAE: e.PAE, Kind: e.Kind, Bundle: b})
		}
		return nil
	})
	draft, _, _, err := pack.BuildManifest(ctx, in)
	l.check(err)
	rec := l.as("audrey-auditor", attest.KindExport, lineage.Result{
		Predicate: draft.Export(), Subjects: []attest.Subject{draft.Subject()}, Relations: []attest.Relation{draft.Relation()}})
	var out bytes.Buffer
	l.View(func(r *lineage.ReadTx) error {
		bundle, err := attest.ParseBundle(rec.Bundle)
		if err != nil {
			return err
		}
		proof, err := r.Consistency(draft.Checkpoint().Size, bundle.Proof.Size)
		if err != nil {
			return err
		}
		now := draft.Checkpoint()
		now.Size, now.Root = bundle.Proof.Size, bundle.Proof.Root
		consistency, err := pack.MarshalConsistency(draft.Checkpoint(), now, proof)
		if err != nil {
			return err
		}
		return draft.Finish(&out, rec.Bundle, consistency)
	})
	report, err := pack.Verify(ctx, bytes.NewReader(out.Bytes()), int64(out.Len()), pack.Options{TrustedRoot: root})
	l.check(err)
	return report
}

// agreesOffline wants the pack's verifier to accept every deployment that the ledger admitted.
func (l *life) agreesOffline(judged int) {
	l.T.Helper()
	report := l.offline()
	for _, refusal := range report.Refusals {
		l.T.Error(refusal)
	}
	if len(report.Judged) != judged {
		l.T.Errorf("%d verdicts and deployments were judged, want %d", len(report.Judged), judged)
	}
	for _, j := range report.Judged {
		if !j.Holds {
			l.T.Errorf("%+v", j)
		}
	}
}
