package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
	"affidavit/serving/gateway"
	"affidavit/serving/gateway/openinference"
)

// TestArtefact: lost, swapped or unusable bytes are never served, also not after a restart.
func TestArtefact(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	l.develop("1", 1)
	l.develop("2", 2)
	digest := l.blobs["1"]
	deployment := gateway.Deployment{Endpoint: "loans", Action: gateway.ActionDeploy, Role: attest.ServeChampion, Verdict: l.approve("1").Index}
	second, err := lineage.ReadBlob(ctx, l.store.Blobs, l.blobs["2"], 1<<20)
	l.check(err)

	for name, c := range map[string]struct {
		content []byte
		words   string
	}{
		"lost":    {nil, "no content " + digest},
		"swapped": {second, "the bytes stored as " + digest[:12]},
		"broken":  {[]byte("no model"), "the runtime refuses it"},
	} {
		t.Run(name, func(t *testing.T) {
			l.store.set(digest, c.content)
			rows := l.Rows()
			if _, err := g.Deploy(ctx, deployment, erin); err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v", err)
			}
			if now := l.Rows(); now["deployments"] != rows["deployments"] || now["cur_endpoints"] != rows["cur_endpoints"] || now["abandonments"] != rows["abandonments"]+1 {
				t.Errorf("%v", now)
			}
		})
	}
	delete(l.store.instead, digest)
	l.Must(g.Deploy(ctx, deployment, erin))

	// A restart finds the bytes gone; a gateway that has them goes on.
	l.store.set(digest, nil)
	l.check(g.Sync(ctx))
	if _, err := g.Infer(ctx, "loans", "", ask(.5, "owner")); err != nil {
		t.Error(err)
	}
	restarted := l.open(nil)
	if err := restarted.Sync(ctx); lineage.CodeOf(err) != lineage.CodeUnavailable || !strings.Contains(err.Error(), digest) {
		t.Errorf("%v", err)
	}
	if _, err := restarted.Infer(ctx, "loans", "", ask(.5, "owner")); lineage.CodeOf(err) != lineage.CodeUnavailable || restarted.Ready() {
		t.Errorf("%v", err)
	}
	delete(l.store.instead, digest)
	l.check(restarted.Sync(ctx))
	if _, err := restarted.Infer(ctx, "loans", "", ask(.5, "owner")); err != nil || !restarted.Ready() {
		t.Error(err)
	}
}

// sealed counts the records of all segments.
func (l *life) sealed() (records int64, segments []gateway.SegmentRow) {
	l.View(func(r *lineage.ReadTx) error { return r.Find(&segments, "entry", "1 = 1") })
	for _, s := range segments {
		records += s.Records
	}
	return records, segments
}

// TestConcurrent: many clients, a challenger that comes and a sealer at work lose and double no prediction.
func TestConcurrent(t *testing.T) {
	l := newLife(t)
	g := l.open(func(o *gateway.Options) { o.SegmentEvery, o.MaxUnsealed = 50, 120 })
	l.champion(g)
	const clients, each = 16, 50
	ids := make(chan string, clients*each)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range each {
				r := ask(float64((c*each+i)%100)/100, "renter")
				if i%2 == 0 {
					r = simulated(r)
				}
				res, err := g.Infer(ctx, "loans", "", r)
				if err != nil {
					t.Error(err)
					return
				}
				ids <- res.Parameters[gateway.ParamPrediction].(string)
			}
		}()
	}
	l.challenger(g, .3)
	wg.Wait()
	close(ids)
	given := map[string]bool{}
	for id := range ids {
		given[id] = true
	}
	l.check(g.Close(ctx))
	if _, err := g.Infer(ctx, "loans", "", ask(.5, "owner")); lineage.CodeOf(err) != lineage.CodeUnavailable {
		t.Errorf("after Close: %v", err)
	}
	n, segments := l.sealed()
	if len(given) != clients*each || n != clients*each {
		t.Errorf("%d given, %d sealed", len(given), n)
	}
	next := map[int64]int64{}
	for _, s := range segments {
		if next[s.Deployment]++; s.Sequence != next[s.Deployment] || s.Records > 50 {
			t.Errorf("%+v", s)
		}
		e := l.entry(s.Entry)
		opened, err := g.Reader().OpenSegment(ctx, e.EntryRef())
		l.check(err)
		for _, p := range opened.Predictions {
			if !given[p.ID] {
				t.Errorf("%s was not given, or sealed twice", p.ID)
			}
			delete(given, p.ID)
		}
	}
}

