package lineage

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

// AuditConfig says what to audit.
type AuditConfig struct {
	DB    *Database
	Kinds Kinds
	// Root is whose log it should be; nil takes the keys that genesis names,
	// which shows that the database agrees with itself only.
	Root *keys.TrustedRoot
	// Repair replaces cur_ tables that differ by what the log says.
	Repair bool
	// Progress is told entries done and in all; may be nil.
	Progress func(done, total int64)
}

// Difference is one place where the database is not what the log says.
type Difference struct {
	Table  string
	Row    string // its key
	Column string // "" for a row that is missing, extra or unreadable
	Words  string
}

func (d Difference) String() string {
	s := d.Table + " " + d.Row
	if d.Column != "" {
		s += " " + d.Column
	}
	return s + ": " + d.Words
}

// AuditReport is what an audit found.
type AuditReport struct {
	Entries     int64
	Root        string // hex, recomputed from leaf bytes
	Tables      int
	Rows        int64 // compared
	Erased      []string
	Differences []Difference
	// Omitted counts differences beyond the first maxDifferences.
	Omitted  int
	Repaired []string
	Anchored bool // checked against a root from outside
}

// OK reports whether nothing differed, or all that did was repaired.
func (a *AuditReport) OK() bool { return len(a.Differences) == 0 }

const maxDifferences = 1000

// Audit replays the log: it recomputes the root from leaf bytes, verifies
// every signature, timestamp and checkpoint, runs every Check and Project
// again into a temporary SQLite database, and compares every governed and
// cur_ table row by row. It reads one state of the audited database and needs
// no right to write to it unless Repair is set.
//
// Memory does not grow with the log; the temporary file does.
func Audit(ctx context.Context, cfg AuditConfig) (*AuditReport, error) {
	if err := cfg.DB.checkMigrated(ctx); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "affidavit-audit-*")
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Message: "no room for the replay", Err: err}
	}
	defer os.RemoveAll(dir)
	scratch, err := OpenSQLite(ctx, filepath.Join(dir, "replay.db"))
	if err != nil {
		return nil, err
	}
	defer scratch.Close()
	// The scratch copy is thrown away: it need not survive a crash.
	if _, err := scratch.write.ExecContext(ctx, "PRAGMA synchronous=OFF"); err != nil {
		return nil, err
	}
	if err := scratch.Migrate(ctx); err != nil {
		return nil, err
	}
	a := &auditor{cfg: cfg, scratch: scratch, rep: &AuditReport{Anchored: cfg.Root != nil}, auth: newAuthorizer(), erased: map[int64]*Entry{}}
	err = view(ctx, cfg.DB, Scope{All: true}, func(r *ReadTx) error {
		a.live = r
		if err := a.prepare(); err != nil {
			return err
		}
		if err := a.replay(ctx); err != nil {
			return err
		}
		return a.compareAll(ctx)
	})
	if err != nil {
		return nil, err
	}
	if cfg.Repair && len(a.rep.Differences) > 0 {
		if err := a.repair(ctx); err != nil {
			return a.rep, err
		}
	}
	return a.rep, nil
}

type auditor struct {
	cfg      AuditConfig
	live     *ReadTx
	scratch  *Database
	rep      *AuditReport
	auth     *authorizer
	root     *keys.TrustedRoot
	verifier note.Verifier
	tsa      []*keys.Chain
	total    int64
	erased   map[int64]*Entry // as replay sees them
}

func (a *auditor) differ(table, row, column, words string, args ...any) {
	if len(a.rep.Differences) >= maxDifferences {
		a.rep.Omitted++
		return
	}
	a.rep.Differences = append(a.rep.Differences, Difference{table, row, column, fmt.Sprintf(words, args...)})
}

