package lineage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"affidavit/attest"
)

// States of an intent: queued → leased → succeeded | failed | abandoned.
const (
	IntentQueued    = "queued"
	IntentLeased    = "leased"
	IntentSucceeded = "succeeded"
	IntentFailed    = "failed"
	IntentAbandoned = "abandoned"
)

// Reasons of an abandoned entry.
const (
	ReasonExpired  = "expired"
	ReasonShutdown = "shutdown"
	ReasonFailed   = "failed"
)

// Intent is a row of intents: what was begun, before its result. Mutable, not
// replayed; its entries are.
type Intent struct {
	Nonce      string `gorm:"primaryKey"`
	Kind       string
	Project    string
	Actor      string
	OnBehalfOf string
	Handler    string
	Params     string
	Inputs     string
	State      string
	Owner      string
	Epoch      int64
	LeaseUntil int64 // Unix seconds
	Created    int64
	SawSize    int64
	SawRoot    string
	Entry      *int64
	Error      string
}

// TableName implements gorm's Tabler.
func (Intent) TableName() string { return "intents" }

// intentRef is the fence of a lease: only the holder of this epoch may seal.
type intentRef struct {
	nonce string
	epoch int64
	// state is what sealing makes of the intent.
	state string
	// sweep closes whatever holds the intent, if its lease is over at now.
	sweep bool
	now   int64
	err   string
}

// holds checks the lease inside the sequencer's transaction.
func (r *intentRef) holds(ctx context.Context, d *Database, tx *sql.Tx) error {
	var state string
	var epoch, until int64
	err := tx.QueryRowContext(ctx, d.bind("SELECT state, epoch, lease_until FROM intents WHERE nonce = ?"), r.nonce).Scan(&state, &epoch, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return Errf(CodeNotFound, "nonce", "no intent %s", r.nonce)
	}
	if err != nil {
		return fmt.Errorf("intent: %w", err)
	}
	if state != IntentLeased || epoch != r.epoch {
		return Errf(CodeConflict, "nonce", "the intent %s is %s and no longer held by this worker", r.nonce, state)
	}
	if r.sweep && until > r.now {
		return Errf(CodeConflict, "nonce", "the lease of intent %s was renewed", r.nonce)
	}
	return nil
}

func (r *intentRef) close(ctx context.Context, d *Database, tx *sql.Tx, index int64) error {
	_, err := tx.ExecContext(ctx, d.bind("UPDATE intents SET state = ?, entry = ?, error = ? WHERE nonce = ?"), r.state, index, r.err, r.nonce)
	return err
}

// intentOp runs fn among the next group, alone in the sequencer's order.
func (l *Ledger) intentOp(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	return l.enqueue(ctx, &op{intent: fn}).err
}

func (l *Ledger) insertIntent(ctx context.Context, in Intent) error {
	written := false
	return l.intentOp(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if written { // replayed: the first COMMIT may have succeeded unheard
			var same int64
			q := "SELECT COUNT(*) FROM intents WHERE nonce = ? AND kind = ? AND project = ? AND actor = ? AND handler = ? AND params = ? AND owner = ? AND epoch = ? AND created = ?"
			if err := tx.QueryRowContext(ctx, l.db.bind(q), in.Nonce, in.Kind, in.Project, in.Actor, in.Handler, in.Params, in.Owner, in.Epoch, in.Created).Scan(&same); err != nil || same == 1 {
				return err
			}
		}
		var n int64
		q := "SELECT (SELECT COUNT(*) FROM intents WHERE nonce = ?) + (SELECT COUNT(*) FROM entries WHERE nonce = ?)"
		if err := tx.QueryRowContext(ctx, l.db.bind(q), in.Nonce, in.Nonce).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return Errf(CodeConflict, "nonce", "%s was begun already", in.Nonce).WithRemedy("take a new nonce")
		}
		_, err := tx.ExecContext(ctx, l.db.bind("INSERT INTO intents (nonce, kind, project, actor, on_behalf_of, handler, params, inputs, state, owner, epoch, lease_until, created, saw_size, saw_root, entry, error) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,NULL,'')"),
			in.Nonce, in.Kind, in.Project, in.Actor, in.OnBehalfOf, in.Handler, in.Params, in.Inputs, in.State, in.Owner, in.Epoch, in.LeaseUntil, in.Created, in.SawSize, in.SawRoot)
		written = err == nil
		return err
	})
}

// Enqueue records a job; any worker may lease it.
func (l *Ledger) Enqueue(ctx context.Context, j Job) (nonce string, err error) {
	if !json.Valid(j.Params) {
		return "", Errf(CodeInvalid, "params", "is not JSON")
	}
	if j.Handler == "" {
		return "", Errf(CodeInvalid, "handler", "is empty").WithRemedy("name a registered handler")
	}
	in, err := l.prepareIntent(ctx, j.Step)
	if err != nil {
		return "", err
	}
	in.Handler, in.Params, in.State = j.Handler, string(j.Params), IntentQueued
	return in.Nonce, l.insertIntent(ctx, in)
}

