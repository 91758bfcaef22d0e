package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

const (
	trustedRootMediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
	maxTrustedRoot       = 1 << 20
	detailsEd25519       = "PKIX_ED25519"
	detailsP256          = "PKIX_ECDSA_P256_SHA_256"
)

// Validity is when a trusted key may be used; a zero End is open.
type Validity struct {
	Start, End time.Time
}

// Holds reports whether t lies in v.
func (v Validity) Holds(t time.Time) bool {
	return !t.Before(v.Start) && (v.End.IsZero() || !t.After(v.End))
}

// LogEntry is a trusted log: KeyID is LogKeyHash(Origin, key).
type LogEntry struct {
	Origin   string
	SPKI     []byte
	KeyID    []byte
	ValidFor Validity
}

// TrustedRoot names whom a verifier trusts: logs, timestamp authorities,
// certificate authorities and certificate transparency keys. It is read by
// cosign and other Sigstore clients.
type TrustedRoot struct {
	Logs []LogEntry
	// TSAs and CAs are DER chains, leaf or issuing CA first, root last.
	TSAs [][][]byte
	CAs  [][][]byte
	// CTKeys are SPKIs of P-256 keys.
	CTKeys [][]byte
	// ValidFor holds for all TSAs, CAs and CTKeys: a file in which theirs differ
	// is refused.
	ValidFor Validity
}

// NewTrustedRoot describes one log and its authorities, valid from start.
// It does not check them: ParseTrustedRoot and attest.NewVerifier do.
func NewTrustedRoot(origin string, logSPKI []byte, tsaChains, caChains [][][]byte, ctKeys [][]byte, start time.Time) *TrustedRoot {
	valid := Validity{Start: start.UTC().Truncate(time.Second)}
	entry := LogEntry{Origin: origin, SPKI: logSPKI, ValidFor: valid}
	if pub, err := parseLogSPKI(origin, logSPKI); err == nil {
		entry.KeyID = LogKeyHash(origin, pub)
	}
	return &TrustedRoot{Logs: []LogEntry{entry}, TSAs: tsaChains, CAs: caChains, CTKeys: ctKeys, ValidFor: valid}
}

type rootJSON struct {
	MediaType string          `json:"mediaType"`
	Tlogs     []logJSON       `json:"tlogs"`
	CAs       []authorityJSON `json:"certificateAuthorities,omitempty"`
	CTLogs    []logJSON       `json:"ctlogs,omitempty"`
	TSAs      []authorityJSON `json:"timestampAuthorities,omitempty"`
}

type logJSON struct {
	BaseURL       string `json:"baseUrl"`
	HashAlgorithm string `json:"hashAlgorithm"`
	PublicKey     struct {
		RawBytes   []byte       `json:"rawBytes"`
		KeyDetails string       `json:"keyDetails"`
		ValidFor   validityJSON `json:"validFor"`
	} `json:"publicKey"`
	LogID struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
}

type authorityJSON struct {
	Subject struct {
		Organization string `json:"organization,omitempty"`
		CommonName   string `json:"commonName,omitempty"`
	} `json:"subject"`
	URI       string `json:"uri,omitempty"`
	CertChain struct {
		Certificates []certJSON `json:"certificates"`
	} `json:"certChain"`
	ValidFor validityJSON `json:"validFor"`
}

type certJSON struct {
	RawBytes []byte `json:"rawBytes"`
}

type validityJSON struct {
	Start *time.Time `json:"start"`
	End   *time.Time `json:"end,omitempty"`
}

func (v Validity) wire() validityJSON {
	start := v.Start.UTC()
	w := validityJSON{Start: &start}
	if !v.End.IsZero() {
		end := v.End.UTC()
		w.End = &end
	}
	return w
}

func (w validityJSON) validity() (Validity, error) {
	if w.Start == nil {
		return Validity{}, errors.New("validFor.start is missing")
	}
	v := Validity{Start: w.Start.UTC()}
	if w.End != nil {
		v.End = w.End.UTC()
	}
	return v, nil
}

