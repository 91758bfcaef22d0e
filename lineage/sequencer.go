package lineage

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"affidavit/attest"
	"affidavit/attest/tlog"
)

// maxClockLag is how far this clock may be behind the last stamp.
const maxClockLag = 2 * time.Second

// groupTimeout bounds one transaction of the sequencer.
const groupTimeout = 30 * time.Second

// op is one thing the sequencer does inside its transaction: a sealed
// statement to log, or a change of an intent.
type op struct {
	ctx    context.Context // the caller's: an op whose caller left before the group began is dropped
	cand   *candidate
	intent func(ctx context.Context, tx *sql.Tx) error
	done   chan answer // buffered: the sequencer never waits for a caller
}

type answer struct {
	index     int64
	size      int64 // checkpoint that covers it
	stamp     time.Time
	duplicate bool
	err       error
}

// candidate is a sealed statement on its way into the log.
type candidate struct {
	signed    *attest.Signed
	statement *attest.Statement
	step      attest.Step
	pae       string
	keyID     string
	leaf      []byte
	leafHash  tlog.Hash
	// intent is what this statement closes; nil for submitted ones without.
	intent *intentRef
}

func newCandidate(s *attest.Signed) (*candidate, error) {
	st, step, err := attest.ParseStatement(s.Payload)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Field: "payload", Message: err.Error()}
	}
	if err := s.Verify(); err != nil {
		return nil, &Error{Code: CodeUnauthenticated, Field: "signature", Message: "does not verify under the given key", Err: err}
	}
	leaf, err := s.LeafBody()
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Field: "signature", Message: "cannot be logged", Err: err}
	}
	if len(leaf) >= 1<<16 {
		return nil, Errf(CodeTooLarge, "signature", "its log entry has %d bytes, the limit is 65535", len(leaf))
	}
	sum := s.PAEDigest()
	return &candidate{signed: s, statement: st, step: step, pae: hex.EncodeToString(sum[:]), keyID: s.KeyID(), leaf: leaf, leafHash: tlog.LeafHash(leaf)}, nil
}

// enqueue hands an op to the sequencer and waits for its answer. A caller
// that gives up gets its own error; the group goes on without it.
func (l *Ledger) enqueue(ctx context.Context, o *op) answer {
	l.mu.Lock()
	if l.drained {
		l.mu.Unlock()
		return answer{err: Errf(CodeUnavailable, "", "the ledger is closed")}
	}
	l.entered.Add(1)
	l.mu.Unlock()
	defer l.entered.Done()
	o.ctx, o.done = ctx, make(chan answer, 1)
	select {
	case l.queue <- o:
	case <-ctx.Done():
		return answer{err: &Error{Code: CodeUnavailable, Message: "the log is busy", Err: ctx.Err()}}
	}
	select {
	case a := <-o.done:
		return a
	case <-ctx.Done():
		return answer{err: &Error{Code: CodeUnavailable, Message: "gave up waiting; the entry may or may not be logged", Remedy: "submit the same statement again to learn its index", Err: ctx.Err()}}
	}
}

// sequence is the one goroutine that writes.
func (l *Ledger) sequence() {
	defer close(l.stopped)
	for first := range l.queue {
		l.group(l.collect(first))
	}
}

func (l *Ledger) collect(first *op) []*op {
	group := []*op{first}
	timer := time.NewTimer(l.cfg.GroupWindow)
	defer timer.Stop()
	for len(group) < l.cfg.GroupMax {
		select {
		case o, ok := <-l.queue:
			if !ok {
				return group
			}
			group = append(group, o)
		case <-timer.C:
			return group
		}
	}
	return group
}

// group commits ops together; if the transaction fails, each is replayed in
// one of its own, so that only the culprit fails.
func (l *Ledger) group(ops []*op) {
	started := time.Now()
	live := ops[:0:0]
	for _, o := range ops {
		if o.ctx.Err() == nil {
			live = append(live, o)
		} else {
			o.done <- answer{err: &Error{Code: CodeUnavailable, Message: "the caller left before the step was logged", Err: o.ctx.Err()}}
		}
	}
	if len(live) == 0 {
		return
	}
	if err := l.commit(live); err != nil {
		for _, o := range live {
			// A lone statement was settled by reading back; a change of an intent
			// tells by itself, on its replay, whether it had been made.
			if len(live) == 1 && o.cand != nil {
				l.fail(o, err)
			} else if err := l.commit([]*op{o}); err != nil {
				l.fail(o, err)
			}
		}
	}
	l.cfg.Observer.Group(len(live), time.Since(started))
}

func (l *Ledger) fail(o *op, err error) {
	var known *Error
	if !errors.As(err, &known) {
		l.cfg.Logger.Error("step failed in the sequencer", "kind", o.kind(), "error", err.Error())
		err = &Error{Code: CodeUnavailable, Message: "the log could not take this step; nothing changed", Err: err}
	}
	l.answer(o, answer{err: err})
}

func (o *op) kind() string {
	if o.cand == nil {
		return "intent"
	}
	return o.cand.step.Kind
}

