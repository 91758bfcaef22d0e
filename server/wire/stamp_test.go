package wire

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/server/stamp"
)

func TestStampSettings(t *testing.T) {
	base := Config{Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data"), LogLevel: "info"}
	for _, c := range []struct {
		name, field string
		set         func(*Config)
	}{
		{"off", "", func(*Config) {}},
		{"on", "", func(c *Config) { c.ExternalTSA, c.ExternalTSARoots = "https://tsa.example/rfc3161", "roots.pem" }},
		{"no roots", "external_tsa_roots", func(c *Config) { c.ExternalTSA = "https://tsa.example/" }},
		{"roots alone", "external_tsa_roots", func(c *Config) { c.ExternalTSARoots = "roots.pem" }},
		{"scheme", "external_tsa", func(c *Config) { c.ExternalTSA, c.ExternalTSARoots = "ldap://tsa.example/", "roots.pem" }},
		{"interval", "external_tsa_every", func(c *Config) { c.ExternalTSAEvery = "often" }},
		{"interval too short", "external_tsa_every", func(c *Config) { c.ExternalTSAEvery = "1ms" }},
	} {
		cfg := base
		c.set(&cfg)
		err := cfg.fill()
		var e *lineage.Error
		if c.field == "" && err != nil || c.field != "" && (!errors.As(err, &e) || e.Field != c.field) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && cfg.ExternalTSAEvery != "1m0s" {
			t.Errorf("%s: every %q", c.name, cfg.ExternalTSAEvery)
		}
	}
}

// TestStamperOfNode: the log's own checkpoint goes out, what comes back is
// judged by the roots file, and the log takes no harm from a failing authority.
func TestStamperOfNode(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	tsa, err := keys.NewTSA("elsewhere", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tsa.Chain()[1]}), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	cfg := Config{Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "data"), LogLevel: "info", ExternalTSA: server.URL, ExternalTSARoots: roots}
	n, err := Open(ctx, cfg, Options{Password: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(ctx)
	s, err := n.Stamper()
	if err != nil || s == nil {
		t.Fatalf("%v %v", s, err)
	}
	note, size, err := n.checkpoint(ctx)
	kept, fileErr := os.ReadFile(n.Config.CheckpointFile)
	if err != nil || fileErr != nil || size < 1 || note != string(kept) || !strings.HasPrefix(note, n.Ledger.Keys().Log.Origin()+"\n") {
		t.Fatalf("size %d %v %v\n%s\nfile: %s", size, err, fileErr, note, kept)
	}
	var r *stamp.Refusal
	if stamped, err := s.Once(ctx); stamped || !errors.As(err, &r) || r.Reason != stamp.ReasonStatus || asked != 1 {
		t.Fatalf("%v %v, asked %d", stamped, err, asked)
	}
	if _, err := os.Stat(stamp.Dir(n.Config.CheckpointFile)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("something was kept: %v", err)
	}
	if err := n.Ledger.Ready(ctx); err != nil {
		t.Fatalf("not ready: %v", err)
	}
	if err := os.WriteFile(roots, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	var e *lineage.Error
	if _, err := n.Stamper(); !errors.As(err, &e) || e.Field != "external_tsa_roots" {
		t.Fatal(err)
	}
	n.Config.ExternalTSA = ""
	if s, err := n.Stamper(); s != nil || err != nil {
		t.Fatalf("off: %v %v", s, err)
	}
}
