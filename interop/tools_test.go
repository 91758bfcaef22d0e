//go:build interop

package interop

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack"
)

// identity reads what cosign is to be told about a certificate: its e-mail
// address and, from the extension 1.3.6.1.4.1.57264.1.8, its issuer.
func identity(t *testing.T, der []byte) (email, issuer string) {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	for _, x := range cert.Extensions {
		if x.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}) {
			_, err := asn1.Unmarshal(x.Value, &issuer)
			check(t, err)
		}
	}
	if len(cert.EmailAddresses) != 1 || issuer == "" {
		t.Fatalf("the certificate names %v by %q", cert.EmailAddresses, issuer)
	}
	return cert.EmailAddresses[0], issuer
}

func cosignArgs(e *evidence, b bundleFile, file string) []string {
	args := []string{"verify-blob-attestation", "--bundle", file, "--trusted-root", e.root, "--use-signed-timestamps", "--type", b.PredicateType}
	if b.Key != "" {
		args = append(args, "--key", filepath.Join(e.dir, b.Key))
	} else {
		args = append(args, "--certificate-identity", b.Identity, "--certificate-oidc-issuer", b.Issuer)
	}
	return append(args, "--digestAlg", "sha256", "--digest")
}

// TestCosign: stock cosign takes every bundle of the pack, and none of them
// for another artefact or when its proof is altered.
func TestCosign(t *testing.T) {
	cosign := fromEnv(t, "AFFIDAVIT_COSIGN")
	out, err := offline(t, cosign, "version")
	if err != nil || !strings.Contains(out, "v3.1.3") {
		t.Fatalf("cosign is not v3.1.3: %v\n%s", err, out)
	}
	e := demo(t)
	var mu sync.Mutex
	keyed, certified := 0, 0
	forged := filepath.Join(t.TempDir(), "forged.sigstore.json")
	t.Run("bundles", func(t *testing.T) {
		half := make(chan struct{}, 2)
		for _, b := range e.bundles {
			t.Run(b.Path, func(t *testing.T) {
				t.Parallel()
				half <- struct{}{}
				defer func() { <-half }()
				args := cosignArgs(e, b, filepath.Join(e.dir, b.Path))
				if out, err := offline(t, cosign, append(args, b.Subject)...); err != nil {
					t.Errorf("cosign refuses entry %d (%s): %v\n%s", b.Index, b.Kind, err, out)
				}
				mu.Lock()
				defer mu.Unlock()
				if b.Key != "" {
					keyed++
				} else {
					certified++
				}
			})
		}
	})
	t.Logf("cosign verified %d bundles by key and %d by certificate; network cut off: %v", keyed, certified, isolated())
	if keyed == 0 || certified == 0 {
		t.Error("both kinds must be there")
	}
	for _, b := range []bundleFile{e.bundles[0], e.bundles[len(e.bundles)-1]} {
		other := strings.Repeat("0", 64)
		if out, err := offline(t, cosign, append(cosignArgs(e, b, filepath.Join(e.dir, b.Path)), other)...); err == nil {
			t.Errorf("cosign takes %s for another artefact, so this test proves nothing\n%s", b.Path, out)
		}
		write(t, forged, alter(t, b.raw, func(b *attest.Bundle) { b.Proof.Hashes[0][0] ^= 1 }))
		if out, err := offline(t, cosign, append(cosignArgs(e, b, forged), b.Subject)...); err == nil {
			t.Errorf("cosign takes %s with an altered proof, so this test proves nothing\n%s", b.Path, out)
		}
	}
}

// alter rewrites a bundle after edit.
func alter(t *testing.T, raw []byte, edit func(*attest.Bundle)) []byte {
	t.Helper()
	b, err := attest.ParseBundle(raw)
	check(t, err)
	edit(b)
	out, err := attest.MarshalBundle(&b.Signed, b.Proof, b.Timestamp)
	check(t, err)
	return out
}

// TestOpenSSL: openssl takes the timestamp of every bundle, over its signature
// and no other bytes.
func TestOpenSSL(t *testing.T) {
	openssl := tool(t, "openssl")
	e := demo(t)
	root, err := keys.ParseTrustedRoot(e.rootBytes)
	check(t, err)
	dir := t.TempDir()
	var pems []byte
	for _, chain := range root.TSAs {
		pems = append(pems, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1]})...)
	}
	ca := write(t, filepath.Join(dir, "tsa.pem"), pems)
	for i, f := range e.bundles {
		b, err := attest.ParseBundle(f.raw)
		check(t, err)
		in := write(t, filepath.Join(dir, "response.tsr"), b.Timestamp)
		data := write(t, filepath.Join(dir, "signature"), b.Signature)
		args := []string{"ts", "-verify", "-in", in, "-data", data, "-CAfile", ca}
		if out, err := offline(t, openssl, args...); err != nil {
			t.Errorf("%s: openssl refuses its timestamp: %v\n%s", f.Path, err, out)
		}
		if i == 0 {
			write(t, data, append(b.Signature, 0))
			if out, err := offline(t, openssl, args...); err == nil {
				t.Errorf("openssl takes the timestamp for other bytes, so this test proves nothing\n%s", out)
			}
		}
	}
	t.Logf("openssl verified %d timestamps", len(e.bundles))
}

