package stamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/digitorus/timestamp"

	"affidavit/attest/keys"
)

func noteOf(size int64) string {
	return fmt.Sprintf("log.example\n%d\n%x\n\n— log.example c2lnbmF0dXJl\n", size, sha256.Sum256([]byte{byte(size)}))
}

// head is a source whose size a test moves.
type head struct {
	mu   sync.Mutex
	size int64
}

func (h *head) set(size int64) { h.mu.Lock(); h.size = size; h.mu.Unlock() }

func (h *head) current(context.Context) (string, int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return noteOf(h.size), h.size, nil
}

func newStamper(t *testing.T, source Source, url string, roots *Roots, timeout time.Duration, dir string, log io.Writer) *Stamper {
	t.Helper()
	a, err := NewAuthority(url, roots, timeout)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Source: source, Authority: a, Dir: dir, Every: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func once(t *testing.T, s *Stamper, want bool) {
	t.Helper()
	got, err := s.Once(context.Background())
	if err != nil || got != want {
		t.Fatalf("stamped %v, %v; want %v", got, err, want)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestStamped(t *testing.T) {
	for _, kind := range []leafKind{{}, {rsa: true}} {
		t.Run(fmt.Sprintf("rsa=%v", kind.rsa), func(t *testing.T) {
			a := newAuthority(t, kind)
			dir := Dir(filepath.Join(t.TempDir(), "log.checkpoint"))
			h := &head{size: 7}
			once(t, newStamper(t, h.current, a.server.URL, a.roots(), 0, dir, io.Discard), true)
			if got := names(t, dir); fmt.Sprint(got) != "[7.checkpoint 7.tsr]" {
				t.Fatalf("kept %v", got)
			}
			note, err := os.ReadFile(filepath.Join(dir, "7.checkpoint"))
			if err != nil || string(note) != noteOf(7) {
				t.Fatalf("%q %v", note, err)
			}
			tsr, err := os.ReadFile(filepath.Join(dir, "7.tsr"))
			if err != nil {
				t.Fatal(err)
			}
			at, err := a.roots().Verify(tsr, note)
			if err != nil || time.Since(at).Abs() > time.Minute {
				t.Fatalf("%s %v", at, err)
			}
			if !kind.rsa {
				// The verifier of keys is other code; it takes ECDSA leaves only.
				other, err := keys.VerifyTimestamp(tsr, note, [][]byte{a.leaf.Raw, a.middle.Raw, a.root.Raw})
				if err != nil || !other.Equal(at) {
					t.Fatalf("keys: %s %v, ours %s", other, err, at)
				}
			}
			opensslVerifies(t, a, dir)

			// The head stays: nobody is asked, also after a restart.
			again := newStamper(t, h.current, a.server.URL, a.roots(), 0, dir, io.Discard)
			once(t, again, false)
			if n := a.asked.Load(); n != 1 {
				t.Fatalf("asked %d times", n)
			}
			h.set(9)
			once(t, again, true)
			if got := names(t, dir); fmt.Sprint(got) != "[7.checkpoint 7.tsr 9.checkpoint 9.tsr]" || a.asked.Load() != 2 {
				t.Fatalf("kept %v, asked %d", got, a.asked.Load())
			}
		})
	}
}

func opensslVerifies(t *testing.T, a *authority, dir string) {
	t.Helper()
	bin, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("openssl is not installed: its verdict is not asked for")
		return
	}
	ca := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(ca, a.rootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"ts", "-verify", "-data", filepath.Join(dir, "7.checkpoint"), "-in", filepath.Join(dir, "7.tsr"), "-CAfile", ca}
	if out, err := exec.Command(bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	altered := filepath.Join(t.TempDir(), "altered")
	if err := os.WriteFile(altered, []byte(noteOf(8)), 0o600); err != nil {
		t.Fatal(err)
	}
	args[3] = altered
	if out, err := exec.Command(bin, args...).CombinedOutput(); err == nil {
		t.Fatalf("openssl takes another checkpoint\n%s", out)
	}
}

// TestRefused: each answer is refused by name, nothing is kept, and a good
// answer afterwards is.
func TestRefused(t *testing.T) {
	tsa, err := keys.NewTSA("built-in", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := newAuthority(t, leafKind{})
	cases := []struct {
		name   string
		reason Reason
		kind   leafKind
		set    func(*authority)
	}{
		{"wrong imprint", ReasonImprint, leafKind{}, func(a *authority) {
			a.change = func(ts *timestamp.Timestamp) { ts.HashedMessage = make([]byte, 32) }
		}},
		{"wrong nonce", ReasonNonce, leafKind{}, func(a *authority) {
			a.change = func(ts *timestamp.Timestamp) { ts.Nonce = new(big.Int).Add(ts.Nonce, big.NewInt(1)) }
		}},
		{"no nonce", ReasonNonce, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, _ *http.Request, _ *timestamp.Request) {
				der, err := tsa.Stamp([]byte(noteOf(5)), time.Now())
				if err != nil {
					t.Error(err)
				}
				reply(w, der)
			}
		}},
		{"other chain", ReasonChain, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, _ *http.Request, q *timestamp.Request) { reply(w, elsewhere.stamp(q)) }
		}},
		{"time outside the certificate", ReasonChain, leafKind{}, func(a *authority) {
			a.change = func(ts *timestamp.Timestamp) { ts.Time = ts.Time.Add(-365 * 24 * time.Hour) }
		}},
		{"expired certificate", ReasonMalformed, leafKind{expired: true}, func(*authority) {}},
		{"certificate for code", ReasonSigner, leafKind{codeSigning: true}, func(*authority) {}},
		{"usage not critical", ReasonSigner, leafKind{notCritical: true}, func(*authority) {}},
		{"no certificate", ReasonSigner, leafKind{}, func(a *authority) {
			a.change = func(ts *timestamp.Timestamp) { ts.AddTSACertificate, ts.Certificates = false, nil }
		}},
		{"signature altered", ReasonMalformed, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, _ *http.Request, q *timestamp.Request) {
				der := a.stamp(q)
				der[len(der)-1] ^= 1
				reply(w, der)
			}
		}},
		{"authority says no", ReasonMalformed, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, _ *http.Request, _ *timestamp.Request) {
				der, err := timestamp.CreateErrorResponse(timestamp.Rejection, timestamp.SystemFailure)
				if err != nil {
					t.Error(err)
				}
				reply(w, der)
			}
		}},
		{"oversized", ReasonTooLarge, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, _ *http.Request, q *timestamp.Request) {
				reply(w, append(a.stamp(q), make([]byte, MaxAnswer)...))
			}
		}},
		{"redirect", ReasonRedirect, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, r *http.Request, _ *timestamp.Request) {
				http.Redirect(w, r, elsewhere.server.URL, http.StatusTemporaryRedirect)
			}
		}},
		{"500", ReasonStatus, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, _ *http.Request, _ *timestamp.Request) { w.WriteHeader(500) }
		}},
		{"web page", ReasonMediaType, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, _ *http.Request, _ *timestamp.Request) {
				io.WriteString(w, "<html>sign in</html>")
			}
		}},
		{"silence", ReasonTimeout, leafKind{}, func(a *authority) {
			a.answer = func(_ http.ResponseWriter, r *http.Request, _ *timestamp.Request) { <-r.Context().Done() }
		}},
		{"half an answer", ReasonTimeout, leafKind{}, func(a *authority) {
			a.answer = func(w http.ResponseWriter, r *http.Request, q *timestamp.Request) {
				reply(w, a.stamp(q)[:100])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
		}},
		{"connection cut", ReasonUnreachable, leafKind{}, func(a *authority) {
			a.answer = func(http.ResponseWriter, *http.Request, *timestamp.Request) { panic(http.ErrAbortHandler) }
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := newAuthority(t, c.kind)
			c.set(a)
			timeout := 5 * time.Second
			if c.reason == ReasonTimeout {
				timeout = 150 * time.Millisecond
			}
			dir := filepath.Join(t.TempDir(), "stamps")
			h := &head{size: 5}
			s := newStamper(t, h.current, a.server.URL, a.roots(), timeout, dir, io.Discard)
			stamped, err := s.Once(context.Background())
			var r *Refusal
			if stamped || !errors.As(err, &r) || r.Reason != c.reason {
				t.Fatalf("stamped %v: %v; want reason %s", stamped, err, c.reason)
			}
			if got := names(t, dir); len(got) != 0 {
				t.Fatalf("kept %v", got)
			}
			if c.kind != (leafKind{}) {
				return
			}
			a.honest()
			once(t, newStamper(t, h.current, a.server.URL, a.roots(), 0, dir, io.Discard), true)
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Fatalf("the redirect was followed %d times", n)
	}
}

// TestExchangedCertificate: a second certificate for the same key, name and
// serial does not take the first one's place.
func TestExchangedCertificate(t *testing.T) {
	a := newAuthority(t, leafKind{})
	first := a.leaf
	template := *first
	template.ExtKeyUsage, template.NotBefore = nil, first.NotBefore.Add(-time.Hour)
	for _, e := range first.Extensions {
		if e.Id.Equal(oidExtKeyUsage) {
			template.ExtraExtensions = append(template.ExtraExtensions, e)
		}
	}
	other := first
	// ECDSA signatures differ in length; the DER around must not move.
	for n := 0; bytes.Equal(other.Raw, first.Raw) || len(other.Raw) != len(first.Raw); n++ {
		if n > 1000 {
			t.Fatal("no certificate of the same length")
		}
		other = issue(t, &template, a.middle, a.key.Public(), a.by)
	}
	sum := sha256.Sum256([]byte("x"))
	der := a.stamp(&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Nonce: big.NewInt(1)})
	if _, err := a.roots().Verify(der, []byte("x")); err != nil {
		t.Fatal(err)
	}
	der = bytes.Replace(der, first.Raw, other.Raw, 1)
	var r *Refusal
	if _, err := a.roots().Verify(der, []byte("x")); !errors.As(err, &r) || r.Reason != ReasonSigner || !strings.Contains(err.Error(), "another certificate") {
		t.Fatalf("%v", err)
	}
}

