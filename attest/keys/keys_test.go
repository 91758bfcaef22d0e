package keys

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"affidavit/attest/tlog"
)

var testTime = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

func TestSignerSignsWithECDSA(t *testing.T) {
	s, err := Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(context.Background(), []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublicKey(s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("message"))
	if !ecdsa.VerifyASN1(pub, sum[:], sig) {
		t.Error("the signature does not verify with crypto/ecdsa")
	}
	if s.Certificate() != nil {
		t.Error("a bare key has a certificate")
	}
}

func TestOnlyP256Signs(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FromPrivate(p384); err == nil {
		t.Error("P-384 was accepted")
	}
	if _, err := FromPrivate(nil); err == nil {
		t.Error("nil was accepted")
	}
	for name, der := range map[string][]byte{"empty": nil, "noise": {1, 2, 3}, "long": make([]byte, 1000)} {
		if _, err := ParsePublicKey(der); err == nil {
			t.Errorf("%s parses as a public key", name)
		}
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alice.key")
	s, err := GenerateFile(path, "secret")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(b, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")) {
		t.Errorf("file begins %.40q, %v", b, err)
	}
	if _, err := GenerateFile(path, "secret"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwriting: %v", err)
	}
	got, err := LoadFile(path, "secret")
	if err != nil || !bytes.Equal(got.PublicKey(), s.PublicKey()) {
		t.Errorf("loading: %v", err)
	}
	if _, err := LoadFile(path, "wrong"); !errors.Is(err, ErrPassword) {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := GenerateFile(filepath.Join(dir, "empty.key"), ""); err == nil {
		t.Error("a key file without a password")
	}
	if _, err := os.Stat(filepath.Join(dir, "empty.key")); err == nil {
		t.Error("a refused key left a file behind")
	}
	for name, content := range map[string]string{
		"empty": "", "noise": "hello", "plain key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"two blocks": string(b) + string(b), "bad box": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
		"long": strings.Repeat("x", maxKeyFile+1),
	} {
		bad := filepath.Join(dir, "bad.key")
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadFile(bad, "secret"); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

func TestFromURIWithoutProvider(t *testing.T) {
	for _, uri := range []string{"", "key", "://x"} {
		if _, err := FromURI(context.Background(), uri); err == nil || errors.Is(err, ErrNoProvider) {
			t.Errorf("%q: %v", uri, err)
		}
	}
	if _, err := FromURI(context.Background(), "nosuchkms://key"); !errors.Is(err, ErrNoProvider) {
		t.Errorf("unknown provider: %v", err)
	}
}

func TestLogKey(t *testing.T) {
	k, err := GenerateLogKey("log.bank.example", bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	pub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)).Public().(ed25519.PublicKey)
	want := sha256.Sum256(append([]byte("log.bank.example\n\x01"), pub...))
	if !bytes.Equal(k.KeyHash(), want[:]) {
		t.Errorf("key hash %x, want %x", k.KeyHash(), want)
	}
	if k.Verifier().KeyHash() != binary.BigEndian.Uint32(want[:]) {
		t.Error("the note's key id is not the beginning of the key hash")
	}
	c := tlog.Checkpoint{Origin: "log.bank.example", Size: 3, Root: tlog.LeafHash(nil)}
	text, err := k.SignCheckpoint(c)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewLogVerifier(k.Origin(), k.SPKI())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tlog.ParseCheckpoint(text, v); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	c.Origin = "other.example"
	if _, err := k.SignCheckpoint(c); err == nil {
		t.Error("it signs another log's checkpoint")
	}
	b, err := k.MarshalPEM([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseLogKey("log.bank.example", b, []byte("secret"))
	if err != nil || again.Fingerprint() != k.Fingerprint() {
		t.Errorf("parsing: %v", err)
	}
	if _, err := ParseLogKey("log.bank.example", b, []byte("wrong")); !errors.Is(err, ErrPassword) {
		t.Errorf("wrong password: %v", err)
	}
	for _, origin := range []string{"localhost", "Log.example", "https://log.example", "log.example/x", "log.example:80", "log..example", "a b.c", "log.example\n"} {
		if _, err := GenerateLogKey(origin, rand.Reader); err == nil {
			t.Errorf("origin %q was accepted", origin)
		}
	}
	named, err := GenerateLogKey("", rand.Reader)
	if err != nil || named.Origin() != "affidavit-"+named.Fingerprint()[:8]+".local" {
		t.Errorf("derived origin: %v", err)
	}
}

func TestSetOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s, err := CreateSet(dir, "secret", "log.bank.example", testTime)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, setFile): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v", filepath.Base(path), info.Mode(), err)
		}
	}
	if _, err := CreateSet(dir, "secret", "log.bank.example", testTime); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second set: %v", err)
	}
	if _, err := OpenSet(dir, "wrong"); !errors.Is(err, ErrPassword) {
		t.Errorf("wrong password: %v", err)
	}
	got, err := OpenSet(dir, "secret")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.TrustedRoot().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b, err := got.TrustedRoot().Marshal()
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("another trusted root after opening (%v)", err)
	}
	onDisk, err := os.ReadFile(filepath.Join(dir, TrustedRootFile))
	if err != nil || !bytes.Equal(a, onDisk) {
		t.Errorf("another trusted root on disk (%v)", err)
	}
	if !bytes.Equal(got.Service.PublicKey(), s.Service.PublicKey()) {
		t.Error("another service key")
	}
	secret, err := os.ReadFile(filepath.Join(dir, setFile))
	if err != nil || bytes.Contains(secret, []byte("PRIVATE KEY")) {
		t.Errorf("the file looks unencrypted (%v)", err)
	}
	if err := os.Chmod(filepath.Join(dir, setFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSet(dir, "secret"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a readable key file: %v", err)
	}
	if _, err := OpenSet(t.TempDir(), "secret"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no keys: %v", err)
	}
	if _, err := CreateSet(filepath.Join(dir, "x"), "", "log.bank.example", testTime); err == nil {
		t.Error("a set without a password")
	}
}

func TestTrustedRootRoundTripAndStrictness(t *testing.T) {
	s, err := NewSet("log.bank.example", testTime)
	if err != nil {
		t.Fatal(err)
	}
	good, err := s.TrustedRoot().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	root, err := ParseTrustedRoot(good)
	if err != nil {
		t.Fatal(err)
	}
	again, err := root.Marshal()
	if err != nil || !bytes.Equal(good, again) {
		t.Errorf("it does not marshal to the same bytes (%v)", err)
	}
	if !root.ValidFor.Holds(testTime) || root.ValidFor.Holds(testTime.Add(-time.Hour)) || root.Logs[0].Origin != "log.bank.example" {
		t.Errorf("read as %+v", root.ValidFor)
	}
	other, err := NewSet("other.bank.example", testTime)
	if err != nil {
		t.Fatal(err)
	}
	mixed := *root
	mixed.TSAs = [][][]byte{{s.TSA.Chain()[0], other.TSA.Chain()[1]}}
	if _, err := mixed.Marshal(); err == nil {
		t.Error("a chain with another root was written")
	}
	text := string(good)
	for name, bad := range map[string]string{
		"empty":            "",
		"trailing":         text + "{}",
		"unknown field":    strings.Replace(text, `"mediaType"`, `"x": 1, "mediaType"`, 1),
		"duplicate field":  strings.Replace(text, `"tlogs"`, `"TLOGS": [], "tlogs"`, 1),
		"media type":       strings.Replace(text, "version=0.1", "version=0.2", 1),
		"other origin":     strings.Replace(text, "https://log.bank.example", "https://log.bank.evil", 1),
		"origin with path": strings.Replace(text, `"baseUrl": "https://log.bank.example"`, `"baseUrl": "https://log.bank.example/x"`, 1),
		"plain http":       strings.Replace(text, `"baseUrl": "https://log.bank.example"`, `"baseUrl": "http://log.bank.example"`, 1),
		"hash":             strings.Replace(text, "SHA2_256", "SHA2_512", 1),
		"no start":         strings.Replace(text, `"start": "2026`, `"end": "2026`, 1),
		"two periods":      strings.Replace(text, `"start": "2026-11-24T09:59:00Z"`, `"start": "2025-11-24T09:59:00Z"`, 2),
		"deep":             strings.Repeat("[", 100),
		"long":             strings.Repeat(" ", maxTrustedRoot+1),
	} {
		if _, err := ParseTrustedRoot([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
