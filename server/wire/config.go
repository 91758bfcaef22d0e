// Package wire puts the parts together: configuration, service keys, database,
// blobs, the table of Kinds and the HTTP server. Commands use it; nothing else does.
package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"affidavit/lineage"
)

// Config is what a server can be told: by affidavit.yaml, then AFFIDAVIT_<KEY>,
// then flags, the later winning.
type Config struct {
	// Listen is the address of the server; loopback only until logins exist.
	Listen string `yaml:"listen"`
	// DataDir holds database, blobs and keys unless they are named themselves.
	DataDir string `yaml:"data_dir"`
	// Database is a PostgreSQL DSN (postgres://…), or the path of an SQLite file.
	Database string `yaml:"database"`
	// Blobs is the directory of the local blob store.
	Blobs string `yaml:"blobs"`
	// Keys is the directory of the service keys.
	Keys string `yaml:"keys"`
	// CheckpointFile is kept outside DataDir: it notices a restored backup.
	CheckpointFile string `yaml:"checkpoint_file"`
	// Origin names the log; fixed when it is initialised.
	Origin string `yaml:"origin"`
	// Project is the one whose endpoints the gateway serves.
	Project string `yaml:"project"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `yaml:"log_level"`
	// GroupWindow is how long the sequencer waits for company, such as 5ms.
	GroupWindow string `yaml:"group_window"`
	// ExternalTSA is the URL of an RFC 3161 authority that stamps checkpoints; empty: none does.
	ExternalTSA string `yaml:"external_tsa"`
	// ExternalTSARoots is the PEM file of the roots that its chain must lead to.
	ExternalTSARoots string `yaml:"external_tsa_roots"`
	// ExternalTSAEvery is how often the head is stamped if it moved, such as 1m.
	ExternalTSAEvery string `yaml:"external_tsa_every"`
}

// setting is one key: its flag has the same name with hyphens.
type setting struct {
	key, usage string
	at         func(*Config) *string
}

var settings = []setting{
	{"listen", "address to serve on (loopback)", func(c *Config) *string { return &c.Listen }},
	{"data_dir", "directory for database, blobs and keys", func(c *Config) *string { return &c.DataDir }},
	{"database", "PostgreSQL DSN, or path of an SQLite file (default DATA_DIR/ledger.db)", func(c *Config) *string { return &c.Database }},
	{"blobs", "directory of the blob store (default DATA_DIR/blobs)", func(c *Config) *string { return &c.Blobs }},
	{"keys", "directory of the service keys (default DATA_DIR/keys)", func(c *Config) *string { return &c.Keys }},
	{"checkpoint_file", "file outside DATA_DIR that keeps the last checkpoint (default DATA_DIR.checkpoint)", func(c *Config) *string { return &c.CheckpointFile }},
	{"origin", "name of the log, fixed when it is initialised (default affidavit-<key>.local)", func(c *Config) *string { return &c.Origin }},
	{"project", "project whose endpoints are served", func(c *Config) *string { return &c.Project }},
	{"log_level", "debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }},
	{"group_window", "how long a commit waits for company, such as 5ms", func(c *Config) *string { return &c.GroupWindow }},
	{"external_tsa", "URL of an RFC 3161 authority that stamps checkpoints (default none)", func(c *Config) *string { return &c.ExternalTSA }},
	{"external_tsa_roots", "PEM file of the roots that authority's chain must lead to", func(c *Config) *string { return &c.ExternalTSARoots }},
	{"external_tsa_every", "how often the head is stamped if it moved (default 1m)", func(c *Config) *string { return &c.ExternalTSAEvery }},
}

// Settings calls fn for each key with its help and a pointer into c.
func Settings(c *Config, fn func(key, usage string, value *string)) {
	for _, s := range settings {
		fn(s.key, s.usage, s.at(c))
	}
}

// ConfigFile is read from the working directory if it is there.
const ConfigFile = "affidavit.yaml"

// Load reads file ("" for ConfigFile, which may be absent) and the
// environment; flags come after it, by the caller. Unknown keys are refused.
func Load(file string, env func(string) string) (Config, error) {
	c := Config{Listen: "127.0.0.1:8420", DataDir: "./affidavit-data", Project: "lending", LogLevel: "info"}
	optional := file == ""
	if optional {
		file = ConfigFile
	}
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		d := yaml.NewDecoder(strings.NewReader(string(text)))
		d.KnownFields(true)
		if err := d.Decode(&c); err != nil {
			return c, fmt.Errorf("%s: %w", file, err)
		}
	case !optional || !errors.Is(err, os.ErrNotExist):
		return c, err
	}
	for _, s := range settings {
		if v := env("AFFIDAVIT_" + strings.ToUpper(s.key)); v != "" {
			*s.at(&c) = v
		}
	}
	return c, nil
}

// fill derives what was left open, and refuses what cannot be meant.
func (c *Config) fill() error {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&c.Database, filepath.Join(c.DataDir, "ledger.db"))
	def(&c.Blobs, filepath.Join(c.DataDir, "blobs"))
	def(&c.Keys, filepath.Join(c.DataDir, "keys"))
	def(&c.CheckpointFile, strings.TrimRight(filepath.Clean(c.DataDir), "/")+".checkpoint")
	def(&c.GroupWindow, "5ms")
	if _, err := time.ParseDuration(c.GroupWindow); err != nil {
		return lineage.Errf(lineage.CodeInvalid, "group_window", "%q is no duration", c.GroupWindow).WithRemedy("write 5ms, for example")
	}
	if err := c.fillStamps(); err != nil {
		return err
	}
	if _, err := c.level(); err != nil {
		return lineage.Errf(lineage.CodeInvalid, "log_level", "%q is none of debug, info, warn, error", c.LogLevel)
	}
	inside, err := within(c.DataDir, c.CheckpointFile)
	if err != nil {
		return err
	}
	if inside {
		return lineage.Errf(lineage.CodeInvalid, "checkpoint_file", "lies inside data_dir: a restored backup would bring its own").
			WithRemedy("keep it elsewhere, best on another disk")
	}
	return nil
}

func (c *Config) level() (slog.Level, error) {
	var l slog.Level
	err := l.UnmarshalText([]byte(c.LogLevel))
	return l, err
}

func within(dir, file string) (bool, error) {
	d, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}
	f, err := filepath.Abs(file)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(d, f)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
}

// postgres reports whether Database is a DSN.
func (c *Config) postgres() bool {
	return strings.HasPrefix(c.Database, "postgres://") || strings.HasPrefix(c.Database, "postgresql://") || strings.Contains(c.Database, "host=")
}

// SQLitePath returns the file of an SQLite database; false for PostgreSQL.
func (c Config) SQLitePath() (string, bool) {
	if c.postgres() {
		return "", false
	}
	if c.Database == "" {
		return filepath.Join(c.DataDir, "ledger.db"), true
	}
	return c.Database, true
}
