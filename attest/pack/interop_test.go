//go:build interop

package pack_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/attest/pack"
)

// TestPageCommands unpacks a pack and runs the commands that its VERIFY.md
// gives, as they stand there, with the tools of others. AFFIDAVIT_COSIGN is
// cosign v3; jq, sha256sum and pdfsig are looked for on the path.
func TestPageCommands(t *testing.T) {
	cosign := os.Getenv("AFFIDAVIT_COSIGN")
	if cosign == "" {
		t.Skip("set AFFIDAVIT_COSIGN to run this test")
	}
	w := standard(t)
	signer := w.signers["audrey"]
	w.signers["audrey"] = w.certified("audrey@bank.example")
	w.write(w.input("all so far"), "audrey") // so that the pack holds a bundle with a certificate
	w.signers["audrey"] = signer
	f := files(t, w.export())
	dir, bin := t.TempDir(), t.TempDir()
	for name, b := range f {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	check(t, os.Symlink(cosign, filepath.Join(bin, "cosign")))
	sh := func(script string) (string, error) {
		cmd := exec.Command("sh", "-ec", script)
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + bin + ":" + os.Getenv("PATH"), "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	ran := 0
	page := strings.ReplaceAll(string(f[pack.VerifyFile]), "keys/EXPORTER.pub", "keys/"+attest.KeyID(signer.PublicKey())+".pub")
	for i, block := range strings.Split(page, "```") {
		tool, _, _ := strings.Cut(strings.TrimSpace(block), " ")
		if i%2 == 0 || tool == "affidavit" || tool == "model_signing" {
			continue
		}
		ran++
		out, err := sh(block)
		if err != nil || strings.Contains(out, "REFUSED") || (tool == "pdfsig" && !strings.Contains(out, "Signature is Valid")) {
			t.Errorf("%v\n%s\n%s", err, block, out)
		}
	}
	if ran != 6 {
		t.Errorf("%d commands were run, VERIFY.md should have 6 for tools of others", ran)
	}

	// The loop says REFUSED when a bundle is altered, so its silence counts.
	var m pack.Manifest
	check(t, json.Unmarshal(f[pack.ManifestFile], &m))
	victim := m.Bundles[5]
	check(t, os.WriteFile(filepath.Join(dir, victim.Path), edit(t, f[victim.Path], func(_, _, proof map[string]any) {
		hashes := proof["hashes"].([]any)
		hashes[0] = flip(t, hashes[0])
	}), 0o600))
	for i, block := range strings.Split(page, "```") {
		if i%2 == 1 && strings.Contains(block, "while IFS") {
			if out, err := sh(block); err != nil || strings.Count(out, "REFUSED") != 1 || !strings.Contains(out, "REFUSED "+victim.Path) {
				t.Errorf("an altered bundle: %v\n%s", err, out)
			}
		}
	}
}
