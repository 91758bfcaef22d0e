package lineage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/lineage/ledgertest"
)

// onEach runs a test on SQLite and, when a server is named, on PostgreSQL.
func onEach(t *testing.T, run func(*testing.T, ledgertest.Open)) {
	t.Run("sqlite", func(t *testing.T) { run(t, ledgertest.OnSQLite) })
	t.Run("postgres", func(t *testing.T) { run(t, ledgertest.OnPostgres) })
}

// faulty is a world whose write path fails at a point the next n times.
type faulty struct {
	*ledgertest.World
	mu    sync.Mutex
	point string
	left  int
	hits  int
}

var errInjected = errors.New("the disk said no")

func (f *faulty) fail(point string, n int) {
	f.mu.Lock()
	f.point, f.left, f.hits = point, n, 0
	f.mu.Unlock()
}

func (f *faulty) inject(point string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if point != f.point || f.left == 0 {
		return nil
	}
	f.left--
	f.hits++
	return errInjected
}

func newFaulty(t *testing.T, open ledgertest.Open, opts ...ledgertest.Option) *faulty {
	f := &faulty{}
	db, _ := open(t)
	f.World = ledgertest.New(t, []lineage.Kind{ledgertest.Fact()}, append([]ledgertest.Option{ledgertest.WithDB(db),
		func(c *lineage.Config) { lineage.SetFaults(c, f.inject) }}, opts...)...)
	f.Person("erin-engineer", "engineer")
	f.Account("trainer", "erin-engineer")
	return f
}

func (f *faulty) sign(n int) *attest.Signed {
	f.T.Helper()
	s, err := f.Sign("trainer", ledgertest.FactStep(), ledgertest.FactResult(n, ""))
	if err != nil {
		f.T.Fatal(err)
	}
	return s
}

func (f *faulty) size() (n int64) {
	f.View(func(r *lineage.ReadTx) error { n = r.Size(); return nil })
	return n
}

func (f *faulty) clean() {
	f.T.Helper()
	rep, err := lineage.Audit(context.Background(), lineage.AuditConfig{DB: f.DB, Kinds: f.Config.Kinds, Root: f.Keys.TrustedRoot()})
	if err != nil || !rep.OK() {
		f.T.Errorf("audit: %v %v", err, rep)
	}
}

// Before COMMIT a failure means absent: the caller hears of it, nothing is
// left, and the same statement goes through afterwards.
func TestFailedBeforeCommit(t *testing.T) {
	onEach(t, func(t *testing.T, open ledgertest.Open) {
		for _, point := range []string{"locked", "before-commit"} {
			f := newFaulty(t, open)
			signed := f.sign(1)
			f.fail(point, 1)
			err := f.Refused(lineage.CodeUnavailable, func() error { _, err := f.L.Submit(context.Background(), signed); return err })
			if !errors.Is(err, errInjected) || f.hits != 1 {
				t.Errorf("%s: %v, %d faults", point, err, f.hits)
			}
			before := f.size()
			if rec := f.Must(f.L.Submit(context.Background(), signed)); rec.Index != before || rec.Duplicate {
				t.Errorf("%s: then %+v", point, rec)
			}
			f.clean()
		}
	})
}

// A group that failed as a whole is replayed one by one: nobody suffers.
func TestGroupSurvivesOneFault(t *testing.T) {
	onEach(t, func(t *testing.T, open ledgertest.Open) {
		for _, point := range []string{"locked", "before-commit", "after-commit"} {
			f := newFaulty(t, open)
			f.Config.GroupWindow = 200 * time.Millisecond
			f.Reopen()
			before := f.size()
			f.fail(point, 1)
			var wg sync.WaitGroup
			var indexes sync.Map
			for i := range 20 {
				signed := f.sign(i)
				wg.Go(func() {
					rec, err := f.L.Submit(context.Background(), signed)
					if err != nil {
						t.Errorf("%s: %v", point, err)
					}
					if _, twice := indexes.LoadOrStore(rec.Index, true); twice {
						t.Errorf("%s: index %d was promised twice", point, rec.Index)
					}
				})
			}
			wg.Wait()
			if f.hits != 1 || f.size() != before+20 {
				t.Errorf("%s: %d faults, %d entries after %d", point, f.hits, f.size(), before)
			}
			f.clean()
		}
	})
}