// WorkQueued leases and runs queued jobs with the handlers given until none is
// left, and returns how many it ran. A job that fails is sealed as such and
// does not stop the others; the errors come back joined.
func (l *Ledger) WorkQueued(ctx context.Context, handlers map[string]Handler) (ran int, err error) {
	var errs []error
	for ctx.Err() == nil {
		p, in, err := l.lease(ctx, handlers)
		if err != nil {
			return ran, errors.Join(append(errs, err)...)
		}
		if p == nil {
			return ran, errors.Join(errs...)
		}
		ran++
		result, workErr := handlers[in.Handler](ctx, p.Run(), json.RawMessage(in.Params))
		if _, err := l.Seal(context.WithoutCancel(ctx), p, result, workErr); err != nil {
			errs = append(errs, fmt.Errorf("job %s: %w", in.Nonce, err))
		}
	}
	return ran, errors.Join(append(errs, ctx.Err())...)
}

// lease takes the oldest queued job that one of the handlers can run.
func (l *Ledger) lease(ctx context.Context, handlers map[string]Handler) (*Pending, *Intent, error) {
	var got *Intent
	err := l.intentOp(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if got != nil { // replayed: the first COMMIT may have succeeded unheard
			var mine int64
			q := "SELECT COUNT(*) FROM intents WHERE nonce = ? AND state = ? AND owner = ? AND epoch = ?"
			if err := tx.QueryRowContext(ctx, l.db.bind(q), got.Nonce, IntentLeased, l.instance, got.Epoch).Scan(&mine); err != nil || mine == 1 {
				return err
			}
			got = nil
		}
		var jobs []Intent
		q := session(l.db.wgorm, ctx, tx).Where("state = ?", IntentQueued).Order("created, nonce").Limit(100)
		if err := q.Find(&jobs).Error; err != nil {
			return err
		}
		for i := range jobs {
			if handlers[jobs[i].Handler] == nil {
				continue
			}
			j := jobs[i]
			j.Owner, j.Epoch, j.LeaseUntil, j.State = l.instance, j.Epoch+1, l.leaseEnd(), IntentLeased
			// The head lock makes this safe between servers; SKIP LOCKED is not needed under it.
			_, err := tx.ExecContext(ctx, l.db.bind("UPDATE intents SET state = ?, owner = ?, epoch = ?, lease_until = ? WHERE nonce = ?"), j.State, j.Owner, j.Epoch, j.LeaseUntil, j.Nonce)
			got = &j
			return err
		}
		return nil
	})
	if err != nil || got == nil {
		return nil, nil, err
	}
	var inputs []Ref
	if err := json.Unmarshal([]byte(got.Inputs), &inputs); err != nil {
		return nil, nil, err
	}
	p := &Pending{epoch: got.Epoch, run: Run{
		Step:  Step{Kind: got.Kind, Project: got.Project, Actor: got.Actor, OnBehalfOf: got.OnBehalfOf, Inputs: inputs, Nonce: got.Nonce},
		Nonce: got.Nonce, NotBefore: attest.Position{Size: got.SawSize, Root: got.SawRoot}, Started: l.cfg.Clock().UTC(),
	}}
	l.track(p)
	return p, got, nil
}

func (l *Ledger) leaseEnd() int64 { return l.cfg.Clock().Add(l.cfg.Lease).Unix() }

// sweep renews what this process holds and abandons what nobody renewed.
func (l *Ledger) sweep() {
	defer l.sweeper.Done()
	tick := time.NewTicker(max(l.cfg.Lease/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-l.closing:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
			if err := errors.Join(l.renew(ctx), l.Sweep(ctx)); err != nil {
				l.cfg.Logger.Warn("sweeper", "error", err.Error())
			}
			cancel()
		}
	}
}

func (l *Ledger) renew(ctx context.Context) error {
	// By nonce, not by owner: an intent whose caller left while it was being
	// recorded is nobody's, and must run out.
	l.mu.Lock()
	held := make([]any, 0, len(l.pending))
	for nonce := range l.pending {
		held = append(held, nonce)
	}
	l.mu.Unlock()
	if len(held) == 0 {
		return nil
	}
	return l.intentOp(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for part := range slices.Chunk(held, chunk) {
			q := "UPDATE intents SET lease_until = ? WHERE owner = ? AND state = ? AND nonce IN (" + strings.TrimSuffix(strings.Repeat("?,", len(part)), ",") + ")"
			if _, err := tx.ExecContext(ctx, l.db.bind(q), append([]any{l.leaseEnd(), l.instance, IntentLeased}, part...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Sweep seals every intent whose lease is over as abandoned.
func (l *Ledger) Sweep(ctx context.Context) error {
	var over []Intent
	now := l.cfg.Clock().Unix()
	err := l.View(ctx, Scope{All: true}, func(r *ReadTx) error {
		return r.Find(&over, "created, nonce", "state = ? AND lease_until <= ?", IntentLeased, now)
	})
	for _, in := range over {
		ref := &intentRef{nonce: in.Nonce, epoch: in.Epoch, sweep: true, now: now}
		if e := l.abandonIntent(ctx, in.Kind, in.Project, ref, ReasonExpired, ""); e != nil && CodeOf(e) != CodeConflict {
			err = errors.Join(err, e)
		}
	}
	return err
}