// TestRunRetries: failures are logged and tried again, and Run ends with ctx.
func TestRunRetries(t *testing.T) {
	a := newAuthority(t, leafKind{})
	a.answer = func(w http.ResponseWriter, _ *http.Request, q *timestamp.Request) {
		if a.asked.Load() < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		reply(w, a.stamp(q))
	}
	dir := filepath.Join(t.TempDir(), "stamps")
	h := &head{size: 5}
	var log bytes.Buffer
	s := newStamper(t, h.current, a.server.URL, a.roots(), 0, dir, &log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "5.tsr")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("not stamped within 10 s")
		}
	}
	cancel()
	<-done
	if n := strings.Count(log.String(), "reason=status"); n != 2 || a.asked.Load() != 3 {
		t.Fatalf("%d failures logged, asked %d times:\n%s", n, a.asked.Load(), log.String())
	}
}

// TestOtherHistory: a stamped checkpoint is not replaced by another of its size.
func TestOtherHistory(t *testing.T) {
	a := newAuthority(t, leafKind{})
	dir := filepath.Join(t.TempDir(), "stamps")
	h := &head{size: 5}
	once(t, newStamper(t, h.current, a.server.URL, a.roots(), 0, dir, io.Discard), true)
	forked := func(context.Context) (string, int64, error) { return noteOf(6), 5, nil }
	_, err := newStamper(t, forked, a.server.URL, a.roots(), 0, dir, io.Discard).Once(context.Background())
	if err == nil || !strings.Contains(err.Error(), "call your auditor") {
		t.Fatal(err)
	}
	witnessed := func(context.Context) (string, int64, error) {
		return noteOf(5) + "— witness.example Y29zaWc=\n", 5, nil
	}
	once(t, newStamper(t, witnessed, a.server.URL, a.roots(), 0, dir, io.Discard), false)
	if text, err := os.ReadFile(filepath.Join(dir, "5.checkpoint")); err != nil || string(text) != noteOf(5) || a.asked.Load() != 1 {
		t.Fatalf("%q %v, asked %d", text, err, a.asked.Load())
	}
	// A crash between the two files: the size is stamped again.
	if err := os.Remove(filepath.Join(dir, "5.tsr")); err != nil {
		t.Fatal(err)
	}
	once(t, newStamper(t, h.current, a.server.URL, a.roots(), 0, dir, io.Discard), true)
}

