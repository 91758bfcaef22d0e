package feature

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"affidavit/attest"
	"affidavit/lineage"
)

// Register makes the result of a feature-set step: the definition made for
// data, with the split (any JSON object, or nil) into development and held-out
// rows. The artefact is the definition's canonical JSON.
func Register(d *Definition, data lineage.Ref, split any) (lineage.Result, error) {
	if err := d.Validate(); err != nil {
		return lineage.Result{}, &lineage.Error{Code: lineage.CodeInvalid, Field: "definition", Message: err.Error()}
	}
	definition, digest, err := canonical(d)
	if err != nil {
		return lineage.Result{}, err
	}
	p := predicateOf(d, digest, definition)
	if split != nil {
		if p.Split, _, err = canonical(split); err != nil {
			return lineage.Result{}, err
		}
	}
	return lineage.Result{
		Predicate: p,
		Subjects:  []attest.Subject{{Name: p.Name + ".json", Digest: map[string]string{"sha256": digest}}},
		Relations: []attest.Relation{
			{Type: attest.RelUsed, Ref: data},
			{Type: attest.RelGenerated, Ref: SetRef(p)},
		},
		Blobs: []lineage.Blob{{MediaType: "application/json", Content: definition}},
	}, nil
}

// SetRef names a feature set as a node of the graph.
func SetRef(p attest.FeatureSet) lineage.Ref {
	return lineage.Ref{Kind: attest.ArtefactFeatures, Digest: p.Digest, Name: p.Name + " " + p.Version}
}

// predicateOf repeats in the predicate what gates read, from the definition.
func predicateOf(d *Definition, digest string, definition []byte) attest.FeatureSet {
	p := attest.FeatureSet{
		Name: d.Name, Version: strconv.Itoa(d.Version), Digest: digest, Inputs: d.InputColumns(), Label: d.Label.Column,
		Protected: d.Protected, Definition: json.RawMessage(definition),
	}
	for _, x := range d.Excluded {
		if p.Excluded == nil {
			p.Excluded = map[string]string{}
		}
		p.Excluded[x.Column] = x.Reason
	}
	return p
}

func canonical(v any) (b []byte, digest string, err error) {
	b, err = attest.CanonicalJSON(v)
	if err != nil {
		return nil, "", &lineage.Error{Code: lineage.CodeInvalid, Field: "definition", Message: "has no canonical form", Err: err}
	}
	sum := sha256.Sum256(b)
	return b, hex.EncodeToString(sum[:]), nil
}
