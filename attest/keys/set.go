package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	setFile    = "service-keys.pem"
	setPEMType = "ENCRYPTED AFFIDAVIT SERVICE KEYS"
	// TrustedRootFile is written beside the keys and may be given to anybody.
	TrustedRootFile = "trusted_root.json"
)

// Set is every key that a server holds. The roots of TSA and CA are made, used
// once and not kept.
type Set struct {
	Log     *LogKey
	TSA     *TSA
	CA      *CA
	Service Signer

	start   time.Time
	service *ecdsa.PrivateKey
}

// setJSON is what setFile holds encrypted: PKCS #8 keys and DER certificates.
type setJSON struct {
	Version  int       `json:"version"`
	Origin   string    `json:"origin"`
	Start    time.Time `json:"start"`
	Log      []byte    `json:"log"`
	TSA      []byte    `json:"tsa"`
	TSAChain [][]byte  `json:"tsaChain"`
	CA       []byte    `json:"ca"`
	CAChain  [][]byte  `json:"caChain"`
	CT       []byte    `json:"ct"`
	Service  []byte    `json:"service"`
}

// NewSet makes keys in memory. An empty origin is derived from the log key;
// now begins the certificates' validity.
func NewSet(origin string, now time.Time) (*Set, error) {
	log, err := GenerateLogKey(origin, rand.Reader)
	if err != nil {
		return nil, err
	}
	tsa, err := NewTSA(log.Origin(), now)
	if err != nil {
		return nil, err
	}
	ca, err := NewCA(log.Origin(), now)
	if err != nil {
		return nil, err
	}
	service, err := newKey()
	if err != nil {
		return nil, err
	}
	signer, err := FromPrivate(service)
	if err != nil {
		return nil, err
	}
	start := tsa.chain.Lowest().NotBefore
	return &Set{Log: log, TSA: tsa, CA: ca, Service: signer, start: start, service: service}, nil
}

// CreateSet makes keys and writes them to dir (mode 0700, made if missing):
// one encrypted file, mode 0600, and trusted_root.json. It refuses a directory
// that holds keys.
func CreateSet(dir, password, origin string, now time.Time) (*Set, error) {
	if password == "" {
		return nil, errors.New("service keys: a password is needed: set AFFIDAVIT_PASSWORD")
	}
	s, err := NewSet(origin, now)
	if err != nil {
		return nil, err
	}
	if err := s.Save(dir, password); err != nil {
		return nil, err
	}
	return s, nil
}

// Save writes s to dir as CreateSet does.
func (s *Set) Save(dir, password string) error {
	in := setJSON{
		Version: 1, Origin: s.Log.origin, Start: s.start,
		TSAChain: s.TSA.Chain(), CAChain: s.CA.Chain(),
	}
	for _, k := range []struct {
		priv crypto.PrivateKey
		out  *[]byte
	}{{s.Log.priv, &in.Log}, {s.TSA.priv, &in.TSA}, {s.CA.priv, &in.CA}, {s.CA.ct, &in.CT}, {s.service, &in.Service}} {
		der, err := x509.MarshalPKCS8PrivateKey(k.priv)
		if err != nil {
			return fmt.Errorf("service keys: %w", err)
		}
		*k.out = der
	}
	plain, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("service keys: %w", err)
	}
	sealed, err := sealBox(plain, []byte(password))
	if err != nil {
		return fmt.Errorf("service keys: %w", err)
	}
	root, err := s.TrustedRoot().Marshal()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("service keys: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("service keys: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: setPEMType, Bytes: sealed})
	if err := writeNew(filepath.Join(dir, setFile), block, 0o600); err != nil {
		return fmt.Errorf("service keys: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, TrustedRootFile), root, 0o644); err != nil {
		return fmt.Errorf("service keys: %w", err)
	}
	return nil
}

// OpenSet reads what CreateSet wrote. A wrong password is ErrPassword; a file
// that others may read is refused.
func OpenSet(dir, password string) (*Set, error) {
	path := filepath.Join(dir, setFile)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("service keys: there is no %s in the key directory; run `affidavit init` first: %w", setFile, err)
	}
	if err != nil {
		return nil, fmt.Errorf("service keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("service keys: %s is readable by others (mode %04o); run chmod 600 on it", setFile, info.Mode().Perm())
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("service keys: %s is too long", setFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("service keys: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != setPEMType || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("service keys: %s is not a PEM block %q", setFile, setPEMType)
	}
	plain, err := openBox(block.Bytes, []byte(password))
	if err != nil {
		return nil, fmt.Errorf("service keys: %s: %w", setFile, err)
	}
	var in setJSON
	if err := json.Unmarshal(plain, &in); err != nil {
		return nil, fmt.Errorf("service keys: %s: %w", setFile, err)
	}
	if in.Version != 1 {
		return nil, fmt.Errorf("service keys: %s has version %d, this program knows 1", setFile, in.Version)
	}
	return in.open()
}

func (in setJSON) open() (*Set, error) {
	key, err := x509.ParsePKCS8PrivateKey(in.Log)
	if err != nil {
		return nil, fmt.Errorf("service keys: log: %w", err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("service keys: log: not an ed25519 key")
	}
	log, err := newLogKey(in.Origin, ed)
	if err != nil {
		return nil, err
	}
	var ec [4]*ecdsa.PrivateKey
	for i, k := range []struct {
		name string
		der  []byte
	}{{"tsa", in.TSA}, {"ca", in.CA}, {"ct", in.CT}, {"service", in.Service}} {
		key, err := x509.ParsePKCS8PrivateKey(k.der)
		if err != nil {
			return nil, fmt.Errorf("service keys: %s: %w", k.name, err)
		}
		if ec[i], ok = key.(*ecdsa.PrivateKey); !ok {
			return nil, fmt.Errorf("service keys: %s: not an ECDSA key", k.name)
		}
	}
	tsa, err := openTSA(in.TSAChain, ec[0])
	if err != nil {
		return nil, err
	}
	ca, err := openCA(in.CAChain, ec[1], ec[2])
	if err != nil {
		return nil, err
	}
	service, err := FromPrivate(ec[3])
	if err != nil {
		return nil, err
	}
	return &Set{Log: log, TSA: tsa, CA: ca, Service: service, start: in.Start, service: ec[3]}, nil
}

// TrustedRoot is what verifiers of this server's bundles need.
func (s *Set) TrustedRoot() *TrustedRoot {
	return NewTrustedRoot(s.Log.Origin(), s.Log.SPKI(), [][][]byte{s.TSA.Chain()}, [][][]byte{s.CA.Chain()},
		[][]byte{s.CA.CTPublicKey()}, s.start)
}