func (l *life) entry(index int64) (e *lineage.Entry) {
	l.View(func(r *lineage.ReadTx) (err error) {
		e, err = r.Entry(index)
		return err
	})
	return e
}

// TestSealing: by number, by age, at the end; and what cannot be sealed is kept, and stops predictions.
func TestSealing(t *testing.T) {
	l := newLife(t)
	g := l.open(func(o *gateway.Options) { o.SegmentEvery, o.SegmentAge, o.MaxUnsealed = 3, 2*time.Second, 6 })
	l.champion(g)
	one := func() error { _, err := g.Infer(ctx, "loans", "", ask(.5, "owner")); return err }
	eventually := func(want int64) {
		t.Helper()
		for range 400 {
			if n, _ := l.sealed(); n == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		n, _ := l.sealed()
		t.Fatalf("%d sealed, want %d", n, want)
	}
	for range 4 {
		l.check(one())
	}
	eventually(3) // the fourth waits for company
	l.advance(3 * time.Second)
	eventually(4)

	// The ledger stops: predictions are given until too many wait, then refused with the reason; none is lost.
	l.Close()
	given, refused := 0, error(nil)
	for range 20 {
		if refused = one(); refused != nil {
			break
		}
		given++
	}
	if given != 6 || lineage.CodeOf(refused) != lineage.CodeUnavailable || !strings.Contains(refused.Error(), "could not be sealed") || g.Ready() {
		t.Fatalf("%d given, then %v", given, refused)
	}
	if err := g.Close(ctx); err == nil {
		t.Error("Close did not say that predictions are unsealed")
	}
}

// TestSealedFile: what is stored tells nothing, a changed file is found, and a shredded person is gone while the rest stays.
func TestSealedFile(t *testing.T) {
	l := newLife(t)
	g := l.open(nil)
	l.champion(g)
	for i := range 4 {
		r := ask(float64(i)/10, "owner")
		if i%2 == 1 {
			r.Parameters = openinference.Parameters{gateway.ParamSubject: "anna"}
		}
		res, err := g.Infer(ctx, "loans", "", r)
		l.check(err)
		if i%2 == 1 {
			_, err = g.RecordOutcomes(ctx, "loans", []gateway.Outcome{{PredictionID: res.Parameters[gateway.ParamPrediction].(string), Label: 1}})
			l.check(err)
		}
	}
	l.check(g.Seal(ctx))
	_, segments := l.sealed()
	for _, s := range segments {
		content, err := lineage.ReadBlob(ctx, l.store.Blobs, s.Digest, 1<<20)
		l.check(err)
		for _, secret := range []string{"owner", "anna", "income"} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("segment %d holds %q in the clear", s.Sequence, secret)
			}
		}
		ref := l.entry(s.Entry).EntryRef()
		for _, at := range []int{0, 3, 40, len(content) - 1} {
			bad := bytes.Clone(content)
			bad[at] ^= 1
			l.store.set(s.Digest, bad)
			if _, err := g.Reader().OpenSegment(ctx, ref); lineage.CodeOf(err) != lineage.CodeUnavailable {
				t.Errorf("byte %d changed: %v", at, err)
			}
		}
		l.store.set(s.Digest, nil)
		if _, err := g.Reader().OpenSegment(ctx, ref); lineage.CodeOf(err) != lineage.CodeUnavailable || !strings.Contains(err.Error(), s.Digest) {
			t.Errorf("lost: %v", err)
		}
		delete(l.store.instead, s.Digest)
	}
	count := func() (open, shredded int64) {
		for _, s := range segments {
			o, err := g.Reader().OpenSegment(ctx, l.entry(s.Entry).EntryRef())
			l.check(err)
			open, shredded = open+int64(len(o.Predictions)), shredded+o.Shredded
		}
		files, err := g.Reader().Outcomes(ctx, ledgertest.Project, "loans")
		l.check(err)
		for _, f := range files {
			open, shredded = open+int64(len(f.Outcomes)), shredded+f.Shredded
		}
		return open, shredded
	}
	if open, gone := count(); open != 6 || gone != 0 {
		t.Errorf("%d open, %d gone", open, gone)
	}
	id, _, err := l.keys.Subject(ctx, ledgertest.Project, "anna")
	l.check(err)
	l.check(l.keys.Shred(ctx, id))
	if open, gone := count(); open != 2 || gone != 4 {
		t.Errorf("after shredding %d open, %d gone", open, gone)
	}
	if err := l.keys.Shred(ctx, id); !errors.Is(err, gateway.ErrNoKey) {
		t.Error(err)
	}
	// The person comes back under a new key; the old records stay closed.
	_, _, err = l.keys.Subject(ctx, ledgertest.Project, "anna")
	l.check(err)
	if open, gone := count(); open != 2 || gone != 4 {
		t.Errorf("after a new key %d open, %d gone", open, gone)
	}
}

