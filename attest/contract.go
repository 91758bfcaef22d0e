package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// EvidenceDigest is the hex SHA-256 over one line "index pae kind\n" for each
// entry, in the given order.
func EvidenceDigest(set []EntryRef) string {
	h := sha256.New()
	for _, e := range set {
		h.Write([]byte(strconv.FormatInt(e.Index, 10) + " " + e.PAE + " " + e.Kind + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Permit is the one-use right to put what a verdict passed into a role at an
// endpoint: the hex SHA-256 of a version line, the verdict's PAE digest, the
// endpoint and the role, each on a line of its own. A second deployment needs a
// new verdict.
func Permit(verdictPAE, endpoint, role string) string {
	sum := sha256.Sum256([]byte("affidavit permit v1\n" + verdictPAE + "\n" + endpoint + "\n" + role + "\n"))
	return hex.EncodeToString(sum[:])
}

// KeyID is the hex SHA-256 of an SPKI in DER.
func KeyID(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}
