package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
	"affidavit/rbac/sod"
	"affidavit/server/rest"
)

// filledWorld has more than one full tile of entries.
func filledWorld(t *testing.T, entries int) *world {
	w := newWorld(t)
	w.openProject()
	w.enrol("emil", "Emil Engineer", sod.RoleEngineer)
	bodies := make(chan []byte, entries)
	for i := range entries {
		bodies <- attest.MarshalSubmission(w.signData(fmt.Sprint("data ", i), "emil", "emil"))
	}
	close(bodies)
	failed := make(chan error, 32)
	for range cap(failed) {
		go func() {
			for b := range bodies {
				resp, err := http.Post(w.http.URL+"/api/v1/attestations", "application/json", bytes.NewReader(b))
				if err != nil {
					failed <- err
					return
				}
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					failed <- fmt.Errorf("status %d", resp.StatusCode)
					return
				}
			}
			failed <- nil
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// TestTesseraAcceptsOurTiles lets a client and a checker that others wrote
// read the whole log.
func TestTesseraAcceptsOurTiles(t *testing.T) {
	w := filledWorld(t, 300)
	at, err := url.Parse(w.http.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	fetch, err := client.NewHTTPFetcher(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	hasher := func(bundle []byte) ([][]byte, error) {
		var eb api.EntryBundle
		if err := eb.UnmarshalText(bundle); err != nil {
			return nil, err
		}
		var out [][]byte
		for _, e := range eb.Entries {
			out = append(out, rfc6962.DefaultHasher.HashLeaf(e))
		}
		return out, nil
	}
	verifier := w.keys.Log.Verifier()
	if err := fsck.New(verifier.Name(), verifier, fetch, hasher, fsck.Opts{N: 2}).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	cp, _, _, err := client.FetchCheckpoint(t.Context(), fetch.ReadCheckpoint, verifier, verifier.Name())
	if err != nil || cp.Size < 300 {
		t.Fatalf("checkpoint of size %d: %v", cp.Size, err)
	}
	prover, err := client.NewProofBuilder(t.Context(), cp.Size, fetch.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint64{0, 5, 255, 256, cp.Size - 1} {
		path, err := prover.InclusionProof(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := fetch.ReadEntryBundle(t.Context(), index/256, uint8(min(256, cp.Size-index/256*256)%256))
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := hasher(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, cp.Size, leaves[index%256], path, cp.Hash); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}

func TestTiles(t *testing.T) {
	w := filledWorld(t, 280)
	_, header, checkpoint := w.get("/checkpoint")
	if header.Get("Content-Type") != "text/plain; charset=utf-8" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("checkpoint headers %v", header)
	}
	cp, err := tlog.ParseCheckpoint(string(checkpoint), w.keys.Log.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	rest0 := cp.Size - 256
	for path, want := range map[string]int{
		"/tile/0/000":                                256 * 32,
		"/tile/0/000.p/5":                            5 * 32,
		"/tile/0/001.p/3":                            3 * 32,
		"/tile/1/000.p/1":                            32,
		"/tile/entries/000":                          -1,
		fmt.Sprintf("/tile/0/001.p/%d", rest0):       int(rest0) * 32,
		fmt.Sprintf("/tile/entries/001.p/%d", rest0): -1,
	} {
		code, header, body := w.get(path)
		if code != 200 || want >= 0 && len(body) != want || header.Get("Content-Type") != "application/octet-stream" ||
			!strings.Contains(header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %d bytes, %v", path, code, len(body), header)
		}
		if entries := strings.Contains(path, "entries"); entries == strings.Contains(header.Get("Cache-Control"), "public") {
			t.Errorf("%s: cache %q", path, header.Get("Cache-Control"))
		}
	}
	for path, want := range map[string]int{
		fmt.Sprintf("/tile/0/001.p/%d", rest0+1): 404, "/tile/0/001": 404, "/tile/1/000": 404, "/tile/2/000.p/1": 404,
		"/tile/entries/002": 404, "/tile/0/x001/234": 404, "/tile/5/000": 404,
		"/tile/0/0": 400, "/tile/0/000.p/0": 400, "/tile/0/000.p/256": 400, "/tile/-1/000": 400, "/tile/00/000": 400,
		"/tile/6/000": 400, "/tile/0/x000/001": 400, "/tile/entries/000.p/05": 400, "/tile/0/999/999": 400, "/tile/0/": 400,
		"/tile/0/x999/x999/x999/x999/x999/x999/999": 400,
	} {
		code, header, body := w.get(path)
		if code != want || strings.Contains(header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, want %d: %s", path, code, want, body)
		}
	}
}

func TestEntriesAndBundles(t *testing.T) {
	w := filledWorld(t, 6)
	code, _, body := w.get("/api/v1/log/entries/5")
	var e rest.Entry
	if err := json.Unmarshal(body, &e); code != 200 || err != nil {
		t.Fatalf("%d %v", code, err)
	}
	if e.Index != 5 || e.Kind != attest.KindDataVersion || e.Actor != "emil" || e.Project != "lending" || e.Claimed == nil || len(e.Relations) != 1 {
		t.Fatalf("%+v", e)
	}
	verifier, err := attest.NewVerifier(trustedRoot(t, w))
	if err != nil {
		t.Fatal(err)
	}
	b, err := attest.ParseBundle(e.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verifier.Verify(b)
	if err != nil || v.Index != 5 || v.PAE != e.PAE {
		t.Fatalf("%+v %v", v, err)
	}
	middle := w.submit(w.signData("middle", "emil", "emil")).Index + 1
	w.submit(w.signData("last", "emil", "emil"))
	_, header, file := w.get(fmt.Sprintf("/api/v1/log/entries/5/bundle?size=%d", middle))
	if !strings.HasPrefix(header.Get("Content-Disposition"), "attachment;") {
		t.Errorf("bundle is shown inline: %v", header)
	}
	if b, err = attest.ParseBundle(file); err != nil || b.Proof.Size != middle {
		t.Fatalf("not proved to size %d: %v", middle, err)
	}
	_, _, key := w.get("/api/v1/log/entries/5/key")
	block, _ := pem.Decode(key)
	if block == nil || attest.KeyID(block.Bytes) != e.KeyID {
		t.Errorf("key %s", key)
	}
	for path, want := range map[string]int{"/api/v1/log/entries/999": 404, "/api/v1/log/entries/-1": 400, "/api/v1/log/entries/x": 400,
		"/api/v1/log/entries/05": 400, "/api/v1/log/entries/5/bundle?size=5": 400, "/api/v1/log/entries/5/bundle?size=999": 400,
		"/api/v1/log/entries/999/bundle": 404, "/api/v1/log/entries/5/key?size=6": 400, "/api/v1/log/entries/99999999999999999999": 400} {
		if code, _, body := w.get(path); code != want {
			t.Errorf("%s: %d, want %d: %s", path, code, want, body)
		}
	}
}

func trustedRoot(t *testing.T, w *world) *keys.TrustedRoot {
	t.Helper()
	_, _, raw := w.get("/trusted_root.json")
	root, err := keys.ParseTrustedRoot(raw)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestEntryListPages(t *testing.T) {
	w := filledWorld(t, 9)
	for _, newest := range []string{"false", "true"} {
		var seen []int64
		at, pages := "", 0
		for pages < 10 {
			pages++
			code, _, body := w.get("/api/v1/log/entries?kind=data-version&project=lending&actor=emil&limit=4&newest=" + newest + at)
			var list rest.EntryList
			if err := json.Unmarshal(body, &list); code != 200 || err != nil {
				t.Fatalf("%d %s", code, body)
			}
			for _, e := range list.Entries {
				seen = append(seen, e.Index)
			}
			if list.Next == nil {
				break
			}
			at = fmt.Sprintf("&%s=%d", map[string]string{"false": "from", "true": "to"}[newest], *list.Next)
		}
		if len(seen) != 9 || pages != 3 {
			t.Fatalf("newest=%s: %v on %d pages", newest, seen, pages)
		}
		for i := 1; i < len(seen); i++ {
			if (seen[i] > seen[i-1]) == (newest == "true") {
				t.Errorf("newest=%s: %v", newest, seen)
			}
		}
	}
	for _, q := range []string{"kind=invented", "limit=0", "limit=x", "limit=1001", "colour=red", "kind=decision&kind=policy", "newest=maybe", "from=-1"} {
		if code, _, body := w.get("/api/v1/log/entries?" + q); code != 400 {
			t.Errorf("%s: %d %s", q, code, body)
		}
	}
	if code, _, body := w.get("/api/v1/log/entries?project=other"); code != 200 || !strings.Contains(string(body), `"entries":[]`) {
		t.Errorf("%d %s", code, body)
	}
}

// TestConsistency checks our answer with the proof library of others.
func TestConsistency(t *testing.T) {
	w := filledWorld(t, 20)
	for _, old := range []int64{1, 4, 5, 16, 24} {
		code, _, body := w.get(fmt.Sprintf("/api/v1/log/consistency?old=%d", old))
		var c rest.Consistency
		if err := json.Unmarshal(body, &c); code != 200 || err != nil {
			t.Fatalf("%d %s", code, body)
		}
		var hashes [][]byte
		for _, h := range c.Hashes {
			var raw []byte
			if _, err := fmt.Sscanf(h, "%x", &raw); err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, raw)
		}
		oldRoot, newRoot := w.rootAt(old), w.rootAt(c.New)
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(old), uint64(c.New), hashes, oldRoot, newRoot); err != nil {
			t.Errorf("from %d to %d: %v", old, c.New, err)
		}
		if c.NewCheckpoint == "" {
			t.Error("the head's checkpoint is missing")
		}
	}
	for _, q := range []string{"", "?old=-1", "?old=9999", "?old=5&new=4", "?old=x", "?old=1&new=9999"} {
		if code, _, body := w.get("/api/v1/log/consistency" + q); code != 400 {
			t.Errorf("%q: %d %s", q, code, body)
		}
	}
}

// rootAt computes the root from the leaves that the entry tiles give.
func (w *world) rootAt(size int64) []byte {
	w.t.Helper()
	code, _, raw := w.get(fmt.Sprintf("/tile/entries/000.p/%d", size))
	leaves, err := tlog.DecodeEntries(raw)
	if code != 200 || err != nil {
		w.t.Fatalf("%d %v", code, err)
	}
	var hashes []tlog.Hash
	for _, leaf := range leaves {
		hashes = append(hashes, tlog.LeafHash(leaf))
	}
	root := tlog.RootOf(hashes)
	return root[:]
}

func TestSchemas(t *testing.T) {
	w := newWorld(t)
	for _, name := range attest.SchemaNames() {
		code, header, body := w.get("/predicates/" + name + "/v1")
		want, _ := attest.Schema(name)
		if code != 200 || header.Get("Content-Type") != "application/schema+json" || !bytes.Equal(body, want) {
			t.Errorf("%s: %d %v", name, code, header)
		}
	}
	if code, _, body := w.get("/predicates/invented/v1"); code != 404 || !strings.Contains(string(body), "decision") {
		t.Errorf("%d %s", code, body)
	}
}

func TestReady(t *testing.T) {
	w := newWorld(t)
	if code, _, _ := w.get("/readyz"); code != 200 {
		t.Fatal(code)
	}
	if err := w.ledger.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if code, _, body := w.get("/readyz"); code != 503 {
		t.Errorf("%d %s", code, body)
	}
	if code, _, _ := w.get("/healthz"); code != 200 {
		t.Errorf("health %d", code)
	}
	if code, _, _ := w.get("/checkpoint"); code != 200 {
		t.Errorf("reading stops with writing: %d", code)
	}
}