func TestConfiguration(t *testing.T) {
	a := newAuthority(t, leafKind{})
	for _, u := range []string{"", "ftp://tsa.example/", "file:///etc/passwd", "https://", "http://user:secret@tsa.example/", "tsa.example", "http://[::1"} {
		if _, err := NewAuthority(u, a.roots(), 0); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
	if _, err := NewAuthority("https://tsa.example/rfc3161", nil, 0); err == nil {
		t.Error("no roots")
	}
	leaf := bytes.ReplaceAll(a.rootPEM(), []byte("CERTIFICATE"), []byte("PRIVATE KEY"))
	for name, text := range map[string][]byte{"empty": nil, "text": []byte("hello"), "key": leaf, "trailing": append(a.rootPEM(), "junk"...),
		"many": bytes.Repeat(a.rootPEM(), maxRoots+1), "no certificate": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")} {
		if _, err := ParseRoots(text); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("empty options")
	}
}

func FuzzVerify(f *testing.F) {
	tsa, err := keys.NewTSA("fuzz", time.Now().Add(-time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	der, err := tsa.Stamp([]byte("x"), time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
	roots, err := ParseRoots(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tsa.Chain()[1]}))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := roots.Verify(der, []byte("x")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := roots.Verify(b, []byte("y"))
		var r *Refusal
		if !errors.As(err, &r) {
			t.Fatalf("%v", err)
		}
	})
}