// An unclear COMMIT that did succeed is acknowledged: once, with the receipt
// that a reader would get.
func TestUnclearCommitIsSettled(t *testing.T) {
	onEach(t, func(t *testing.T, open ledgertest.Open) {
		f := newFaulty(t, open)
		signed := f.sign(1)
		before := f.size()
		f.fail("after-commit", 1)
		rec := f.Must(f.L.Submit(context.Background(), signed))
		if f.hits != 1 || rec.Index != before || rec.Duplicate || f.size() != before+1 {
			t.Errorf("%d faults, %+v, size %d", f.hits, rec, f.size())
		}
		if again := f.Must(f.L.Submit(context.Background(), signed)); !bytes.Equal(again.Bundle, rec.Bundle) || !again.Duplicate {
			t.Error("the receipt differs from that of the same submission again")
		}
		// The same for what is no entry: a begun step, a queued job, a lease.
		f.fail("after-commit", 1)
		p, err := f.L.Begin(context.Background(), ledgertest.FactStep())
		if err != nil || f.hits != 1 {
			t.Fatalf("begin: %v, %d faults", err, f.hits)
		}
		f.fail("after-commit", 1)
		f.Must(f.L.Seal(context.Background(), p, ledgertest.FactResult(2, ""), nil))
		f.fail("after-commit", 1)
		if _, err := f.L.Enqueue(context.Background(), lineage.Job{Step: ledgertest.FactStep(), Handler: "fact", Params: []byte("{}")}); err != nil || f.hits != 1 {
			t.Fatalf("enqueue: %v, %d faults", err, f.hits)
		}
		var runs atomic.Int64
		f.fail("after-commit", 1)
		ran, err := f.L.WorkQueued(context.Background(), map[string]lineage.Handler{"fact": func(context.Context, lineage.Run, json.RawMessage) (lineage.Result, error) {
			runs.Add(1)
			return ledgertest.FactResult(3, ""), nil
		}})
		if ran != 1 || err != nil || runs.Load() != 1 {
			t.Errorf("%d jobs ran, %d times: %v", ran, runs.Load(), err)
		}
		f.clean()
	})
}

// A lasting failure is told, and ends: reads go on, and so do writes after it.
func TestLastingFailure(t *testing.T) {
	onEach(t, func(t *testing.T, open ledgertest.Open) {
		f := newFaulty(t, open)
		f.fail("before-commit", -1)
		for range 5 {
			f.Refused(lineage.CodeUnavailable, func() error { _, err := f.L.Submit(context.Background(), f.sign(1)); return err })
		}
		f.fail("", 0)
		f.Must(f.L.Submit(context.Background(), f.sign(2)))
		f.clean()
	})
}

// A grant that was rolled back counts for nobody, even when another entry
// takes its index.
func TestRolledBackGrantIsForgotten(t *testing.T) {
	onEach(t, func(t *testing.T, open ledgertest.Open) {
		f := newFaulty(t, open)
		f.Person("nora-newcomer")
		f.Person("paul-newcomer")
		grant := func(actor string) *attest.Signed {
			s, err := f.Sign(ledgertest.Admin, lineage.Step{Kind: attest.KindRoleGrant}, lineage.Result{Predicate: attest.RoleGrant{Action: attest.ActionGrant, Actor: actor, Role: "engineer", Project: ledgertest.Project}})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		fact, err := f.Sign("nora-newcomer", ledgertest.FactStep(), ledgertest.FactResult(1, ""))
		if err != nil {
			t.Fatal(err)
		}
		f.Config.GroupWindow = 200 * time.Millisecond
		f.Reopen()
		// Nora's grant and what it allows fail in one group and in their replays.
		f.fail("before-commit", 3)
		toNora := grant("nora-newcomer")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = f.L.Submit(context.Background(), toNora) })
		time.Sleep(50 * time.Millisecond)
		wg.Go(func() { _, _ = f.L.Submit(context.Background(), fact) })
		wg.Wait()
		f.fail("", 0)
		f.Must(f.L.Submit(context.Background(), grant("paul-newcomer"))) // takes the index
		if _, err := f.L.Submit(context.Background(), fact); lineage.CodeOf(err) != lineage.CodeForbidden {
			t.Errorf("without a grant: %v", err)
		}
		f.clean()
	})
}

