package keys

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"

	"affidavit/attest/tlog"

	"golang.org/x/mod/sumdb/note"
)

// algEd25519 is C2SP signed-note's signature type for plain ed25519.
const algEd25519 = 1

var originForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$`)

// CheckOrigin refuses a log origin that is not a lower-case host name with a
// dot: Sigstore clients derive the checkpoint's name from the host of baseUrl.
func CheckOrigin(origin string) error {
	if len(origin) > 200 || !originForm.MatchString(origin) {
		return fmt.Errorf("log origin %q: expected a lower-case host name such as log.bank.example, without scheme, port or path", origin)
	}
	return nil
}

// LogKey signs checkpoints with ed25519.
type LogKey struct {
	origin string
	priv   ed25519.PrivateKey
	spki   []byte
}

// GenerateLogKey makes a checkpoint key from 32 bytes of rand. An empty origin
// becomes affidavit-<first 8 hex digits of the fingerprint>.local.
func GenerateLogKey(origin string, rand io.Reader) (*LogKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("generate the log key: %w", err)
	}
	return newLogKey(origin, ed25519.NewKeyFromSeed(seed))
}

func newLogKey(origin string, priv ed25519.PrivateKey) (*LogKey, error) {
	spki, err := x509.MarshalPKIXPublicKey(priv.Public())
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	k := &LogKey{origin: origin, priv: priv, spki: spki}
	if origin == "" {
		k.origin = "affidavit-" + k.Fingerprint()[:8] + ".local"
	}
	if err := CheckOrigin(k.origin); err != nil {
		return nil, err
	}
	return k, nil
}

// ParseLogKey opens what MarshalPEM wrote. The origin is not in the file.
func ParseLogKey(origin string, pemBytes, password []byte) (*LogKey, error) {
	key, err := decryptPEM(pemBytes, password)
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	priv, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("log key: it is %T, expected ed25519", key)
	}
	return newLogKey(origin, priv)
}

// MarshalPEM encrypts the key as EncryptPEM does.
func (k *LogKey) MarshalPEM(password []byte) ([]byte, error) { return encryptPEM(k.priv, password) }

// Origin is the log's name, the first line of its checkpoints.
func (k *LogKey) Origin() string { return k.origin }

// SPKI is the public key in DER.
func (k *LogKey) SPKI() []byte { return append([]byte(nil), k.spki...) }

// KeyHash is the untruncated C2SP key hash, the logId of bundles:
// SHA-256(origin ‖ 0x0A ‖ 0x01 ‖ public key). Its first 4 bytes are the key ID
// of the checkpoint's signature line.
func (k *LogKey) KeyHash() []byte {
	return LogKeyHash(k.origin, k.priv.Public().(ed25519.PublicKey))
}

// LogKeyHash is KeyHash for a public key.
func LogKeyHash(origin string, pub ed25519.PublicKey) []byte {
	h := sha256.New()
	h.Write([]byte(origin))
	h.Write([]byte{'\n', algEd25519})
	h.Write(pub)
	return h.Sum(nil)
}

// Fingerprint is hex SHA-256 of the SPKI.
func (k *LogKey) Fingerprint() string {
	sum := sha256.Sum256(k.spki)
	return hex.EncodeToString(sum[:])
}

// SignCheckpoint returns the signed note over c. It refuses a foreign origin.
func (k *LogKey) SignCheckpoint(c tlog.Checkpoint) (string, error) {
	if c.Origin != k.origin {
		return "", fmt.Errorf("sign checkpoint: origin is %q, this key is for %q", c.Origin, k.origin)
	}
	text := c.Text()
	sig := binary.BigEndian.AppendUint32(make([]byte, 0, 4+ed25519.SignatureSize), binary.BigEndian.Uint32(k.KeyHash()))
	sig = append(sig, ed25519.Sign(k.priv, []byte(text))...)
	return text + "\n— " + k.origin + " " + base64.StdEncoding.EncodeToString(sig) + "\n", nil
}

// Verifier checks this key's checkpoints.
func (k *LogKey) Verifier() note.Verifier {
	v, err := NewLogVerifier(k.origin, k.spki)
	if err != nil {
		// newLogKey has checked both.
		panic("keys: a log key with a bad origin or SPKI exists: " + err.Error())
	}
	return v
}

// NewLogVerifier checks checkpoints of the log with the given origin and
// ed25519 SPKI.
func NewLogVerifier(origin string, spki []byte) (note.Verifier, error) {
	pub, err := parseLogSPKI(origin, spki)
	if err != nil {
		return nil, err
	}
	vkey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	return v, nil
}

func parseLogSPKI(origin string, spki []byte) (ed25519.PublicKey, error) {
	if err := CheckOrigin(origin); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("log key: not an SPKI in DER: %w", err)
	}
	pub, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("log key: not an ed25519 key")
	}
	return pub, nil
}