// prepare settles whose log it is and how many leaves there are.
func (a *auditor) prepare() error {
	// The number of leaves, not cur_head: the head is one of the things in doubt.
	if err := a.live.q.QueryRowContext(a.live.ctx, "SELECT COUNT(*) FROM leaves").Scan(&a.total); err != nil {
		return err
	}
	if a.total == 0 {
		return Errf(CodeUnavailable, "database", "it holds no log")
	}
	a.root = a.cfg.Root
	if a.root == nil {
		g, err := a.live.genesis()
		if err != nil {
			return err
		}
		start := time.Unix(0, 0)
		a.root = keys.NewTrustedRoot(g.Origin, g.LogKey, [][][]byte{g.TSAChain}, [][][]byte{g.CAChain}, [][]byte{g.CTKey}, start)
	}
	var err error
	if a.verifier, err = keys.NewLogVerifier(a.root.Logs[0].Origin, a.root.Logs[0].SPKI); err != nil {
		return err
	}
	for _, ders := range a.root.TSAs {
		chain, err := keys.ParseTSAChain(ders)
		if err != nil {
			return err
		}
		a.tsa = append(a.tsa, chain)
	}
	return nil
}

// loaded is one entry as the database holds it, verified on its own.
type loaded struct {
	index     int64
	leaf      []byte
	timestamp []byte
	payload   []byte
	cand      *candidate
	stamp     time.Time
	found     []Difference
}

const auditBatch = 256

// replay runs all entries through the appender, in the groups that the
// checkpoints mark.
func (a *auditor) replay(ctx context.Context) error {
	var group []*loaded
	for from := int64(0); from < a.total; from += auditBatch {
		batch, err := a.load(ctx, from, min(from+auditBatch, a.total))
		if err != nil {
			return err
		}
		for _, x := range batch {
			group = append(group, x)
			end, err := a.groupEnd(x.index)
			if err != nil {
				return err
			}
			if end || x.index == a.total-1 {
				if err := a.replayGroup(ctx, group); err != nil {
					return err
				}
				group = group[:0]
			}
		}
		if a.cfg.Progress != nil {
			a.cfg.Progress(min(from+auditBatch, a.total), a.total)
		}
	}
	a.rep.Entries = a.total
	return nil
}

func (a *auditor) groupEnd(index int64) (bool, error) {
	return a.live.exists("SELECT COUNT(*) FROM checkpoints WHERE size = ?", index+1)
}

func (a *auditor) replayGroup(ctx context.Context, group []*loaded) error {
	tx, err := a.scratch.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	p := newAppender(a.scratch, a.auth, a.cfg.Kinds, a.root)
	p.replay, p.excused = true, a.erased
	if err := p.begin(ctx, tx); err != nil {
		return err
	}
	for i, e := range a.erased {
		p.w.pending[i] = e
	}
	for _, x := range group {
		for _, d := range x.found {
			a.differ(d.Table, d.Row, d.Column, "%s", d.Words)
		}
		if err := a.replayOne(ctx, p, x); err != nil {
			return err
		}
	}
	if err := p.finish(ctx, a.checkpoint); err != nil {
		return err
	}
	return tx.Commit()
}

func (a *auditor) replayOne(ctx context.Context, p *appender, x *loaded) error {
	row := fmt.Sprint(x.index)
	if x.cand == nil {
		return a.replayErasedOrBroken(ctx, p, x)
	}
	if x.stamp.Before(p.lastStamp) {
		a.differ("leaves", row, "timestamp_der", "its time %s is before that of the entry below it", x.stamp.Format(time.RFC3339))
	}
	p.lastStamp = x.stamp
	ans, err := p.step(ctx, x.cand, x.stamp, x.timestamp)
	if err == nil && ans.err == nil && !ans.duplicate {
		return nil
	}
	if err == nil {
		err = ans.err
	}
	if err == nil {
		err = errors.New("its nonce stands in an entry below it")
	}
	a.differ("entries", row, "", "the log would not take it: %v", err)
	// It is in the log all the same: keep its place, so that what follows can be judged.
	return a.keepPlace(ctx, p, x, p.entry(x.cand, x.stamp), x.cand)
}

