package lineage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"affidavit/attest"
	"affidavit/attest/keys"
)

// Observer is told what the sequencer did; every method must return at once.
// The zero value of Config uses one that ignores everything.
type Observer interface {
	Group(size int, took time.Duration)
	Sealed(kind string, code Code) // code "" for an acknowledged entry
	Head(size int64)
}

type silent struct{}

func (silent) Group(int, time.Duration) {}
func (silent) Sealed(string, Code)      {}
func (silent) Head(int64)               {}

// Config of a Ledger.
type Config struct {
	DB   *Database
	Keys *keys.Set
	// ServiceActor is the server's own account; default "affidavit".
	ServiceActor string
	Kinds        Kinds
	Blobs        Blobs
	// Signers are the keys of further service accounts for which this process
	// works, by actor: a queued job names its account, not its key.
	Signers map[string]keys.Signer
	// Clock defaults to time.Now.
	Clock func() time.Time
	// GroupWindow is how long the sequencer waits for company (default 5 ms);
	// GroupMax how many steps one transaction takes (default 500).
	GroupWindow time.Duration
	GroupMax    int
	// CheckpointFile, kept outside the database and its backups, is written
	// after each COMMIT and read at Open; empty: no rollback is noticed.
	CheckpointFile string
	Logger         *slog.Logger
	Observer       Observer
	// Lease is how long an intent lives without a sign of life (default 60 s).
	Lease time.Duration
	// faults lets tests of this module fail one step of the write path.
	faults func(point string) error
}

