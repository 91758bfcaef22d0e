package gateway

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"affidavit/lineage"
	"affidavit/pipeline/gate"
	"affidavit/serving/gateway/openinference"
)

// Options of a Gateway. Zero fields take the defaults in their comments.
type Options struct {
	Project string // required
	// Keys protects what was predicted; required.
	Keys KeyStore
	// Clock stamps predictions and judges expiry; default: the ledger's.
	Clock func() time.Time
	// SegmentEvery is how many predictions a segment holds at most (default 1000), SegmentAge how long the first of
	// them waits for the others (default one minute).
	SegmentEvery int
	SegmentAge   time.Duration
	// MaxUnsealed predictions wait at most (default 20 segments): beyond, none is given until some are sealed.
	MaxUnsealed int
	// Seed of the assignment of requests to arms; 0: an unpredictable one. Fixed only to repeat an experiment.
	Seed   uint64
	Logger *slog.Logger
	// admit judges approvals; tests of this package replace it.
	admit admitFunc
}

func (o *Options) defaults(l *lineage.Ledger) error {
	if o.Project == "" || o.Keys == nil {
		return lineage.Errf(lineage.CodeInvalid, "options", "a gateway needs a project and a key store")
	}
	if o.Clock == nil {
		o.Clock = l.Now
	}
	if o.SegmentEvery <= 0 {
		o.SegmentEvery = 1000
	}
	if o.SegmentAge <= 0 {
		o.SegmentAge = time.Minute
	}
	if o.MaxUnsealed <= 0 {
		o.MaxUnsealed = 20 * o.SegmentEvery
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.admit == nil {
		o.admit = gate.Admit
	}
	return nil
}

// Gateway answers predictions of what is deployed. Safe for concurrent use. Close it before its ledger.
type Gateway struct {
	ledger *lineage.Ledger
	o      Options
	prefix string // of prediction ids, one for each gateway
	serial atomic.Int64

	table  atomic.Pointer[table]
	syncMu sync.Mutex // one Sync at a time

	drawMu sync.Mutex
	draw   *rand.Rand

	canaryMu sync.RWMutex
	canaries map[string]*canaryRun // by endpoint

	mu       sync.Mutex
	buffers  map[bufferKey]*buffer
	unsealed int
	sealErr  error         // of the last attempt; nil once one succeeds
	space    chan struct{} // closed, and replaced, whenever something was sealed or an attempt failed
	closed   bool

	sealMu sync.Mutex // one sealing at a time: sequence numbers are taken in order
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}
}

// New makes a gateway that serves nothing yet: call Sync.
func New(_ context.Context, l *lineage.Ledger, o Options) (*Gateway, error) {
	if err := o.defaults(l); err != nil {
		return nil, err
	}
	var random [40]byte
	_, _ = crand.Read(random[:]) // never fails
	g := &Gateway{ledger: l, o: o, prefix: hex.EncodeToString(random[32:]), canaries: map[string]*canaryRun{}, buffers: map[bufferKey]*buffer{},
		space: make(chan struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if o.Seed != 0 {
		g.draw = rand.New(rand.NewPCG(o.Seed, 0x5eed))
	} else {
		g.draw = rand.New(rand.NewChaCha8([32]byte(random[:32])))
	}
	g.table.Store(&table{endpoints: map[string]*endpoint{}})
	go g.sealLoop()
	return g, nil
}

// Ready reports whether predictions can be answered: it was synchronised, every endpoint has its champion, and what was
// predicted could be sealed.
func (g *Gateway) Ready() bool {
	t := g.table.Load()
	g.mu.Lock()
	healthy := !g.closed && (g.sealErr == nil || g.unsealed < g.o.MaxUnsealed)
	g.mu.Unlock()
	return healthy && t.synced && len(t.problems()) == 0
}

// Close takes no more requests and seals what was predicted. An error says that predictions were given and not sealed.
func (g *Gateway) Close(ctx context.Context) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		<-g.done
		return nil
	}
	g.closed = true
	g.mu.Unlock()
	close(g.stop)
	<-g.done
	return g.Seal(ctx)
}

// Model describes what an endpoint accepts; version "" is its champion.
func (g *Gateway) Model(_ context.Context, name, version string) (openinference.ModelMetadata, error) {
	ep, err := g.table.Load().find(name)
	if err != nil {
		return openinference.ModelMetadata{}, err
	}
	now := g.o.Clock()
	d, _, err := ep.choose(version, now, func() float64 { return 1 })
	if err != nil {
		return openinference.ModelMetadata{}, err
	}
	if err := d.usable(now); err != nil {
		return openinference.ModelMetadata{}, err
	}
	return d.rules.metadata(name, ep.versions(), d.model), nil
}

func (g *Gateway) random() float64 {
	g.drawMu.Lock()
	defer g.drawMu.Unlock()
	return g.draw.Float64()
}

func (g *Gateway) view(ctx context.Context, fn func(*lineage.ReadTx) error) error {
	return g.ledger.View(ctx, lineage.Scope{All: true}, fn)
}

// asDomain hides what is no message for a caller.
func asDomain(code lineage.Code, field, message string, err error) error {
	var known *lineage.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &lineage.Error{Code: code, Field: field, Message: message, Err: err}
}
