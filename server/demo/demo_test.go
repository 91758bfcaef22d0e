package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"affidavit/attest/pack"
	"affidavit/lineage"
)

// lived is the demo's directory, lived once for all tests of the package.
var lived struct {
	once sync.Once
	dir  string
	out  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if lived.dir != "" {
		os.RemoveAll(filepath.Dir(lived.dir))
	}
	os.Exit(code)
}

// live runs the demo once and returns its directory and what it printed.
func live(t *testing.T) (dir, out string) {
	t.Helper()
	lived.once.Do(func() {
		var parent string
		if parent, lived.err = os.MkdirTemp("", "affidavit-demo-*"); lived.err != nil {
			return
		}
		lived.dir = filepath.Join(parent, "demo")
		var w bytes.Buffer
		lived.err = Run(context.Background(), Options{Dir: lived.dir, Out: &w, Progress: io.Discard, Version: "test", Listen: "127.0.0.1:0"})
		lived.out = w.String()
	})
	if lived.err != nil {
		t.Fatal(lived.err)
	}
	return lived.dir, lived.out
}

func TestDemo(t *testing.T) {
	dir, out := live(t)
	for _, want := range []string{"African American 0.28319, others 0.09260", "verified offline", "refused: erin-engineer", "cosign verify-blob-attestation", "pdfsig -nocert"} {
		if !strings.Contains(out, want) {
			t.Errorf("the summary lacks %q", want)
		}
	}
	var s Summary
	b, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Versions) != 3 || !s.Pack.Verified || !s.Canary.Simulated || s.Canary.Verdict != "promote" || s.Serving != "3" {
		t.Errorf("%+v", s)
	}
	for _, v := range s.Versions {
		if auc := v.Metrics["auc"]; auc < .75 || auc > .9 {
			t.Errorf("version %s has AUC %v on held-out rows", v.Version, auc)
		}
	}
	if got := []string{s.Windows[0].Verdict, s.Windows[1].Verdict, s.Windows[2].Verdict}; strings.Join(got, " ") != "stable alert retrain" {
		t.Errorf("windows: %v", got)
	}
	// Everything is below the directory that was named, and nothing is beside it.
	beside, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(beside) != 1 {
		t.Errorf("beside the demo's directory: %v %v", beside, err)
	}
}

func TestDirectoryMustBeEmpty(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(context.Background(), Options{Dir: dir, Out: io.Discard, Progress: io.Discard, Listen: "127.0.0.1:0"})
	if lineage.CodeOf(err) != lineage.CodeInvalid || !strings.Contains(err.Error(), "not empty") {
		t.Fatalf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("something was written: %v", left)
	}
}

func TestPackNeedsARootFromOutside(t *testing.T) {
	dir, _ := live(t)
	b, err := os.ReadFile(filepath.Join(dir, "pack.zip"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(dir, "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s Summary
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    pack.Options
		want int
	}{
		{"trusted root", pack.Options{TrustedRoot: root}, pack.ExitVerified},
		{"log key", pack.Options{LogKeyFingerprint: s.LogKey}, pack.ExitVerified},
		{"nothing", pack.Options{}, pack.ExitUnanchored},
		{"another log's key", pack.Options{LogKeyFingerprint: strings.Repeat("a", 64)}, pack.ExitRefused},
	} {
		rep, err := pack.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), c.o)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Exit() != c.want {
			t.Errorf("%s: exit %d, want %d: %v", c.name, rep.Exit(), c.want, rep.Refusals)
		}
	}
}
