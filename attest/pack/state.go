package pack

import (
	"encoding/hex"
	"fmt"

	"affidavit/attest/tlog"
)

// StateRoot is the root that a project-state entry carries: RFC 6962 over one
// leaf for each entry of the project, in log order; a leaf is the 32 bytes of
// the entry's PAE digest (given in hex).
func StateRoot(paes []string) (tlog.Hash, error) {
	leaves := make([]tlog.Hash, len(paes))
	for i, pae := range paes {
		digest, err := hex.DecodeString(pae)
		if err != nil || len(digest) != 32 {
			return tlog.Hash{}, fmt.Errorf("project state: PAE digest %d is not 64 hex digits", i)
		}
		leaves[i] = tlog.LeafHash(digest)
	}
	return tlog.RootOf(leaves), nil
}
