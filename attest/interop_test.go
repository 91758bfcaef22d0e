//go:build interop

package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"affidavit/attest/keys"
)

// These tests run programs that are not ours. AFFIDAVIT_COSIGN is cosign v3;
// AFFIDAVIT_MODEL_SIGNING a python with the model_signing package; openssl is
// looked for on the path.

func program(t *testing.T, env string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		t.Skipf("set %s to run this test", env)
	}
	return path
}

// run executes a program with an empty home and, where possible, no network.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"),
		"HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func writeFile(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func publicPEM(spki []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
}

func (f *fixture) rootFile(t *testing.T, dir string) string {
	t.Helper()
	b, err := f.set.TrustedRoot().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Join(dir, "trusted_root.json"), b)
}

func TestCosignVerifies(t *testing.T) {
	cosign := program(t, "AFFIDAVIT_COSIGN")
	f := newFixture(t)
	f.fill(t, 4)
	f.add(t, dataStatement(t, "by key"), f.set.Service)
	f.add(t, dataStatement(t, "by certificate"), f.certified(t, "alice@bank.example"))
	f.fill(t, 5)
	dir := t.TempDir()
	artefact := writeFile(t, filepath.Join(dir, "rows.csv"), []byte("rows"))
	wrong := writeFile(t, filepath.Join(dir, "wrong.csv"), []byte("other rows"))
	root := f.rootFile(t, dir)
	pub := writeFile(t, filepath.Join(dir, "signer.pub"), publicPEM(f.set.Service.PublicKey()))
	identity := []string{"--certificate-identity", "alice@bank.example", "--certificate-oidc-issuer", "https://idp.bank.example"}
	for _, test := range []struct {
		name  string
		index int64
		who   []string
	}{{"key", 4, []string{"--key", pub}}, {"certificate", 5, identity}} {
		bundle := writeFile(t, filepath.Join(dir, test.name+".sigstore.json"), f.bundle(t, test.index))
		args := append([]string{"verify-blob-attestation", "--bundle", bundle, "--trusted-root", root,
			"--use-signed-timestamps", "--type", PredicateBase + KindDataVersion + "/v1"}, test.who...)
		if out, err := run(t, nil, cosign, append(args, artefact)...); err != nil {
			t.Errorf("%s: cosign refuses: %v\n%s", test.name, err, out)
		}
		if out, err := run(t, nil, cosign, append(args, wrong)...); err == nil {
			t.Errorf("%s: cosign takes it for another artefact\n%s", test.name, out)
		}
		b, err := ParseBundle(f.bundle(t, test.index))
		if err != nil {
			t.Fatal(err)
		}
		b.Proof.Hashes[0][0] ^= 1
		raw, err := MarshalBundle(&b.Signed, b.Proof, b.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		args[2] = writeFile(t, filepath.Join(dir, test.name+".forged.json"), raw)
		if out, err := run(t, nil, cosign, append(args, artefact)...); err == nil {
			t.Errorf("%s: cosign takes a forged proof\n%s", test.name, out)
		}
	}
}

func TestCosignSharesKeyFiles(t *testing.T) {
	cosign := program(t, "AFFIDAVIT_COSIGN")
	dir := t.TempDir()
	ours := filepath.Join(dir, "ours.key")
	s, err := keys.GenerateFile(ours, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	password := []string{"COSIGN_PASSWORD=correct horse"}
	out, err := run(t, password, cosign, "public-key", "--key", ours)
	if err != nil || !bytes.Contains([]byte(out), bytes.TrimSpace(publicPEM(s.PublicKey()))) {
		t.Errorf("cosign does not read our key file: %v\n%s", err, out)
	}
	if out, err := run(t, password, cosign, "generate-key-pair", "--output-key-prefix", filepath.Join(dir, "theirs")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	theirs, err := keys.LoadFile(filepath.Join(dir, "theirs.key"), "correct horse")
	if err != nil {
		t.Fatalf("we do not read cosign's key file: %v", err)
	}
	want, err := os.ReadFile(filepath.Join(dir, "theirs.pub"))
	if err != nil || !bytes.Equal(want, publicPEM(theirs.PublicKey())) {
		t.Errorf("another public key than cosign's (%v)", err)
	}
}

func TestModelSigningVerifies(t *testing.T) {
	python := program(t, "AFFIDAVIT_MODEL_SIGNING")
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	files := map[string][32]byte{}
	for name, content := range map[string]string{"model.onnx": "weights", "a/b": "nested", "a-b": "beside", "sub/config.json": "{}"} {
		writeFile(t, filepath.Join(model, name), []byte(content))
		files[name] = sha256.Sum256([]byte(content))
	}
	f := newFixture(t)
	f.fill(t, 2)
	f.add(t, omsStatement(t, files), f.set.Service)
	pub := writeFile(t, filepath.Join(dir, "signer.pub"), publicPEM(f.set.Service.PublicKey()))
	sig := writeFile(t, filepath.Join(dir, "model.sig"), f.bundle(t, 2))
	args := []string{"-m", "model_signing", "verify", "key", "--signature", sig, "--public_key", pub, model}
	if out, err := run(t, nil, python, args...); err != nil {
		t.Errorf("model_signing refuses: %v\n%s", err, out)
	}
	writeFile(t, filepath.Join(model, "a-b"), []byte("changed"))
	if out, err := run(t, nil, python, args...); err == nil {
		t.Errorf("model_signing takes a changed model\n%s", out)
	}
}

func TestOpenSSLReadsTimestamps(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl on the path")
	}
	f := newFixture(t)
	dir := t.TempDir()
	message := writeFile(t, filepath.Join(dir, "message"), []byte("a message"))
	resp, err := f.set.TSA.Stamp([]byte("a message"), fixtureTime)
	if err != nil {
		t.Fatal(err)
	}
	in := writeFile(t, filepath.Join(dir, "resp.tsr"), resp)
	chain := f.set.TSA.Chain()
	ca := writeFile(t, filepath.Join(dir, "root.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[1]}))
	args := []string{"ts", "-verify", "-in", in, "-data", message, "-CAfile", ca, "-attime", "1795514400"}
	if out, err := run(t, nil, openssl, args...); err != nil {
		t.Errorf("openssl refuses: %v\n%s", err, out)
	}
	if out, err := run(t, nil, openssl, "ts", "-reply", "-in", in, "-text"); err != nil || !bytes.Contains([]byte(out), []byte("10:00:00.123456 2026")) {
		t.Errorf("openssl reads another time: %v\n%s", err, out)
	}
	writeFile(t, message, []byte("another message"))
	if out, err := run(t, nil, openssl, args...); err == nil {
		t.Errorf("openssl takes another message\n%s", out)
	}
}

// omsStatement signs a model: the subject is the version's root.
func omsStatement(t testing.TB, files map[string][32]byte) *Statement {
	t.Helper()
	p, root := OMSPredicate(files)
	digest := hex.EncodeToString(root[:])
	return mustStatement(t,
		fixtureStep(KindModelSignature, "oms", Relation{Type: RelGenerated, Ref: Ref{Kind: ArtefactVersion, Digest: digest, Name: "scorer 1"}}),
		[]Subject{{Name: "scorer", Digest: map[string]string{"sha256": digest}}}, p)
}
