//go:build interop

package interop

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/pack"
)

// evidence is what an outside party holds: the pack, unpacked, and the trusted
// root beside it. The server that made it still runs at base.
type evidence struct {
	demo, dir string
	root      string // path of trusted_root.json, not the pack's own
	rootBytes []byte
	base      string
	manifest  pack.Manifest
	bundles   []bundleFile
}

// bundleFile is one bundle and what the manifest tells a stock tool about it.
// The export bundle is outside the manifest: its certificate speaks for itself.
type bundleFile struct {
	pack.ManifestBundle
	raw []byte
}

var shared struct {
	evidence *evidence
	dir      string
	server   *exec.Cmd
}

func TestMain(m *testing.M) {
	code := m.Run()
	if s := shared.server; s != nil {
		_ = s.Process.Signal(os.Interrupt)
		if err := s.Wait(); err != nil {
			fmt.Println("the demo's server did not stop well:", err)
			code = max(code, 1)
		}
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// demo runs the demo once and leaves its server up, for all tests.
func demo(t *testing.T) *evidence {
	t.Helper()
	if shared.evidence != nil {
		return shared.evidence
	}
	binary := os.Getenv("AFFIDAVIT_BINARY")
	if binary == "" {
		t.Fatal("AFFIDAVIT_BINARY must name the built affidavit; make interop sets it")
	}
	dir, err := os.MkdirTemp("", "affidavit-interop-")
	check(t, err)
	shared.dir = dir
	e := &evidence{demo: filepath.Join(dir, "demo"), dir: filepath.Join(dir, "pack")}
	cmd := exec.Command(binary, "demo", "--dir", e.demo, "--serve")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	shared.server = cmd
	e.base = awaitServer(t, out)
	e.root = filepath.Join(e.demo, "trusted_root.json")
	e.rootBytes = read(t, e.root)
	unpack(t, filepath.Join(e.demo, "pack.zip"), e.dir)
	check(t, json.Unmarshal(read(t, filepath.Join(e.dir, pack.ManifestFile)), &e.manifest))
	for _, b := range e.manifest.Bundles {
		e.bundles = append(e.bundles, bundleFile{b, read(t, filepath.Join(e.dir, b.Path))})
	}
	e.bundles = append(e.bundles, exportBundle(t, read(t, filepath.Join(e.dir, pack.ExportFile))))
	if len(e.bundles) < 40 {
		t.Fatalf("the pack holds only %d bundles", len(e.bundles))
	}
	shared.evidence = e
	return e
}

// awaitServer reads the demo's output up to the line that names its server.
func awaitServer(t *testing.T, out io.Reader) string {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		address := regexp.MustCompile(`http://(127\.0\.0\.1|\[::1\]|localhost):\d+`)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			fmt.Println(lines.Text())
			if strings.Contains(lines.Text(), "stays up") {
				found <- address.FindString(lines.Text())
			}
		}
		close(found)
	}()
	select {
	case base := <-found:
		if base == "" {
			t.Fatal("the demo ended, or named no address")
		}
		return base
	case <-time.After(5 * time.Minute):
		t.Fatal("the demo takes more than five minutes")
	}
	return ""
}

func exportBundle(t *testing.T, raw []byte) bundleFile {
	t.Helper()
	b, err := attest.ParseBundle(raw)
	check(t, err)
	st, _, err := attest.DecodeStatement(b.Payload)
	check(t, err)
	m := pack.ManifestBundle{Path: pack.ExportFile, Index: b.LogIndex, Kind: attest.KindExport,
		PredicateType: st.PredicateType, Subject: st.Subject[0].Digest["sha256"]}
	if b.Certificate == nil {
		m.Key = "keys/" + attest.KeyID(b.PublicKey) + ".pub"
	} else {
		m.Identity, m.Issuer = identity(t, b.Certificate)
	}
	return bundleFile{m, raw}
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	z, err := zip.OpenReader(file)
	check(t, err)
	defer z.Close()
	for _, f := range z.File {
		if !filepath.IsLocal(f.Name) {
			t.Fatalf("the pack names %q", f.Name)
		}
		r, err := f.Open()
		check(t, err)
		b, err := io.ReadAll(r)
		check(t, errors.Join(err, r.Close()))
		write(t, filepath.Join(dir, f.Name), b)
	}
}

// offline runs a program with an empty home and no network: in a network
// namespace of its own where this user may make one, else behind a dead proxy.
func offline(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if isolated() {
		cmd = exec.Command("unshare", append([]string{"-n", name}, args...)...)
	}
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	return out.String(), err
}

func isolated() bool {
	return os.Getuid() == 0 && exec.Command("unshare", "-n", "true").Run() == nil
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed: make interop installs it", name)
	}
	return path
}

func fromEnv(t *testing.T, env string) string {
	t.Helper()
	path := os.Getenv(env)
	if path == "" {
		t.Fatalf("%s is not set: make interop sets it", env)
	}
	return path
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return b
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, b, 0o600))
	return path
}
