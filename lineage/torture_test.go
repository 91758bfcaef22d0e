package lineage_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/lineage/ledgertest"
)

// acknowledgement is what a writer heard before it was killed.
type acknowledgement struct {
	Index int64
	PAE   string
}

// TestTorture kills a writing process at random moments. Whatever it had
// acknowledged is there afterwards, and the log audits clean.
func TestTorture(t *testing.T) {
	if os.Getenv("AFFIDAVIT_TORTURE") == "" {
		t.Skip("AFFIDAVIT_TORTURE is not set: this test kills writers again and again; make torture runs it")
	}
	if dir := os.Getenv("AFFIDAVIT_TORTURE_DIR"); dir != "" {
		tortured(t, dir)
		return
	}
	ctx := context.Background()
	dir := t.TempDir()
	set, err := keys.NewSet("log.affidavit.example", time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	db, err := lineage.OpenSQLite(ctx, filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	w := ledgertest.New(t, []lineage.Kind{ledgertest.Fact()}, ledgertest.WithDB(db), func(c *lineage.Config) { c.Keys = set })
	w.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := set.Save(filepath.Join(dir, "keys"), "torture"); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		// Every fourth is killed wherever it is, also while it starts; the
		// others once they write, however slow this machine is.
		killOnce(t, dir, round%4 != 0, time.Duration(rng.IntN(400))*time.Millisecond)
	}
	verifyTortured(t, dir, set)
}

// killOnce starts this test binary as a writer and kills it, counting from its
// start or from its first receipt.
func killOnce(t *testing.T, dir string, writing bool, after time.Duration) {
	t.Helper()
	before := journalSize(t, dir)
	cmd := exec.Command(os.Args[0], "-test.run=^TestTorture$")
	cmd.Env = append(os.Environ(), "AFFIDAVIT_TORTURE_DIR="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); writing && journalSize(t, dir) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the writer got no receipt in a minute")
			break
		}
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Errorf("the writer ended by itself: %v", err)
	}
	_ = cmd.Wait()
}

func journalSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "journal"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func tortureConfig(t *testing.T, dir string, set *keys.Set) lineage.Config {
	db, err := lineage.OpenSQLite(context.Background(), filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := lineage.OpenLocalBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := lineage.NewKinds(govern.Kinds(), []lineage.Kind{ledgertest.Fact()})
	if err != nil {
		t.Fatal(err)
	}
	return lineage.Config{DB: db, Keys: set, Kinds: kinds, Blobs: blobs, CheckpointFile: filepath.Join(dir, "checkpoint")}
}

// tortured writes until it is killed; each receipt goes to a synced journal.
func tortured(t *testing.T, dir string) {
	set, err := keys.OpenSet(filepath.Join(dir, "keys"), "torture")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lineage.Open(context.Background(), tortureConfig(t, dir, set))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				rec, err := l.Do(context.Background(), ledgertest.FactStep(), func(context.Context, lineage.Run) (lineage.Result, error) {
					return ledgertest.FactResult(i, "", attest.Relation{Type: attest.RelGenerated, Ref: ledgertest.Data(fmt.Sprint(i))}), nil
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, "writer:", err)
					os.Exit(1)
				}
				line, _ := json.Marshal(acknowledgement{rec.Index, rec.PAE})
				mu.Lock()
				_, werr := journal.Write(append(line, '\n'))
				serr := journal.Sync()
				mu.Unlock()
				if werr != nil || serr != nil {
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
}

func verifyTortured(t *testing.T, dir string, set *keys.Set) {
	ctx := context.Background()
	cfg := tortureConfig(t, dir, set)
	defer cfg.DB.Close()
	started := time.Now()
	l, err := lineage.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("recovery took %s", took)
	}
	file, err := os.Open(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	count := 0
	seen := map[int64]bool{}
	err = l.View(ctx, lineage.Scope{All: true}, func(r *lineage.ReadTx) error {
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			var a acknowledgement
			if json.Unmarshal(lines.Bytes(), &a) != nil {
				continue // the line under way when it was killed; nobody heard it
			}
			e, err := r.Entry(a.Index)
			if err != nil || e.PAE != a.PAE || seen[a.Index] {
				t.Errorf("acknowledged entry %d: %v", a.Index, err)
			}
			seen[a.Index] = true
			count++
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 20 {
		t.Errorf("only %d entries were acknowledged: the writers were not writing", count)
	}
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
	rep, err := lineage.Audit(ctx, lineage.AuditConfig{DB: cfg.DB, Kinds: cfg.Kinds, Root: set.TrustedRoot()})
	if err != nil || !rep.OK() {
		t.Fatalf("audit: %v %+v", err, rep)
	}
	t.Logf("%d acknowledged entries of %d survived 20 kills", count, rep.Entries)
}