// Marshal writes trusted_root.json. It refuses a root that ParseTrustedRoot
// would refuse.
func (t *TrustedRoot) Marshal() ([]byte, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	out := rootJSON{MediaType: trustedRootMediaType}
	base := ""
	for _, l := range t.Logs {
		j := logJSON{BaseURL: "https://" + l.Origin, HashAlgorithm: "SHA2_256"}
		j.PublicKey.RawBytes, j.PublicKey.KeyDetails, j.PublicKey.ValidFor = l.SPKI, detailsEd25519, l.ValidFor.wire()
		j.LogID.KeyID = l.KeyID
		out.Tlogs = append(out.Tlogs, j)
		base = j.BaseURL
	}
	for _, key := range t.CTKeys {
		j := logJSON{BaseURL: base + "/ct", HashAlgorithm: "SHA2_256"}
		j.PublicKey.RawBytes, j.PublicKey.KeyDetails, j.PublicKey.ValidFor = key, detailsP256, t.ValidFor.wire()
		id := sha256.Sum256(key)
		j.LogID.KeyID = id[:]
		out.CTLogs = append(out.CTLogs, j)
	}
	var err error
	if out.CAs, err = t.authorities(t.CAs, base); err != nil {
		return nil, err
	}
	if out.TSAs, err = t.authorities(t.TSAs, base+"/timestamp"); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return append(b, '\n'), nil
}

func (t *TrustedRoot) authorities(chains [][][]byte, uri string) ([]authorityJSON, error) {
	var out []authorityJSON
	for i, chain := range chains {
		var j authorityJSON
		cert, err := x509.ParseCertificate(chain[0])
		if err != nil {
			return nil, fmt.Errorf("trusted root: %w", err)
		}
		j.Subject.CommonName = cert.Subject.CommonName
		if len(cert.Subject.Organization) > 0 {
			j.Subject.Organization = cert.Subject.Organization[0]
		}
		// Sigstore clients count two timestamps with one uri as one.
		j.URI = uri
		if i > 0 {
			j.URI = fmt.Sprintf("%s/%d", uri, i)
		}
		for _, der := range chain {
			j.CertChain.Certificates = append(j.CertChain.Certificates, certJSON{RawBytes: der})
		}
		j.ValidFor = t.ValidFor.wire()
		out = append(out, j)
	}
	return out, nil
}

// Check reports what is wrong with the keys and chains of t.
func (t *TrustedRoot) Check() error {
	if len(t.Logs) == 0 || len(t.Logs) > 16 || len(t.TSAs) > 16 || len(t.CAs) > 16 || len(t.CTKeys) > 16 {
		return errors.New("trusted root: it must name 1 to 16 logs, and at most 16 authorities and keys of each sort")
	}
	for i, l := range t.Logs {
		pub, err := parseLogSPKI(l.Origin, l.SPKI)
		if err != nil {
			return fmt.Errorf("trusted root: tlogs[%d]: %w", i, err)
		}
		if !bytes.Equal(l.KeyID, LogKeyHash(l.Origin, pub)) {
			return fmt.Errorf("trusted root: tlogs[%d]: logId.keyId is not the C2SP hash of its name and key", i)
		}
	}
	for i, chain := range t.TSAs {
		if _, err := ParseTSAChain(chain); err != nil {
			return fmt.Errorf("trusted root: timestampAuthorities[%d]: %w", i, err)
		}
	}
	for i, chain := range t.CAs {
		if _, err := ParseCAChain(chain); err != nil {
			return fmt.Errorf("trusted root: certificateAuthorities[%d]: %w", i, err)
		}
	}
	for i, key := range t.CTKeys {
		if _, err := ParsePublicKey(key); err != nil {
			return fmt.Errorf("trusted root: ctlogs[%d]: %w", i, err)
		}
	}
	return nil
}