// TestKeyDir: keys survive a reopening, are wrapped, private, and not opened by another key-encryption key.
func TestKeyDir(t *testing.T) {
	dir := t.TempDir()
	k, err := gateway.OpenKeyDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, key, err := k.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sid, skey, err := k.Subject(ctx, "p", "anna")
	if err != nil {
		t.Fatal(err)
	}
	if other, _, _ := k.Subject(ctx, "q", "anna"); other == sid {
		t.Error("a person has one key in two projects")
	}
	again, err := gateway.OpenKeyDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Key(ctx, id); err != nil || !bytes.Equal(got, key) {
		t.Errorf("%x, %v", got, err)
	}
	if gid, got, err := again.Subject(ctx, "p", "anna"); err != nil || gid != sid || !bytes.Equal(got, skey) {
		t.Errorf("%x, %v", got, err)
	}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if info.Mode().Perm() != 0o600 || bytes.Contains(b, key) || bytes.Contains(b, skey) {
			return fmt.Errorf("%s has mode %v, or holds a data key in the clear", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	foreign, err := gateway.OpenKeyDir(dir, bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := foreign.Key(ctx, id); lineage.CodeOf(err) != lineage.CodeUnavailable {
		t.Error(err)
	}
	if _, err := gateway.OpenKeyDir(dir, []byte("short")); lineage.CodeOf(err) != lineage.CodeInvalid {
		t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, "kek.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.OpenKeyDir(dir, nil); lineage.CodeOf(err) != lineage.CodeUnavailable {
		t.Errorf("a second key-encryption key was made: %v", err)
	}
}

// TestThroughput: 20,000 governed predictions, sealed, within three seconds.
func TestThroughput(t *testing.T) {
	l := newLife(t)
	g := l.open(func(o *gateway.Options) { o.SegmentEvery = 1000 })
	l.champion(g)
	begun := time.Now()
	for i := range 20000 {
		if _, err := g.Infer(ctx, "loans", "", simulated(ask(float64(i%100)/100, "owner"))); err != nil {
			t.Fatal(err)
		}
	}
	answered := time.Since(begun)
	l.check(g.Seal(ctx))
	took := time.Since(begun)
	if n, _ := l.sealed(); n != 20000 {
		t.Errorf("%d sealed", n)
	}
	t.Logf("20,000 predictions answered in %v, all sealed after %v", answered.Round(time.Millisecond), took.Round(time.Millisecond))
}
