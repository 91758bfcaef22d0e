package lineage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
)

// Pending is a step that was begun and not yet sealed.
type Pending struct {
	run   Run
	epoch int64
}

// Run is what the work is told.
func (p *Pending) Run() Run { return p.run }

func (p *Pending) ref() *intentRef { return &intentRef{nonce: p.run.Nonce, epoch: p.epoch} }

// Do is the only way in which this process changes governed state: it
// authorises, pins the inputs, records the intent, runs the work with no
// transaction open, then signs, checks, appends and projects.
//
// When the work fails, an abandoned entry says so and its error is returned.
func (l *Ledger) Do(ctx context.Context, s Step, work Work) (Receipt, error) {
	p, err := l.Begin(ctx, s)
	if err != nil {
		return Receipt{}, err
	}
	result, workErr := work(ctx, p.Run())
	return l.Seal(context.WithoutCancel(ctx), p, result, workErr)
}

// Begin authorises s, pins its inputs to digests and records the intent.
func (l *Ledger) Begin(ctx context.Context, s Step) (*Pending, error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nil, Errf(CodeUnavailable, "", "the ledger is shutting down")
	}
	in, err := l.prepareIntent(ctx, s)
	if err != nil {
		return nil, err
	}
	in.State, in.Owner, in.Epoch, in.LeaseUntil = IntentLeased, l.instance, 1, l.leaseEnd()
	if err := l.insertIntent(ctx, in); err != nil {
		return nil, err
	}
	s.Actor, s.Nonce = in.Actor, in.Nonce
	p := &Pending{epoch: 1, run: Run{Step: s, Nonce: in.Nonce, NotBefore: attest.Position{Size: in.SawSize, Root: in.SawRoot}, Started: l.cfg.Clock().UTC()}}
	l.track(p)
	return p, nil
}

// prepareIntent asks everything that can be asked before the work.
func (l *Ledger) prepareIntent(ctx context.Context, s Step) (Intent, error) {
	if s.Actor == "" {
		s.Actor = l.cfg.ServiceActor
	}
	if s.Nonce == "" {
		s.Nonce = randomHex(16)
	}
	kind, ok := l.cfg.Kinds[s.Kind]
	if !ok {
		return Intent{}, Errf(CodeInvalid, "kind", "%q is not a kind of this server", s.Kind)
	}
	in := Intent{Nonce: s.Nonce, Kind: s.Kind, Project: s.Project, Actor: s.Actor, OnBehalfOf: s.OnBehalfOf, Created: l.cfg.Clock().Unix(), Params: "{}"}
	inputs, err := json.Marshal(s.Inputs)
	if err != nil {
		return Intent{}, err
	}
	if in.Inputs = string(inputs); s.Inputs == nil {
		in.Inputs = "[]"
	}
	err = l.View(ctx, Scope{All: true}, func(r *ReadTx) error {
		if err := l.viewAuth.allow(r, s.Actor, s.Project, kind.Operation()); err != nil {
			return err
		}
		pos := r.Position()
		in.SawSize, in.SawRoot = pos.Size, pos.Root
		return r.pin(s.Inputs)
	})
	return in, err
}

// pin checks that every input exists.
func (r *ReadTx) pin(inputs []Ref) error {
	for i, ref := range inputs {
		known, err := r.exists("SELECT COUNT(*) FROM (SELECT 1 FROM edges WHERE digest = ? AND class = 2 AND kind = ? LIMIT 1) AS one", ref.Digest, ref.Kind)
		if err != nil {
			return err
		}
		if !known {
			return Errf(CodeInvalid, fmt.Sprintf("inputs[%d]", i), "no %s %s is in the log", ref.Kind, ref.Digest).WithRemedy("log it first")
		}
	}
	return nil
}

func (l *Ledger) track(p *Pending) {
	l.mu.Lock()
	l.pending[p.run.Nonce] = p
	l.mu.Unlock()
}

func (l *Ledger) untrack(p *Pending) {
	l.mu.Lock()
	delete(l.pending, p.run.Nonce)
	l.mu.Unlock()
}

// Seal stores the blobs, signs the statement and queues it. With workErr it
// logs the step as abandoned (failed) and returns workErr.
func (l *Ledger) Seal(ctx context.Context, p *Pending, res Result, workErr error) (Receipt, error) {
	defer l.untrack(p)
	if workErr != nil {
		return Receipt{}, errors.Join(workErr, l.abandon(ctx, p, ReasonFailed, workErr.Error()))
	}
	rec, err := l.seal(ctx, p, res)
	if err != nil && CodeOf(err) != CodeUnavailable && CodeOf(err) != CodeConflict {
		// The log refused it: the intent ends now and says why.
		err = errors.Join(err, l.abandon(ctx, p, ReasonFailed, err.Error()))
	}
	return rec, err
}

func (l *Ledger) seal(ctx context.Context, p *Pending, res Result) (Receipt, error) {
	for _, b := range res.Blobs {
		if _, err := putBytes(ctx, l.cfg.Blobs, b.Content); err != nil {
			return Receipt{}, err
		}
	}
	st, err := l.statement(p.run, res)
	if err != nil {
		return Receipt{}, err
	}
	signer, err := l.signerOf(p.run.Step)
	if err != nil {
		return Receipt{}, err
	}
	c, err := l.sign(ctx, st, signer)
	if err != nil {
		return Receipt{}, err
	}
	c.intent = p.ref()
	c.intent.state = IntentSucceeded
	return l.log(ctx, c)
}