// TestPDF: pdfsig finds each document's signatures valid, qpdf its structure sound.
func TestPDF(t *testing.T) {
	pdfsig, qpdf := tool(t, "pdfsig"), tool(t, "qpdf")
	e := demo(t)
	files, err := filepath.Glob(filepath.Join(e.demo, "documents", "*.pdf"))
	check(t, err)
	packed, err := filepath.Glob(filepath.Join(e.dir, "documents", "*.pdf"))
	check(t, err)
	if len(files) < 3 || len(packed) < 3 {
		t.Fatalf("%d documents beside the pack, %d inside it; three are promised", len(files), len(packed))
	}
	for _, f := range append(files, packed...) {
		out, err := offline(t, pdfsig, "-nocert", f)
		valid := strings.Count(out, "Signature Validation: Signature is Valid.")
		if err != nil || valid == 0 || valid != strings.Count(out, "Signature Validation:") {
			t.Errorf("%s: %v\n%s", filepath.Base(f), err, out)
		}
		if out, err := offline(t, qpdf, "--check", f); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(f), err, out)
		}
	}
	edited := read(t, files[0])
	edited[len(edited)/3] ^= 1
	out, _ := offline(t, pdfsig, "-nocert", write(t, filepath.Join(t.TempDir(), "edited.pdf"), edited))
	if strings.Contains(out, "Signature is Valid") {
		t.Errorf("pdfsig takes an edited document, so this test proves nothing\n%s", out)
	}
	t.Logf("pdfsig and qpdf accept %d documents", len(files)+len(packed))
}

// TestModelSigning: the model_signing package verifies each model's bundle
// over the files as the blob store has them.
func TestModelSigning(t *testing.T) {
	python := fromEnv(t, "AFFIDAVIT_MODEL_SIGNING")
	e := demo(t)
	n := 0
	for _, f := range e.bundles {
		if f.Kind != attest.KindModelSignature {
			continue
		}
		n++
		b, err := attest.ParseBundle(f.raw)
		check(t, err)
		st, _, err := attest.DecodeStatement(b.Payload)
		check(t, err)
		var p struct {
			Resources []struct{ Name, Digest string }
		}
		check(t, json.Unmarshal(st.Predicate, &p))
		model := filepath.Join(t.TempDir(), "model")
		last := ""
		for _, r := range p.Resources {
			last = write(t, filepath.Join(model, r.Name), read(t, filepath.Join(e.demo, "data", "blobs", r.Digest[:2], r.Digest)))
		}
		args := []string{"-m", "model_signing", "verify", "key", "--signature", filepath.Join(e.dir, f.Path), "--public_key", filepath.Join(e.dir, f.Key), model}
		if out, err := offline(t, python, args...); err != nil {
			t.Errorf("%s: model_signing refuses: %v\n%s", f.Path, err, out)
		}
		write(t, last, append(read(t, last), 0))
		if out, err := offline(t, python, args...); err == nil {
			t.Errorf("%s: model_signing takes a changed model, so this test proves nothing\n%s", f.Path, out)
		}
	}
	if n == 0 {
		t.Fatal("the pack holds no model signature")
	}
	t.Logf("model_signing verified %d models", n)
}

// TestOurVerifier: the command itself, network off, with the exit codes that it promises.
func TestOurVerifier(t *testing.T) {
	binary := fromEnv(t, "AFFIDAVIT_BINARY")
	e := demo(t)
	zip := filepath.Join(e.demo, "pack.zip")
	out, err := offline(t, binary, "verify", zip, "--trusted-root", e.root)
	if err != nil || !strings.Contains(out, "VERIFIED") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = offline(t, binary, "verify", zip)
	if fmt.Sprint(err) != "exit status 3" || !strings.Contains(out, "UNANCHORED") {
		t.Errorf("without a root: %v\n%s", err, out)
	}
	bundle := filepath.Join(e.dir, e.bundles[0].Path)
	if out, err := offline(t, binary, "verify", bundle, "--trusted-root", e.root); err != nil {
		t.Errorf("a lone bundle: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(e.dir, pack.VerifyFile)); err != nil {
		t.Error(err)
	}
}
