package lineage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/tlog"
)

// appender grows the log by one group inside one transaction. The sequencer
// and audit's replay both use it: what is judged and projected is the same.
type appender struct {
	db    *Database
	auth  *authorizer
	kinds Kinds
	root  *keys.TrustedRoot
	// replay is set by audit: there are no intents, and what was erased since is excused.
	replay bool
	// excused holds the indexes of entries whose payload was erased later on.
	excused map[int64]*Entry

	tx        *sql.Tx
	w         *WriteTx
	start     int64 // size before the group
	size      int64
	oldRoot   tlog.Hash
	lastStamp time.Time
	added     []added
	note      string
}

type added struct {
	entry     *Entry
	cand      *candidate
	timestamp []byte
}

func newAppender(db *Database, auth *authorizer, kinds Kinds, root *keys.TrustedRoot) *appender {
	return &appender{db: db, auth: auth, kinds: kinds, root: root}
}

// begin takes the head lock: the fence between servers.
func (a *appender) begin(ctx context.Context, tx *sql.Tx) error {
	q := "SELECT size, root, stamp FROM cur_head WHERE id = 1"
	if a.db.dialect == Postgres {
		q += " FOR UPDATE"
	}
	var root []byte
	var stamp int64
	if err := tx.QueryRowContext(ctx, q).Scan(&a.start, &root, &stamp); err != nil {
		return fmt.Errorf("head: %w", err)
	}
	if len(root) != len(a.oldRoot) {
		return fmt.Errorf("head: root has %d bytes", len(root))
	}
	copy(a.oldRoot[:], root)
	a.tx, a.size, a.lastStamp = tx, a.start, time.Unix(stamp, 0).UTC()
	r := &ReadTx{ctx: ctx, d: a.db, q: tx, g: session(a.db.wgorm, ctx, tx), size: a.start, stamp: a.lastStamp, scope: Scope{All: true}, pending: map[int64]*Entry{}, kinds: a.kinds}
	a.w = &WriteTx{ReadTx: r}
	return nil
}

// step judges one candidate at the next index and, if nothing speaks against
// it, writes entry, edges and projection. The error is the group's; a refusal
// is in the answer and has written nothing.
func (a *appender) step(ctx context.Context, c *candidate, stamp time.Time, timestamp []byte) (answer, error) {
	if prior, found, err := a.prior(ctx, c); err != nil || found {
		return prior, err
	}
	e := a.entry(c, stamp)
	if err := a.judge(ctx, c, e); err != nil {
		var refusal *Error
		if errors.As(err, &refusal) && refusal.Code != CodeInternal {
			return answer{err: refusal}, nil
		}
		return answer{}, err
	}
	if err := a.write(ctx, c, e, timestamp); err != nil {
		return answer{}, err
	}
	return answer{index: e.Index, stamp: e.Stamp}, nil
}

func (a *appender) entry(c *candidate, stamp time.Time) *Entry {
	return &Entry{
		Index: a.size, PAE: c.pae, KeyID: c.keyID, Kind: c.step.Kind, Project: c.step.Project, Actor: c.step.Actor,
		OnBehalfOf: c.step.OnBehalfOf, Stamp: stamp, Step: c.step, Statement: c.statement, predicate: c.statement.Predicate,
	}
}

// prior finds the same statement by the same key (its first receipt holds),
// or another one under the same nonce (a conflict).
func (a *appender) prior(ctx context.Context, c *candidate) (answer, bool, error) {
	var idx, stamp int64
	var pae, key string
	err := a.tx.QueryRowContext(ctx, a.db.bind("SELECT idx, pae, key_id, stamp FROM entries WHERE nonce = ?"), c.step.Nonce).Scan(&idx, &pae, &key, &stamp)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return answer{}, false, nil
	case err != nil:
		return answer{}, false, fmt.Errorf("nonce: %w", err)
	case pae == c.pae && key == c.keyID:
		return answer{index: idx, stamp: time.Unix(stamp, 0).UTC(), duplicate: true}, true, nil
	}
	return answer{err: Errf(CodeConflict, "nonce", "%s was used by entry %d for another statement or by another key", c.step.Nonce, idx).
		WithRemedy("sign again with a new nonce if you mean another step")}, true, nil
}

