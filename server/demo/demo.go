// Package demo lives a model's whole life on the real Boston mortgage data,
// through the same ledger, gate, gateway and reports that a server uses, with
// six people who each hold their own key, and verifies the evidence at the end.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack"
	"affidavit/lineage"
	"affidavit/pipeline/dataset"
	"affidavit/pipeline/feature"
	"affidavit/server/progress"
	"affidavit/server/wire"
	"affidavit/serving/gateway"
)

// Options of a demo.
type Options struct {
	// Dir is where everything goes; refused if it exists and is not empty.
	Dir string
	// Out gets the summary, Progress the progress.
	Out, Progress io.Writer
	Version       string
	// Listen is the address of the server; port 0 takes a free one.
	Listen string
	// Serve leaves the server up until ctx ends.
	Serve bool
}

// seed of everything that the demo draws: splits, samples, arms.
const seed = 1990

// demo is one run.
type demo struct {
	o       Options
	node    *wire.Node
	people  map[string]*person
	gateway *gateway.Gateway
	base    string // address of the server
	stop    func() error
	step    int
	refused []refusal

	// What was made on the way.
	table    *dataset.Table
	def      *feature.Definition
	split    *dataset.Split
	data     lineage.Ref
	features lineage.Ref
	training lineage.Ref // pipeline configuration
	trigger  lineage.Ref
	policy   string
	versions []*version
	life     life
	packed   *pack.Report
	started  time.Time
}

// refusal is an attempt that the ledger refused; it left no entry.
type refusal struct {
	Actor, Role, Tried, Reason string
	When                       time.Time
}

// Run lives the demo and prints the summary.
func Run(ctx context.Context, o Options) (err error) {
	if err := claim(o.Dir); err != nil {
		return err
	}
	d := &demo{o: o, started: time.Now()}
	if err := d.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close(ctx)) }()
	for _, s := range d.steps() {
		d.announce(s.words)
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.words, err)
		}
	}
	if err := d.summary(ctx); err != nil {
		return err
	}
	if o.Serve {
		fmt.Fprintf(o.Out, "\nThe server stays up at %s until you press Ctrl-C.\n", d.base)
		<-ctx.Done()
	}
	return nil
}

type stage struct {
	words string
	run   func(context.Context) error
}

func (d *demo) steps() []stage {
	return []stage{
		{"Six people and a machine get their own keys and roles", d.enrolPeople},
		{"The risk officer publishes the policy, the owner the inventory entry", d.publish},
		{"Data version, validation, features, pipeline and trigger", d.prepareData},
		{"Train logistic regression and boosted trees, without race or marital status", d.firstModels},
		{"Promotion: request, a refused self-approval, acceptance, decisions, verdict", d.firstPromotion},
		{"Deploy behind the gateway and answer held-out applicants over HTTP", d.firstDeployment},
		{"Outcomes arrive; a shifted population comes; drift is found", d.watch},
		{"Retraining is triggered; a challenger is trained and evaluated", d.retrain},
		{"The challenger is promoted to a canary", d.secondPromotion},
		{"Canary on 20,000 simulated requests", d.canary},
		{"Model card, validation report and promotion record", d.documents},
		{"Evidence pack, verified offline", d.export},
	}
}

// claim makes dir, or refuses one that holds something.
func claim(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return &lineage.Error{Code: lineage.CodeUnavailable, Field: "dir", Message: "cannot be made", Err: err}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return lineage.Errf(lineage.CodeInvalid, "dir", "%s is not empty", dir).WithRemedy("name another with --dir, or remove it")
	}
	return nil
}

func (d *demo) announce(words string) {
	d.step++
	fmt.Fprintf(d.o.Progress, "[%2d/%d] %s\n", d.step, len(d.steps()), words)
}

// bar shows how far a long step is.
func (d *demo) bar(total int, what string) *progress.Bar {
	return progress.New(d.o.Progress, "        "+what, total)
}

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.o.Dir}, parts...)...)
}

func (d *demo) open(ctx context.Context) error {
	var err error
	if d.people, err = newPeople(); err != nil {
		return err
	}
	config := wire.Config{Listen: d.o.Listen, DataDir: d.path("data"), Project: project, LogLevel: "warn", GroupWindow: "1ms",
		CheckpointFile: d.path("checkpoint.latest")}
	first := d.people[admin].enrolment()
	log := slog.New(slog.NewTextHandler(d.o.Progress, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if d.node, err = wire.Open(ctx, config, wire.Options{Admin: &first, Version: d.o.Version, Log: log,
		Signers: map[string]keys.Signer{trainer: d.people[trainer].signer}}); err != nil {
		return err
	}
	kek := make([]byte, 32)
	_, _ = rand.Read(kek) // never fails
	store, err := gateway.OpenKeyDir(d.path("data", "prediction-keys"), kek)
	if err != nil {
		return err
	}
	d.gateway, err = gateway.New(ctx, d.node.Ledger, gateway.Options{Project: project, Keys: store, SegmentEvery: 5000, Seed: seed, Logger: log})
	if err != nil {
		return err
	}
	return d.listen(ctx)
}

func (d *demo) listen(ctx context.Context) error {
	s, err := d.node.Server(d.gateway, d.o.Version)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", d.o.Listen)
	if err != nil {
		return &lineage.Error{Code: lineage.CodeUnavailable, Field: "listen", Message: "cannot listen on " + d.o.Listen, Err: err}
	}
	d.base = "http://" + ln.Addr().String()
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.Serve(serving, ln) }()
	d.stop = func() error { cancel(); return <-done }
	return nil
}

// close stops server, gateway and ledger, in that order.
func (d *demo) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	var errs []error
	if d.stop != nil {
		errs = append(errs, d.stop())
	}
	if d.gateway != nil {
		errs = append(errs, d.gateway.Close(ctx))
	}
	if d.node != nil {
		errs = append(errs, d.node.Close(ctx))
	}
	return errors.Join(errs...)
}

// stepOf is a step of the demo's project.
func stepOf(kind string) lineage.Step { return lineage.Step{Kind: kind, Project: project} }

// view reads everything.
func (d *demo) view(ctx context.Context, fn func(*lineage.ReadTx) error) error {
	return d.node.Ledger.View(ctx, lineage.Scope{All: true}, fn)
}

// service runs a step as the server's own account.
func (d *demo) service(ctx context.Context, kind string, work func(*lineage.ReadTx) (lineage.Result, error)) (lineage.Receipt, error) {
	return d.node.Ledger.Do(ctx, stepOf(kind), func(ctx context.Context, _ lineage.Run) (lineage.Result, error) {
		var res lineage.Result
		err := d.view(ctx, func(r *lineage.ReadTx) error {
			var err error
			res, err = work(r)
			return err
		})
		return res, err
	})
}

func entryRef(rec lineage.Receipt, kind string) attest.EntryRef { return rec.EntryRef(kind) }