func (l *Ledger) answer(o *op, a answer) {
	if o.cand != nil {
		l.cfg.Observer.Sealed(o.cand.step.Kind, CodeOf(a.err))
	}
	o.done <- a
}

// commit runs one transaction over ops. On success every op has its answer;
// on error none has, and nothing was written.
func (l *Ledger) commit(ops []*op) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	conn, err := l.db.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		discard(conn)
		return fmt.Errorf("begin: %w", err)
	}
	a := newAppender(l.db, l.auth, l.cfg.Kinds, l.root)
	answers, err := l.fill(ctx, a, tx, ops)
	if err != nil {
		_ = tx.Rollback()
		discard(conn)
		l.auth.forget() // it may hold a grant of the group that is no more
		return err
	}
	if err = l.cfg.faults("before-commit"); err == nil {
		if err = tx.Commit(); err == nil {
			err = l.cfg.faults("after-commit")
		}
	} else {
		_ = tx.Rollback()
	}
	if err != nil {
		discard(conn)
		if !l.settled(a) {
			l.auth.forget()
			return fmt.Errorf("commit: %w", err)
		}
	} else {
		_ = conn.Close()
	}
	l.publish(a)
	for i, o := range ops {
		l.answer(o, answers[i])
	}
	return nil
}

// fill does everything up to COMMIT and returns the answers to give after it.
func (l *Ledger) fill(ctx context.Context, a *appender, tx *sql.Tx, ops []*op) ([]answer, error) {
	if err := a.begin(ctx, tx); err != nil {
		return nil, err
	}
	if err := l.cfg.faults("locked"); err != nil {
		return nil, err
	}
	now := l.cfg.Clock().UTC()
	stamp := now.Truncate(time.Second)
	if stamp.Before(a.lastStamp) {
		stamp = a.lastStamp
	}
	late := now.Before(a.lastStamp.Add(-maxClockLag))
	answers := make([]answer, len(ops))
	var stamps map[*candidate][]byte
	if !late {
		var err error
		if stamps, err = l.stampAll(ops, stamp); err != nil {
			return nil, err
		}
	}
	for i, o := range ops {
		if o.cand == nil {
			if err := o.intent(ctx, tx); err != nil {
				var known *Error
				if !errors.As(err, &known) {
					return nil, err
				}
				answers[i] = answer{err: err}
			}
			continue
		}
		if late {
			answers[i] = answer{err: clockError(now, a.lastStamp)}
			continue
		}
		ans, err := a.step(ctx, o.cand, stamp, stamps[o.cand])
		if err != nil {
			return nil, err
		}
		answers[i] = ans
	}
	if err := a.finish(ctx, l.cfg.Keys.Log.SignCheckpoint); err != nil {
		return nil, err
	}
	for i := range answers {
		if answers[i].err == nil && !answers[i].duplicate {
			answers[i].size = a.size
		}
	}
	return answers, nil
}

func clockError(now, last time.Time) *Error {
	return Errf(CodeUnavailable, "clock", "this machine says %s, the last entry was logged at %s", now.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339)).
		WithRemedy("set the clock; nothing is logged until it has caught up")
}

// stampAll signs the group's timestamps on all cores. All share one time.
func (l *Ledger) stampAll(ops []*op, at time.Time) (map[*candidate][]byte, error) {
	out := make(map[*candidate][]byte, len(ops))
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	work := make(chan *candidate)
	for range min(runtime.GOMAXPROCS(0), len(ops)) {
		wg.Go(func() {
			for c := range work {
				der, err := l.cfg.Keys.TSA.Stamp(c.signed.Signature, at)
				mu.Lock()
				if err != nil && failed == nil {
					failed = fmt.Errorf("timestamp: %w", err)
				}
				out[c] = der
				mu.Unlock()
			}
		})
	}
	for _, o := range ops {
		if o.cand != nil {
			work <- o.cand
		}
	}
	close(work)
	wg.Wait()
	return out, failed
}

// settled decides an unclear COMMIT by reading back: true if the group's last
// entry is in the log at its index.
func (l *Ledger) settled(a *appender) bool {
	if len(a.added) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	last := a.added[len(a.added)-1]
	var size, found int64
	err := l.db.write.QueryRowContext(ctx, "SELECT size FROM cur_head WHERE id = 1").Scan(&size)
	if err == nil {
		err = l.db.write.QueryRowContext(ctx, l.db.bind("SELECT COUNT(*) FROM entries WHERE idx = ? AND pae = ? AND key_id = ?"), last.entry.Index, last.entry.PAE, last.entry.KeyID).Scan(&found)
	}
	return err == nil && size >= a.size && found == 1
}

// publish runs after COMMIT only.
func (l *Ledger) publish(a *appender) {
	if len(a.added) == 0 {
		return
	}
	l.cfg.Observer.Head(a.size)
	if l.cfg.CheckpointFile == "" {
		return
	}
	err := l.keepCheckpoint(a)
	l.mu.Lock()
	l.fault = err
	l.mu.Unlock()
	if err != nil {
		l.cfg.Logger.Error("checkpoint file not written", "error", err.Error())
	}
}