// CTPublicKeys returns the parsed CT keys in order.
func (t *TrustedRoot) CTPublicKeys() ([]*ecdsa.PublicKey, error) {
	var out []*ecdsa.PublicKey
	for _, spki := range t.CTKeys {
		key, err := ParsePublicKey(spki)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

// ParseTrustedRoot reads trusted_root.json strictly: no unknown or duplicate
// field, and every key and chain must parse.
func ParseTrustedRoot(b []byte) (*TrustedRoot, error) {
	if len(b) > maxTrustedRoot {
		return nil, fmt.Errorf("trusted root: longer than %d bytes", maxTrustedRoot)
	}
	if err := noDuplicates(json.NewDecoder(bytes.NewReader(b)), 0); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	var in rootJSON
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("trusted root: bytes follow the JSON object")
	}
	if in.MediaType != trustedRootMediaType {
		return nil, fmt.Errorf("trusted root: mediaType is %q, expected %q", in.MediaType, trustedRootMediaType)
	}
	t, err := in.read()
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t, nil
}

func (in rootJSON) read() (*TrustedRoot, error) {
	t := &TrustedRoot{}
	for i, j := range in.Tlogs {
		u, err := url.Parse(j.BaseURL)
		if err != nil || u.Scheme != "https" || j.BaseURL != "https://"+u.Host {
			return nil, fmt.Errorf("tlogs[%d].baseUrl must be https:// and the log's origin, nothing more", i)
		}
		valid, err := j.check(detailsEd25519)
		if err != nil {
			return nil, fmt.Errorf("tlogs[%d]: %w", i, err)
		}
		t.Logs = append(t.Logs, LogEntry{Origin: u.Host, SPKI: j.PublicKey.RawBytes, KeyID: j.LogID.KeyID, ValidFor: valid})
	}
	var shared *Validity
	share := func(v Validity) error {
		if shared != nil && (!shared.Start.Equal(v.Start) || !shared.End.Equal(v.End)) {
			return errors.New("validFor differs from that of another authority; give them one period")
		}
		shared = &v
		return nil
	}
	for i, j := range in.CTLogs {
		valid, err := j.check(detailsP256)
		if err == nil {
			err = share(valid)
		}
		if err != nil {
			return nil, fmt.Errorf("ctlogs[%d]: %w", i, err)
		}
		if id := sha256.Sum256(j.PublicKey.RawBytes); !bytes.Equal(id[:], j.LogID.KeyID) {
			return nil, fmt.Errorf("ctlogs[%d]: logId.keyId is not the SHA-256 of its key", i)
		}
		t.CTKeys = append(t.CTKeys, j.PublicKey.RawBytes)
	}
	for _, group := range []struct {
		name string
		in   []authorityJSON
		out  *[][][]byte
	}{{"certificateAuthorities", in.CAs, &t.CAs}, {"timestampAuthorities", in.TSAs, &t.TSAs}} {
		for i, j := range group.in {
			valid, err := j.ValidFor.validity()
			if err == nil {
				err = share(valid)
			}
			if err != nil {
				return nil, fmt.Errorf("%s[%d]: %w", group.name, i, err)
			}
			var chain [][]byte
			for _, c := range j.CertChain.Certificates {
				chain = append(chain, c.RawBytes)
			}
			*group.out = append(*group.out, chain)
		}
	}
	if shared != nil {
		t.ValidFor = *shared
	}
	return t, nil
}

func (j logJSON) check(details string) (Validity, error) {
	if j.HashAlgorithm != "SHA2_256" {
		return Validity{}, fmt.Errorf("hashAlgorithm is %q, expected SHA2_256", j.HashAlgorithm)
	}
	if j.PublicKey.KeyDetails != details {
		return Validity{}, fmt.Errorf("publicKey.keyDetails is %q, expected %s", j.PublicKey.KeyDetails, details)
	}
	return j.PublicKey.ValidFor.validity()
}

// noDuplicates reads one JSON value and refuses members whose names differ in
// case only, which encoding/json would merge.
func noDuplicates(dec *json.Decoder, depth int) error {
	if depth > 16 {
		return errors.New("nested too deeply")
	}
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			folded := strings.ToLower(key.(string))
			if seen[folded] {
				return fmt.Errorf("field %q appears twice", key)
			}
			seen[folded] = true
		}
		if err := noDuplicates(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