// replayErasedOrBroken goes on without a payload: an erased one is projected
// as the erasure says, a damaged one only keeps its place.
func (a *auditor) replayErasedOrBroken(ctx context.Context, p *appender, x *loaded) error {
	c := &candidate{leaf: x.leaf, leafHash: tlog.LeafHash(x.leaf)}
	if len(x.found) > 0 {
		live, err := a.live.placeholder(x.index)
		if err != nil {
			a.differ("entries", fmt.Sprint(x.index), "", "is missing")
			live = &Entry{Index: x.index, Stamp: p.lastStamp, Statement: &attest.Statement{}}
			live.PAE, live.Step.Nonce = fmt.Sprintf("missing-%d", x.index), fmt.Sprintf("missing-%d", x.index)
		}
		return a.keepPlace(ctx, p, x, live, c)
	}
	e, err := a.live.Entry(x.index)
	if err != nil {
		a.differ("payloads", fmt.Sprint(x.index), "", "is missing: %v", err)
		return a.keepPlace(ctx, p, x, &Entry{Index: x.index, Stamp: p.lastStamp, Statement: &attest.Statement{}, Step: attest.Step{Nonce: fmt.Sprintf("missing-%d", x.index)}}, c)
	}
	pae, key, err := attest.VerifyLeaf(x.leaf)
	if err != nil || pae != e.PAE || key != e.KeyID {
		a.differ("leaves", fmt.Sprint(x.index), "body", "is not what the entry's row says, or its signature does not hold")
	}
	var by int64
	if err := a.live.q.QueryRowContext(ctx, a.live.d.bind("SELECT entry FROM erased WHERE idx = ?"), x.index).Scan(&by); err != nil {
		return err
	}
	a.rep.Erased = append(a.rep.Erased, fmt.Sprintf("entry %d: payload erased by entry %d", x.index, by))
	e.Stamp = x.stamp
	if err := p.write(ctx, c, e, x.timestamp); err != nil {
		return err
	}
	seen := *e
	seen.Erased = false // as the erasure's own Check must find it
	a.erased[x.index], p.w.pending[x.index] = &seen, &seen
	return nil
}

// keepPlace writes the entry without asking its Kind.
func (a *auditor) keepPlace(ctx context.Context, p *appender, x *loaded, e *Entry, c *candidate) error {
	nothing := Kind{Name: e.Kind, Project: func(context.Context, *WriteTx, *Entry) error { return nil }}
	kept := p.kinds
	p.kinds = Kinds{e.Kind: nothing}
	defer func() { p.kinds = kept }()
	e.Index = p.size
	if c.signed == nil {
		c.signed = &attest.Signed{Payload: x.payload}
		e.Erased = x.payload == nil
	}
	if err := p.write(ctx, c, e, x.timestamp); err != nil {
		// A nonce used twice, say. The replay cannot go on in the same shape.
		return &Error{Code: CodeUnavailable, Message: fmt.Sprintf("the replay stops at entry %d", x.index), Err: err}
	}
	return nil
}

// checkpoint takes the place of the log's signer: it checks the note that the
// database holds for the size and root just recomputed.
func (a *auditor) checkpoint(c tlog.Checkpoint) (string, error) {
	a.rep.Root = hex.EncodeToString(c.Root[:])
	row := fmt.Sprint(c.Size)
	var root []byte
	var text string
	err := a.live.q.QueryRowContext(a.live.ctx, a.live.d.bind("SELECT root, note FROM checkpoints WHERE size = ?"), c.Size).Scan(&root, &text)
	if errors.Is(err, sql.ErrNoRows) {
		a.differ("checkpoints", row, "", "is missing: the log ends without a checkpoint")
		return "", nil
	}
	if err != nil {
		return "", err
	}
	kept, err := tlog.ParseCheckpoint(text, a.verifier)
	switch {
	case err != nil:
		a.differ("checkpoints", row, "note", "does not verify: %v", err)
	case kept.Size != c.Size:
		a.differ("checkpoints", row, "note", "is over %d entries", kept.Size)
	case kept.Root != c.Root:
		a.differ("checkpoints", row, "note", "its root is %x, the leaves give %x", kept.Root[:], c.Root[:])
	}
	return text, nil
}
