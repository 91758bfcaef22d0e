// Package registry keeps the model inventory and the registered versions:
// immutable sets of files, named by the root digest of OpenSSF model signing.
package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"affidavit/attest"
	"affidavit/lineage"
)

// FormatONNX is the format that registration accepts.
const FormatONNX = "onnx"

// Inventory makes the result of an inventory-entry step. Logged again for the
// same model it replaces what the inventory says.
func Inventory(p attest.InventoryEntry) (lineage.Result, error) {
	digest, err := attest.PredicateDigest(p)
	if err != nil {
		return lineage.Result{}, &lineage.Error{Code: lineage.CodeInvalid, Field: "inventory", Message: "has no canonical form", Err: err}
	}
	return lineage.Result{
		Predicate: p,
		Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: lineage.Ref{Kind: attest.ArtefactInventory, Digest: digest, Name: p.Model}}},
	}, nil
}

// SignatureResult makes the result of a model-signature step over a model's
// files (slash-separated relative path → content), of which artefact is the
// one that is served. Its one subject is the OMS root; name is for people. The
// files are kept as blobs.
func SignatureResult(name string, files map[string][]byte, artefact string) (lineage.Result, lineage.Ref, error) {
	content, ok := files[artefact]
	if !ok {
		return lineage.Result{}, lineage.Ref{}, lineage.Errf(lineage.CodeInvalid, "artefact", "%q is not among the files", artefact)
	}
	digests := make(map[string][32]byte, len(files))
	for path, b := range files {
		if !cleanPath(path) {
			return lineage.Result{}, lineage.Ref{}, lineage.Errf(lineage.CodeInvalid, "files", "%q is no clean relative path", path)
		}
		digests[path] = sha256.Sum256(b)
	}
	p, root := attest.OMSPredicate(digests)
	version := VersionRef(hex.EncodeToString(root[:]), name)
	sum := sha256.Sum256(content)
	res := lineage.Result{
		Predicate: p,
		Subjects:  []attest.Subject{{Name: name, Digest: map[string]string{"sha256": version.Digest}}},
		Relations: []attest.Relation{
			{Type: attest.RelUsed, Ref: lineage.Ref{Kind: attest.ArtefactModel, Digest: hex.EncodeToString(sum[:]), Name: artefact}},
			{Type: attest.RelGenerated, Ref: version},
		},
	}
	for _, r := range p.Resources { // in the predicate's order
		res.Blobs = append(res.Blobs, lineage.Blob{MediaType: "application/octet-stream", Content: files[r.Name]})
	}
	return res, version, nil
}

// VersionRef names a version's files as a node of the graph.
func VersionRef(root, name string) lineage.Ref {
	return lineage.Ref{Kind: attest.ArtefactVersion, Digest: root, Name: name}
}

// RegistrationResult makes the result of a registration step. The caller reads
// p.Inputs from the artefact itself.
func RegistrationResult(p attest.Registration) lineage.Result {
	name := p.Model + " " + p.Version
	entry := func(t attest.RelationType, e attest.EntryRef) attest.Relation {
		return attest.Relation{Type: t, Ref: lineage.Ref{Kind: attest.ArtefactEntry, Digest: e.PAE, Name: e.Kind}}
	}
	res := lineage.Result{
		Predicate: p,
		Subjects:  []attest.Subject{{Name: name, Digest: map[string]string{"sha256": p.Root}}},
		Relations: []attest.Relation{
			{Type: attest.RelUsed, Ref: lineage.Ref{Kind: attest.ArtefactModel, Digest: p.Artefact, Name: name}},
			entry(attest.RelUsed, p.Run),
			entry(attest.RelUsed, p.Signature),
			{Type: attest.RelRegistered, Ref: VersionRef(p.Root, name)},
		},
	}
	for _, e := range p.Evidence {
		res.Relations = append(res.Relations, entry(attest.RelConcerns, e))
	}
	return res
}

// cleanPath reports whether a path stays where it is put.
func cleanPath(path string) bool {
	if path == "" || len(path) > 1024 || strings.ContainsAny(path, "\\\x00") {
		return false
	}
	return !slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return part == "" || part == "." || part == ".." })
}
