package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// OMSPredicate is the OpenSSF Model Signing v1.0 predicate for a model's
// files: slash-separated relative path → SHA-256. Resources are ordered by
// path, component by component; root, the digest of the one subject, is the
// SHA-256 of their concatenated raw digests in that order.
func OMSPredicate(files map[string][32]byte) (OMS, [32]byte) {
	var p OMS
	p.Serialization.Method = "files"
	p.Serialization.HashType = "sha256"
	p.Serialization.IgnorePaths = []string{}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	})
	h := sha256.New()
	p.Resources = make([]OMSResource, 0, len(names))
	for _, name := range names {
		digest := files[name]
		h.Write(digest[:])
		p.Resources = append(p.Resources, OMSResource{Name: name, Algorithm: "sha256", Digest: hex.EncodeToString(digest[:])})
	}
	return p, [32]byte(h.Sum(nil))
}