func (c *Config) defaults() {
	if c.ServiceActor == "" {
		c.ServiceActor = DefaultServiceActor
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.GroupWindow == 0 {
		c.GroupWindow = 5 * time.Millisecond
	}
	if c.GroupMax == 0 {
		c.GroupMax = 500
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = silent{}
	}
	if c.Lease == 0 {
		c.Lease = time.Minute
	}
	if c.faults == nil {
		c.faults = func(string) error { return nil }
	}
}

// DefaultServiceActor is the account under which the server swears.
const DefaultServiceActor = "affidavit"

// Ledger is the choke point. Safe for concurrent use; several processes may
// share one PostgreSQL database if they share the log, timestamp and service keys.
type Ledger struct {
	cfg      Config
	db       *Database
	auth     *authorizer // the sequencer's
	viewAuth *authorizer // the readers'
	verifier note.Verifier
	root     *keys.TrustedRoot
	instance string

	queue   chan *op
	stopped chan struct{} // closed when the sequencer has drained
	closing chan struct{} // closed when no new work is taken
	sweeper sync.WaitGroup

	mu      sync.Mutex
	closed  bool                // no new steps
	drained bool                // no new ops either
	pending map[string]*Pending // by nonce; what this process has begun
	entered sync.WaitGroup      // callers between enqueue and answer
	fault   error               // last failure to write the checkpoint file
}

// Open starts a ledger on a migrated, initialised database.
//
// Errors: CodeRollback if the head is older than, or contradicts, the
// checkpoint file; CodeUnavailable for another log's key, a newer schema or a
// database without genesis.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	cfg.defaults()
	l, err := newLedger(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := l.checkGenesis(ctx); err != nil {
		return nil, err
	}
	if err := l.checkAgainstFile(ctx); err != nil {
		return nil, err
	}
	l.start()
	return l, nil
}

func newLedger(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.DB == nil || cfg.Keys == nil || cfg.Blobs == nil || len(cfg.Kinds) == 0 {
		return nil, Errf(CodeInternal, "config", "DB, Keys, Blobs and Kinds are required")
	}
	if err := cfg.DB.checkMigrated(ctx); err != nil {
		return nil, err
	}
	l := &Ledger{
		cfg: cfg, db: cfg.DB, verifier: cfg.Keys.Log.Verifier(), root: cfg.Keys.TrustedRoot(),
		instance: randomHex(8), queue: make(chan *op, 4*cfg.GroupMax), stopped: make(chan struct{}),
		closing: make(chan struct{}), pending: map[string]*Pending{},
	}
	l.auth, l.viewAuth = newAuthorizer(), newAuthorizer()
	return l, nil
}

func (l *Ledger) start() {
	go l.sequence()
	l.sweeper.Add(1)
	go l.sweep()
}

// checkGenesis refuses a log that other keys began.
func (l *Ledger) checkGenesis(ctx context.Context) error {
	return l.View(ctx, Scope{All: true}, func(r *ReadTx) error {
		if r.Size() == 0 {
			return Errf(CodeUnavailable, "database", "it holds no log yet").WithRemedy("run affidavit serve or demo once to initialise it")
		}
		e, err := r.Entry(0)
		if err != nil {
			return err
		}
		var g attest.Genesis
		if err := e.Decode(&g); err != nil {
			return err
		}
		if attest.KeyID(g.LogKey) != attest.KeyID(l.cfg.Keys.Log.SPKI()) || g.Origin != l.cfg.Keys.Log.Origin() {
			return Errf(CodeUnavailable, "keys", "the log of this database belongs to %s with log key %s, the configured key is %s of %s",
				g.Origin, attest.KeyID(g.LogKey), attest.KeyID(l.cfg.Keys.Log.SPKI()), l.cfg.Keys.Log.Origin()).
				WithRemedy("point the server at the key directory that began this log")
		}
		l.cfg.ServiceActor = g.Service.Actor
		return nil
	})
}

// Keys returns the service keys.
func (l *Ledger) Keys() *keys.Set { return l.cfg.Keys }

// TrustedRoot is what an outside party needs to verify this log.
func (l *Ledger) TrustedRoot() *keys.TrustedRoot { return l.root }

// Blobs returns the artefact store.
func (l *Ledger) Blobs() Blobs { return l.cfg.Blobs }

// Kinds returns the table of step types.
func (l *Ledger) Kinds() Kinds { return l.cfg.Kinds }

// ServiceActor is the account under which this server swears.
func (l *Ledger) ServiceActor() string { return l.cfg.ServiceActor }

// Now is the ledger's clock.
func (l *Ledger) Now() time.Time { return l.cfg.Clock() }

// Ready reports whether the ledger can take writes now.
func (l *Ledger) Ready(ctx context.Context) error {
	l.mu.Lock()
	closed, fault := l.closed, l.fault
	l.mu.Unlock()
	if closed {
		return Errf(CodeUnavailable, "", "the ledger is shutting down")
	}
	if fault != nil {
		return &Error{Code: CodeUnavailable, Field: "checkpoint_file", Message: "the checkpoint could not be kept outside the database", Err: fault}
	}
	return l.View(ctx, Scope{All: true}, func(r *ReadTx) error {
		if now := l.cfg.Clock(); now.Before(r.stamp.Add(-maxClockLag)) {
			return clockError(now, r.stamp)
		}
		return nil
	})
}

// Close takes no new work, waits for what is under way until ctx ends, then
// abandons it with an entry that says so, and stops the sequencer.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.stopped
		return nil
	}
	l.closed = true
	close(l.closing)
	l.mu.Unlock()
	l.sweeper.Wait()
	err := l.settlePending(ctx)
	l.mu.Lock()
	l.drained = true
	l.mu.Unlock()
	l.entered.Wait() // every op that passed the gate has been answered or given up
	close(l.queue)
	<-l.stopped
	return err
}

// settlePending waits for begun steps; what is left at ctx's end is abandoned.
func (l *Ledger) settlePending(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		l.mu.Lock()
		left := make([]*Pending, 0, len(l.pending))
		for _, p := range l.pending {
			left = append(left, p)
		}
		l.mu.Unlock()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			var errs []error
			for _, p := range left {
				err := l.abandon(context.WithoutCancel(ctx), p, ReasonShutdown, "")
				if CodeOf(err) != CodeConflict { // else it was sealed at the last moment
					errs = append(errs, err)
				}
			}
			return errors.Join(errs...)
		}
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