// write puts down what Project may refer to, then projects.
func (a *appender) write(ctx context.Context, c *candidate, e *Entry, timestamp []byte) error {
	_, err := a.tx.ExecContext(ctx, a.db.bind("INSERT INTO entries (idx, pae, key_id, kind, project, actor, on_behalf_of, nonce, predicate_type, claimed, saw_size, stamp, leaf_hash) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"),
		e.Index, e.PAE, e.KeyID, e.Kind, e.Project, e.Actor, e.OnBehalfOf, e.Step.Nonce, e.Statement.PredicateType,
		e.Step.Claimed.Unix(), e.Step.NotBefore.Size, e.Stamp.Unix(), c.leafHash[:])
	if err != nil {
		return fmt.Errorf("entry %d: %w", e.Index, err)
	}
	if err := multiInsert(ctx, a.db, a.tx, "edges", "idx, pos, relation, class, kind, digest", 6, edgeArgs(e)); err != nil {
		return err
	}
	a.w.pending[e.Index] = e
	a.added = append(a.added, added{entry: e, cand: c, timestamp: timestamp})
	a.size++
	a.w.size = a.size
	if err := a.kinds[e.Kind].Project(ctx, a.w, e); err != nil {
		return fmt.Errorf("project %s %d: %w", e.Kind, e.Index, err)
	}
	if c.intent != nil {
		return c.intent.close(ctx, a.db, a.tx, e.Index)
	}
	return nil
}

// edgeArgs gives one row a relation, after one at position -1 by which the
// entry generates itself as a node, so that a walk needs no special case.
func edgeArgs(e *Entry) []any {
	args := make([]any, 0, 6*(len(e.Step.Relations)+1))
	args = append(args, e.Index, -1, string(attest.RelGenerated), int(attest.Output), attest.ArtefactEntry, e.PAE)
	for i, r := range e.Step.Relations {
		args = append(args, e.Index, i, string(r.Type), int(r.Type.Class()), r.Kind, r.Digest)
	}
	return args
}

// finish writes leaves, payloads, hashes, checkpoint and head of the group.
func (a *appender) finish(ctx context.Context, sign func(tlog.Checkpoint) (string, error)) error {
	if len(a.added) == 0 {
		return nil
	}
	hashes := make([]tlog.Hash, len(a.added))
	leaves := make([]any, 0, 3*len(a.added))
	payloads := make([]any, 0, 2*len(a.added))
	for i, x := range a.added {
		hashes[i] = x.cand.leafHash
		// A leaf that an audited database has lost is replayed as an empty one.
		leaves = append(leaves, x.entry.Index, append([]byte{}, x.cand.leaf...), append([]byte{}, x.timestamp...))
		if !x.entry.Erased {
			payloads = append(payloads, x.entry.Index, x.cand.signed.Payload)
		}
	}
	stored, root, err := tlog.Append(ctx, a.w.HashReader(), a.start, hashes)
	if err != nil {
		return err
	}
	base := tlog.StoredCount(a.start)
	nodes := make([]any, 0, 2*len(stored))
	for i := range stored {
		nodes = append(nodes, base+int64(i), stored[i][:])
	}
	a.note, err = sign(tlog.Checkpoint{Origin: a.root.Logs[0].Origin, Size: a.size, Root: root})
	if err != nil {
		return fmt.Errorf("sign checkpoint: %w", err)
	}
	err = errors.Join(
		multiInsert(ctx, a.db, a.tx, "leaves", "idx, body, timestamp_der", 3, leaves),
		multiInsert(ctx, a.db, a.tx, "payloads", "idx, payload", 2, payloads),
		multiInsert(ctx, a.db, a.tx, "hashes", "idx, hash", 2, nodes),
		multiInsert(ctx, a.db, a.tx, "checkpoints", "size, prev, root, note", 4, []any{a.size, a.start, root[:], a.note}),
	)
	if err != nil {
		return err
	}
	if err := a.eraseNow(ctx); err != nil {
		return err
	}
	last := a.added[len(a.added)-1].entry.Stamp
	if _, err := a.tx.ExecContext(ctx, a.db.bind("UPDATE cur_head SET size = ?, root = ?, stamp = ? WHERE id = 1"), a.size, root[:], last.Unix()); err != nil {
		return fmt.Errorf("head: %w", err)
	}
	return nil
}

// eraseNow deletes the payloads that this group's erasures name. It comes
// after the payload rows, since an entry of the same group may be among them.
func (a *appender) eraseNow(ctx context.Context) error {
	for _, x := range a.added {
		if x.entry.Kind != attest.KindErasure {
			continue
		}
		if _, err := a.tx.ExecContext(ctx, a.db.bind("DELETE FROM payloads WHERE idx IN (SELECT idx FROM erased WHERE entry = ?)"), x.entry.Index); err != nil {
			return fmt.Errorf("erase: %w", err)
		}
	}
	return nil
}

// WriteTx is what Project writes through.
type WriteTx struct{ *ReadTx }

// Insert adds a row of a projection table; row is a pointer to the row struct.
func (w *WriteTx) Insert(row any) error { return w.g.Create(row).Error }

// Save inserts the row or replaces the one with its primary key; cur_ tables only.
func (w *WriteTx) Save(row any) error { return w.g.Save(row).Error }
