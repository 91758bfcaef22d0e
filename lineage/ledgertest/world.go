// Package ledgertest builds ledgers for tests and holds the conformance and
// fault suite, which runs on every database.
package ledgertest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/lineage/govern"
)

// Project is the project that a World opens.
const Project = "lending"

// Admin is the first person of every World.
const Admin = "adam-admin"

// World is a fresh ledger with a project and people.
type World struct {
	T      testing.TB
	L      *lineage.Ledger
	DB     *lineage.Database
	Keys   *keys.Set
	Config lineage.Config
	// People holds the key of each person and account, by actor.
	People map[string]keys.Signer
}

// Option changes the configuration before the ledger opens.
type Option func(*lineage.Config)

// WithDB runs the world on a given, migrated database instead of SQLite.
func WithDB(db *lineage.Database) Option { return func(c *lineage.Config) { c.DB = db } }

// WithKinds adds rows to the table of Kinds, besides govern's.
func WithKinds(rows ...lineage.Kind) Option {
	return func(c *lineage.Config) {
		for _, k := range rows {
			c.Kinds[k.Name] = k
		}
	}
}

// WithClock sets the ledger's clock.
func WithClock(now func() time.Time) Option { return func(c *lineage.Config) { c.Clock = now } }

// New makes a world with govern's Kinds and the given ones, on SQLite in the
// test's directory unless an option says otherwise.
func New(t testing.TB, kinds []lineage.Kind, opts ...Option) *World {
	t.Helper()
	ctx := context.Background()
	table, err := lineage.NewKinds(govern.Kinds(), kinds)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	blobs, err := lineage.OpenLocalBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := lineage.Config{Kinds: table, Blobs: blobs, GroupWindow: time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	for _, o := range opts {
		o(&cfg)
	}
	now := time.Now()
	if cfg.Clock != nil {
		now = cfg.Clock()
	}
	if cfg.Keys == nil {
		// A little earlier than the clock, so that certificates are valid at the first stamp.
		if cfg.Keys, err = keys.NewSet("log.affidavit.example", now.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if cfg.DB == nil {
		if cfg.DB, err = lineage.OpenSQLite(ctx, filepath.Join(dir, "ledger.db")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cfg.DB.Close() })
	}
	if err := cfg.DB.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, DB: cfg.DB, Keys: cfg.Keys, Config: cfg, People: map[string]keys.Signer{}}
	admin := w.key(Admin)
	w.L, _, err = lineage.Init(ctx, cfg, lineage.InitParams{
		Admin:   attest.Enrolment{Actor: Admin, Name: "Adam Admin", Email: Admin + "@bank.example", PublicKey: admin.PublicKey()},
		Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	w.People[lineage.DefaultServiceActor] = cfg.Keys.Service
	w.Must(w.SubmitAs(Admin, lineage.Step{Kind: attest.KindProject}, lineage.Result{Predicate: attest.Project{ID: Project, Name: "Lending"}}))
	return w
}

// Close stops the ledger; a second call does nothing.
func (w *World) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := w.L.Close(ctx); err != nil {
		w.T.Logf("close: %v", err)
	}
}

// Reopen stops the ledger and opens it again on the same database.
func (w *World) Reopen() {
	w.T.Helper()
	w.Close()
	var err error
	if w.L, err = lineage.Open(context.Background(), w.Config); err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) key(actor string) keys.Signer {
	s, err := keys.Ephemeral()
	if err != nil {
		w.T.Fatal(err)
	}
	w.People[actor] = s
	return s
}

// Person enrols a person with a fresh key and grants roles in Project.
func (w *World) Person(actor string, roles ...string) {
	w.T.Helper()
	w.Must(w.Enrol(actor, w.key(actor)))
	w.Grant(actor, roles...)
}

// Enrol enrols one more key for an actor.
func (w *World) Enrol(actor string, s keys.Signer) (lineage.Receipt, error) {
	in := attest.Enrolment{Actor: actor, Name: actor, Email: actor + "@bank.example", KeyID: attest.KeyID(s.PublicKey()), PublicKey: s.PublicKey()}
	return w.SubmitAs(Admin, lineage.Step{Kind: attest.KindKeyEvent}, lineage.Result{Predicate: attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: in}})
}

// Account registers a service account with a fresh key, owned by a person, as a machine in Project.
func (w *World) Account(account, owner string) {
	w.T.Helper()
	w.Must(w.SubmitAs(Admin, lineage.Step{Kind: attest.KindServiceAccount}, lineage.Result{Predicate: attest.ServiceAccount{Account: account, Owner: owner, Purpose: "test", Active: true}}))
	s := w.key(account)
	in := attest.Enrolment{Actor: account, KeyID: attest.KeyID(s.PublicKey()), PublicKey: s.PublicKey()}
	w.Must(w.SubmitAs(Admin, lineage.Step{Kind: attest.KindKeyEvent}, lineage.Result{Predicate: attest.KeyEvent{Action: attest.ActionEnrol, Enrolment: in}}))
	w.Grant(account, "machine")
}

// Grant gives roles in Project.
func (w *World) Grant(actor string, roles ...string) {
	w.T.Helper()
	for _, role := range roles {
		w.Must(w.SubmitAs(Admin, lineage.Step{Kind: attest.KindRoleGrant}, lineage.Result{Predicate: attest.RoleGrant{Action: attest.ActionGrant, Actor: actor, Role: role, Project: Project}}))
	}
}

// SubmitAs prepares a statement, signs it with the actor's key, as a person's
// own tool would, and submits it.
func (w *World) SubmitAs(actor string, s lineage.Step, res lineage.Result) (lineage.Receipt, error) {
	signed, err := w.Sign(actor, s, res)
	if err != nil {
		return lineage.Receipt{}, err
	}
	return w.L.Submit(context.Background(), signed)
}

// Sign prepares and signs without submitting.
func (w *World) Sign(actor string, s lineage.Step, res lineage.Result) (*attest.Signed, error) {
	ctx := context.Background()
	s.Actor = actor
	st, err := w.L.Prepare(ctx, s, res)
	if err != nil {
		return nil, err
	}
	signer := w.People[actor]
	if signer == nil {
		return nil, fmt.Errorf("no key of %s", actor)
	}
	return attest.Sign(ctx, st, signer)
}

// Do runs a step with a finished result as the server's own account.
func (w *World) Do(s lineage.Step, res lineage.Result) (lineage.Receipt, error) {
	return w.L.Do(context.Background(), s, func(context.Context, lineage.Run) (lineage.Result, error) { return res, nil })
}

// DoAs runs a step signed by a service account of this world.
func (w *World) DoAs(account string, s lineage.Step, res lineage.Result) (lineage.Receipt, error) {
	s.Actor, s.Signer = account, w.People[account]
	return w.Do(s, res)
}

// Must fails the test on an error.
func (w *World) Must(rec lineage.Receipt, err error) lineage.Receipt {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
	return rec
}

// View reads everything.
func (w *World) View(fn func(*lineage.ReadTx) error) {
	w.T.Helper()
	if err := w.L.View(context.Background(), lineage.Scope{All: true}, fn); err != nil {
		w.T.Fatal(err)
	}
}

// Rows counts the rows of every governed and cur_ table: what a refusal must leave alone.
func (w *World) Rows() map[string]int64 {
	w.T.Helper()
	return CountRows(w.T, w.DB)
}

// Refused runs fn, which must fail with code, and asserts that nothing changed.
func (w *World) Refused(code lineage.Code, fn func() error) error {
	w.T.Helper()
	before := w.Rows()
	err := fn()
	if got := lineage.CodeOf(err); got != code {
		w.T.Fatalf("got %q (%v), want %q", got, err, code)
	}
	for table, n := range w.Rows() {
		if n != before[table] {
			w.T.Errorf("%s: %d rows before the refusal, %d after", table, before[table], n)
		}
	}
	return err
}
