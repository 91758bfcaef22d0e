package wire

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/server"
)

// Node is an opened ledger with what it stands on.
type Node struct {
	Config  Config
	DB      *lineage.Database
	Ledger  *lineage.Ledger
	Metrics *server.Metrics
	Logger  *slog.Logger
	// Created is set when this call initialised the log.
	Created bool
}

// Options are what a config file cannot say.
type Options struct {
	// Clock defaults to time.Now.
	Clock func() time.Time
	// Admin is the first person; used only when the log is initialised. Nil:
	// a key is made in the data directory.
	Admin *attest.Enrolment
	// Password of the service keys; "": AFFIDAVIT_KEY_PASSWORD, or one that
	// is made at random and kept beside the data.
	Password string
	Version  string
	Log      *slog.Logger
	// Signers are the keys of service accounts that work in this process.
	Signers map[string]keys.Signer
}

// OpenDatabase opens the configured database without migrating it.
func OpenDatabase(ctx context.Context, c Config) (*lineage.Database, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	if c.postgres() {
		return lineage.OpenPostgres(ctx, c.Database)
	}
	return lineage.OpenSQLite(ctx, c.Database)
}

// Open opens, and on first start initialises, the ledger that c describes.
func Open(ctx context.Context, c Config, o Options) (*Node, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	n := &Node{Config: c, Metrics: server.NewMetrics(), Logger: o.Log}
	if n.Logger == nil {
		level, _ := c.level() // fill checked it
		n.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, &lineage.Error{Code: lineage.CodeUnavailable, Field: "data_dir", Message: "cannot be made", Err: err}
	}
	password, err := c.password(o.Password)
	if err != nil {
		return nil, err
	}
	if n.DB, err = OpenDatabase(ctx, c); err != nil {
		return nil, err
	}
	if err := n.open(ctx, password, o); err != nil {
		n.DB.Close()
		return nil, err
	}
	return n, nil
}

func (n *Node) open(ctx context.Context, password string, o Options) error {
	if err := n.DB.Migrate(ctx); err != nil {
		return err
	}
	empty, err := n.DB.Empty(ctx)
	if err != nil {
		return err
	}
	now := time.Now
	if o.Clock != nil {
		now = o.Clock
	}
	set, err := n.serviceKeys(password, empty, now())
	if err != nil {
		return err
	}
	kinds, err := Kinds()
	if err != nil {
		return err
	}
	blobs, err := lineage.OpenLocalBlobs(n.Config.Blobs)
	if err != nil {
		return err
	}
	window, _ := time.ParseDuration(n.Config.GroupWindow) // fill checked it
	cfg := lineage.Config{DB: n.DB, Keys: set, Kinds: kinds, Blobs: blobs, Clock: o.Clock, GroupWindow: window,
		CheckpointFile: n.Config.CheckpointFile, Signers: o.Signers, Logger: n.Logger, Observer: n.Metrics}
	if !empty {
		n.Ledger, err = lineage.Open(ctx, cfg)
		return err
	}
	admin := o.Admin
	if admin == nil {
		if admin, err = n.firstAdmin(password); err != nil {
			return err
		}
	}
	n.Created = true
	n.Ledger, _, err = lineage.Init(ctx, cfg, lineage.InitParams{Admin: *admin, Version: o.Version})
	return err
}

// serviceKeys opens the key set; on an empty log it may make one.
func (n *Node) serviceKeys(password string, empty bool, now time.Time) (*keys.Set, error) {
	dir := n.Config.Keys
	_, err := os.Stat(filepath.Join(dir, keys.TrustedRootFile))
	switch {
	case err == nil:
		set, err := keys.OpenSet(dir, password)
		if err != nil {
			return nil, &lineage.Error{Code: lineage.CodeUnavailable, Field: "keys", Message: "the service keys do not open", Err: err}
		}
		return set, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, &lineage.Error{Code: lineage.CodeUnavailable, Field: "keys", Message: "cannot be read", Err: err}
	case !empty:
		return nil, lineage.Errf(lineage.CodeUnavailable, "keys", "%s holds no service keys, but the database holds a log", dir).
			WithRemedy("point it at the directory that began this log")
	}
	set, err := keys.CreateSet(dir, password, n.Config.Origin, now)
	if err != nil {
		return nil, &lineage.Error{Code: lineage.CodeUnavailable, Field: "keys", Message: "cannot make service keys", Err: err}
	}
	return set, nil
}

// AdminKeyFile is made on first start when no admin was named.
const AdminKeyFile = "admin.key"

func (n *Node) firstAdmin(password string) (*attest.Enrolment, error) {
	file := filepath.Join(n.Config.DataDir, AdminKeyFile)
	s, err := keys.GenerateFile(file, password)
	if errors.Is(err, os.ErrExist) {
		s, err = keys.LoadFile(file, password)
	}
	if err != nil {
		return nil, &lineage.Error{Code: lineage.CodeUnavailable, Field: "data_dir", Message: "cannot make the first admin's key", Err: err}
	}
	return &attest.Enrolment{Actor: "admin", Name: "Administrator", Email: "admin@localhost.localdomain", PublicKey: s.PublicKey()}, nil
}

// PassphraseFile keeps a random password when the operator set none.
const PassphraseFile = "key-passphrase"

func (c *Config) password(given string) (string, error) {
	if given == "" {
		given = os.Getenv("AFFIDAVIT_KEY_PASSWORD")
	}
	if given != "" {
		return given, nil
	}
	file := filepath.Join(c.DataDir, PassphraseFile)
	text, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	secret := randomPassphrase()
	return secret, os.WriteFile(file, []byte(secret+"\n"), 0o600)
}

// Close stops the ledger, abandons what is left at ctx's end, and closes the database.
func (n *Node) Close(ctx context.Context) error {
	return errors.Join(n.Ledger.Close(ctx), n.DB.Close())
}
