package feature

import (
	"context"
	"maps"
	"slices"

	"affidavit/attest"
	"affidavit/lineage"
)

// Kinds returns this package's rows of the table of Kinds.
func Kinds() []lineage.Kind {
	return []lineage.Kind{{Name: attest.KindFeatureSet, Check: checkSet, Project: projectSet}}
}

// SetRow is a row of feature_sets.
type SetRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Name    string
	Version string
	Digest  string
}

// TableName implements gorm's Tabler.
func (SetRow) TableName() string { return "feature_sets" }

// checkSet holds what the predicate says against the definition that it
// carries. A protected input is no error here: the gate refuses it, in words.
func checkSet(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.FeatureSet
	if err := e.Decode(&p); err != nil {
		return err
	}
	var d Definition
	if err := attest.StrictUnmarshal(p.Definition, &d, maxDefinitionBytes); err != nil {
		return lineage.Errf(lineage.CodeInvalid, "definition", "%v", err)
	}
	if err := d.Validate(); err != nil {
		return lineage.Errf(lineage.CodeInvalid, "definition", "%v", err)
	}
	_, digest, err := canonical(p.Definition)
	if err != nil {
		return err
	}
	if p.Digest != digest {
		return lineage.Errf(lineage.CodeInvalid, "digest", "is not the SHA-256 of the definition's canonical JSON, %s", digest)
	}
	want := predicateOf(&d, digest, nil)
	for _, f := range []struct {
		field string
		same  bool
	}{
		{"name", p.Name == want.Name}, {"version", p.Version == want.Version}, {"label", p.Label == want.Label},
		{"inputs", slices.Equal(p.Inputs, want.Inputs)}, {"protected", slices.Equal(p.Protected, want.Protected)},
		{"excluded", maps.Equal(p.Excluded, want.Excluded)},
	} {
		if !f.same {
			return lineage.Errf(lineage.CodeRefused, f.field, "differs from the definition")
		}
	}
	if !e.Has(attest.RelGenerated, attest.ArtefactFeatures, digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: generated features %s", digest)
	}
	if !usesData(e) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "name no data").WithRemedy("say which data version the feature set is for: used data")
	}
	err = r.First(&SetRow{}, "project = ? AND name = ? AND version = ?", e.Project, p.Name, p.Version)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return lineage.Errf(lineage.CodeConflict, "version", "%s %s is registered; a feature set never changes", p.Name, p.Version).WithRemedy("raise the version")
}

func usesData(e *lineage.Entry) bool {
	return slices.ContainsFunc(e.Related(attest.RelUsed), func(ref lineage.Ref) bool { return ref.Kind == attest.ArtefactData })
}

func projectSet(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.FeatureSet
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&SetRow{Entry: e.Index, Project: e.Project, Name: p.Name, Version: p.Version, Digest: p.Digest})
}
