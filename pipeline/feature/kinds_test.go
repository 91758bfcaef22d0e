package feature

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

// dataKind takes any data version: feature sets only need one to be there.
func dataKind() lineage.Kind {
	return lineage.Kind{Name: attest.KindDataVersion,
		Check:   func(context.Context, *lineage.ReadTx, *lineage.Entry) error { return nil },
		Project: func(context.Context, *lineage.WriteTx, *lineage.Entry) error { return nil }}
}

func TestFeatureSet(t *testing.T) {
	const engineer = "erin"
	w := ledgertest.New(t, append(Kinds(), dataKind()))
	w.Person(engineer, "engineer")
	w.Person("vera", "validator")
	step := lineage.Step{Kind: attest.KindFeatureSet, Project: ledgertest.Project}
	data := lineage.Ref{Kind: attest.ArtefactData, Digest: strings.Repeat("ab", 32), Name: "rows 1"}
	d := parsed(t, smallYAML)
	res, err := Register(d, data, map[string]any{"seed": 1})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(actor string, code lineage.Code, words string, change func(p *attest.FeatureSet, res *lineage.Result)) {
		t.Helper()
		p, bad := res.Predicate.(attest.FeatureSet), res
		bad.Relations, p.Inputs, p.Excluded = slices.Clone(res.Relations), slices.Clone(p.Inputs), maps.Clone(p.Excluded)
		if change != nil {
			change(&p, &bad)
		}
		bad.Predicate = p
		err := w.Refused(code, func() error {
			_, err := w.SubmitAs(actor, step, bad)
			return err
		})
		if err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%v\ndoes not say %q", err, words)
		}
	}
	refused(engineer, lineage.CodeInvalid, "no data", nil)
	w.Must(w.SubmitAs(engineer, lineage.Step{Kind: attest.KindDataVersion, Project: ledgertest.Project}, lineage.Result{
		Predicate: attest.DataVersion{Name: "rows", Version: "1", MediaType: "text/csv", Digest: data.Digest, RowDigest: data.Digest, Rows: 1, Columns: []attest.Column{}, Origin: "x", Licence: "x"},
		Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: data}}}))

	refused("vera", lineage.CodeForbidden, "engineer", nil)
	// What the gate reads is what the definition says: an input cannot be hidden.
	refused(engineer, lineage.CodeRefused, "inputs", func(p *attest.FeatureSet, _ *lineage.Result) { p.Inputs = p.Inputs[1:] })
	refused(engineer, lineage.CodeRefused, "protected", func(p *attest.FeatureSet, _ *lineage.Result) { p.Protected = nil })
	refused(engineer, lineage.CodeRefused, "label", func(p *attest.FeatureSet, _ *lineage.Result) { p.Label = "race" })
	refused(engineer, lineage.CodeRefused, "version", func(p *attest.FeatureSet, _ *lineage.Result) { p.Version = "3" })
	refused(engineer, lineage.CodeRefused, "excluded", func(p *attest.FeatureSet, _ *lineage.Result) { p.Excluded["late"] = "because" })
	refused(engineer, lineage.CodeInvalid, "digest", func(p *attest.FeatureSet, _ *lineage.Result) {
		p.Definition = json.RawMessage(strings.Replace(string(p.Definition), `"version":2`, `"version":3`, 1))
	})
	refused(engineer, lineage.CodeInvalid, "definition", func(p *attest.FeatureSet, _ *lineage.Result) {
		p.Definition = json.RawMessage(`{"name":"x","extra":1}`)
	})
	refused(engineer, lineage.CodeInvalid, "definition", func(p *attest.FeatureSet, _ *lineage.Result) { p.Definition = json.RawMessage(`{"name":"x"}`) })
	refused(engineer, lineage.CodeInvalid, "name no data", func(_ *attest.FeatureSet, res *lineage.Result) { res.Relations = res.Relations[1:] })
	refused(engineer, lineage.CodeInvalid, "generated features", func(_ *attest.FeatureSet, res *lineage.Result) { res.Relations[1].Type = attest.RelPrepared })

	rec := w.Must(w.SubmitAs(engineer, step, res))
	var row SetRow
	w.View(func(r *lineage.ReadTx) error { return r.First(&row, "entry = ?", rec.Index) })
	if want := (SetRow{rec.Index, ledgertest.Project, "lending", "2", res.Relations[1].Ref.Digest}); row != want {
		t.Errorf("%+v, want %+v", row, want)
	}
	refused(engineer, lineage.CodeConflict, "never changes", nil)
	// A protected input is the gate's business: it is logged, and seen there.
	d.Version, d.Protected, d.Excluded = 3, []string{"race"}, append(d.Excluded, Exclusion{"x", "unused"})
	d.Inputs = append(d.Inputs, Input{Column: "race", Encoding: OneHot})
	if res, err = Register(d, data, nil); err != nil {
		t.Fatal(err)
	}
	w.Must(w.SubmitAs(engineer, step, res))
	if _, err := Register(&Definition{}, data, nil); lineage.CodeOf(err) != lineage.CodeInvalid {
		t.Errorf("an empty definition: %v", err)
	}
}