// The checkpoint file that cannot be written is told by Ready; the log goes on.
func TestCheckpointFileFault(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := newFaulty(t, ledgertest.OnSQLite, func(c *lineage.Config) { c.CheckpointFile = filepath.Join(dir, "checkpoint") })
	if err := f.L.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	f.Must(f.L.Submit(context.Background(), f.sign(1)))
	if err := f.L.Ready(context.Background()); lineage.CodeOf(err) != lineage.CodeUnavailable || !strings.Contains(err.Error(), "checkpoint_file") {
		t.Errorf("ready says %v", err)
	}
	if err := os.Rename(dir+".gone", dir); err != nil {
		t.Fatal(err)
	}
	f.Must(f.L.Submit(context.Background(), f.sign(2)))
	if err := f.L.Ready(context.Background()); err != nil {
		t.Error(err)
	}
}

// A backup restored over a newer log is a rollback.
func TestRestoredBackupIsRefused(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	path := filepath.Join(dir, "ledger.db")
	db, err := lineage.OpenSQLite(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	w := ledgertest.New(t, []lineage.Kind{ledgertest.Fact()}, ledgertest.WithDB(db), func(c *lineage.Config) { c.CheckpointFile = filepath.Join(dir, "checkpoint") })
	backup := filepath.Join(dir, "backup.db")
	if _, err := db.SQL().Exec("VACUUM INTO '" + backup + "'"); err != nil {
		t.Fatal(err)
	}
	w.Must(w.Do(ledgertest.FactStep(), ledgertest.FactResult(1, "")))
	w.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := lineage.OpenSQLite(ctx, backup)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	cfg := w.Config
	cfg.DB = old
	if _, err := lineage.Open(ctx, cfg); lineage.CodeOf(err) != lineage.CodeRollback || !strings.Contains(err.Error(), "restore a newer backup") {
		t.Errorf("got %v", err)
	}
	cfg.CheckpointFile = "" // without the file outside nobody can tell
	l, err := lineage.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestLocalBlobs(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	b, err := lineage.OpenLocalBlobs(dir)
	if err != nil {
		t.Fatal(err)
	}
	digest, n, err := b.Put(ctx, strings.NewReader("content"))
	if err != nil || n != 7 {
		t.Fatal(n, err)
	}
	if again, _, err := b.Put(ctx, strings.NewReader("content")); err != nil || again != digest {
		t.Fatal(again, err)
	}
	if got, err := lineage.ReadBlob(ctx, b, digest, 7); err != nil || string(got) != "content" {
		t.Fatal(string(got), err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "incoming")); len(left) != 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
	file := filepath.Join(dir, digest[:2], digest)
	for name, c := range map[string]struct {
		digest  string
		damage  string
		code    lineage.Code
		message string
	}{
		"too large": {digest, "content", lineage.CodeTooLarge, "larger than"},
		"damaged":   {digest, "CONTENT", lineage.CodeUnavailable, "restore it from a backup"},
		"cut short": {digest, "cont", lineage.CodeUnavailable, "restore it from a backup"},
		"lost":      {strings.Repeat("0", 64), "content", lineage.CodeNotFound, "restore it from a backup"},
		"no digest": {"../../etc/passwd", "content", lineage.CodeInvalid, "digest"},
	} {
		if err := os.WriteFile(file, []byte(c.damage), 0o600); err != nil {
			t.Fatal(err)
		}
		limit := int64(100)
		if c.code == lineage.CodeTooLarge {
			limit = 6
		}
		if _, err := lineage.ReadBlob(ctx, b, c.digest, limit); lineage.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