// signerOf is the key that a step is sealed with: its own, or the one that
// this process holds for its actor.
func (l *Ledger) signerOf(s Step) (keys.Signer, error) {
	switch {
	case s.Signer != nil:
		return s.Signer, nil
	case s.Actor == "" || s.Actor == l.cfg.ServiceActor:
		return l.cfg.Keys.Service, nil
	case l.cfg.Signers[s.Actor] != nil:
		return l.cfg.Signers[s.Actor], nil
	}
	return nil, Errf(CodeUnavailable, "actor", "this process holds no key of %q", s.Actor).WithRemedy("run the step where the account's key is")
}

func (l *Ledger) sign(ctx context.Context, st *attest.Statement, signer keys.Signer) (*candidate, error) {
	signed, err := attest.Sign(ctx, st, signer)
	if err != nil {
		return nil, &Error{Code: CodeUnavailable, Field: "signer", Message: "cannot sign", Err: err}
	}
	return newCandidate(signed)
}

// statement puts the pinned inputs in front of the result's relations.
func (l *Ledger) statement(run Run, res Result) (*attest.Statement, error) {
	relations := make([]attest.Relation, 0, len(run.Inputs)+len(res.Relations))
	for _, in := range run.Inputs {
		relations = append(relations, attest.Relation{Type: attest.RelUsed, Ref: in})
	}
	st, err := attest.NewStatement(attest.Step{
		Kind: run.Kind, Project: run.Project, Nonce: run.Nonce, Actor: run.Actor, OnBehalfOf: run.OnBehalfOf,
		Claimed: l.cfg.Clock().UTC().Truncate(time.Second), NotBefore: run.NotBefore, Relations: append(relations, res.Relations...),
	}, res.Subjects, res.Predicate)
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Field: "statement", Message: err.Error()}
	}
	return st, nil
}

// Prepare builds the statement for a step that somebody signs elsewhere, with
// the current head as "not before". It logs nothing and stores the blobs.
func (l *Ledger) Prepare(ctx context.Context, s Step, res Result) (*attest.Statement, error) {
	if s.Nonce == "" {
		s.Nonce = randomHex(16)
	}
	run := Run{Step: s, Nonce: s.Nonce}
	err := l.View(ctx, Scope{All: true}, func(r *ReadTx) error {
		run.NotBefore = r.Position()
		return r.pin(s.Inputs)
	})
	if err != nil {
		return nil, err
	}
	for _, b := range res.Blobs {
		if _, _, err := l.cfg.Blobs.Put(ctx, bytes.NewReader(b.Content)); err != nil {
			return nil, err
		}
	}
	return l.statement(run, res)
}

// Submit logs a statement that was signed elsewhere. Submitting it again
// returns the first receipt.
func (l *Ledger) Submit(ctx context.Context, s *attest.Signed) (Receipt, error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return Receipt{}, Errf(CodeUnavailable, "", "the ledger is shutting down")
	}
	c, err := newCandidate(s)
	if err != nil {
		return Receipt{}, err
	}
	return l.log(ctx, c)
}

// log queues a candidate and turns the answer into a receipt.
func (l *Ledger) log(ctx context.Context, c *candidate) (Receipt, error) {
	a := l.enqueue(ctx, &op{cand: c})
	if a.err != nil {
		return Receipt{}, a.err
	}
	rec := Receipt{Index: a.index, PAE: c.pae, Stamp: a.stamp, Duplicate: a.duplicate}
	err := l.View(context.WithoutCancel(ctx), Scope{All: true}, func(r *ReadTx) error {
		var err error
		if a.size == 0 {
			if a.size, err = r.firstCheckpoint(a.index); err != nil {
				return err
			}
		}
		if rec.Checkpoint, err = r.CheckpointAt(a.size); err != nil {
			return err
		}
		rec.Bundle, err = r.Bundle(a.index, a.size)
		if CodeOf(err) == CodeNotFound {
			err = nil // erased since: index and checkpoint are still owed
		}
		return err
	})
	if err != nil {
		return rec, &Error{Code: CodeUnavailable, Message: fmt.Sprintf("entry %d is logged, its receipt could not be read", a.index), Remedy: "submit the same statement again", Err: err}
	}
	return rec, nil
}

// abandon closes an intent of this process with an entry.
func (l *Ledger) abandon(ctx context.Context, p *Pending, reason, text string) error {
	l.untrack(p)
	return l.abandonIntent(ctx, p.run.Kind, p.run.Project, p.ref(), reason, text)
}

func (l *Ledger) abandonIntent(ctx context.Context, kind, project string, ref *intentRef, reason, text string) error {
	ref.state, ref.err = IntentAbandoned, text
	if reason == ReasonFailed {
		ref.state = IntentFailed
	}
	if len(text) > 500 {
		text = text[:500]
	}
	run := Run{Step: Step{Kind: attest.KindAbandoned, Project: project, Actor: l.cfg.ServiceActor}, Nonce: randomHex(16)}
	if err := l.View(ctx, Scope{All: true}, func(r *ReadTx) error { run.NotBefore = r.Position(); return nil }); err != nil {
		return err
	}
	st, err := l.statement(run, Result{Predicate: attest.Abandoned{Intent: ref.nonce, Kind: kind, Reason: reason, Error: text}})
	if err != nil {
		return err
	}
	c, err := l.sign(ctx, st, l.cfg.Keys.Service)
	if err != nil {
		return err
	}
	c.intent = ref
	_, err = l.log(ctx, c)
	return err
}

func unix(s int64) time.Time { return time.Unix(s, 0).UTC() }
