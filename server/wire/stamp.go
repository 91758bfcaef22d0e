package wire

import (
	"context"
	"os"
	"time"

	"affidavit/lineage"
	"affidavit/server/stamp"
)

// minStampEvery spares the authority: most allow a few requests a minute.
const minStampEvery = time.Second

// fillStamps checks the keys of the external authority.
func (c *Config) fillStamps() error {
	if c.ExternalTSAEvery == "" {
		c.ExternalTSAEvery = stamp.DefaultEvery.String()
	}
	every, err := time.ParseDuration(c.ExternalTSAEvery)
	if err != nil || every < minStampEvery {
		return lineage.Errf(lineage.CodeInvalid, "external_tsa_every", "%q is no duration of at least %s", c.ExternalTSAEvery, minStampEvery).
			WithRemedy("write 1m, for example")
	}
	if c.ExternalTSA == "" {
		if c.ExternalTSARoots != "" {
			return lineage.Errf(lineage.CodeInvalid, "external_tsa_roots", "is set, but external_tsa is not").
				WithRemedy("set external_tsa to the authority's URL, or leave both out")
		}
		return nil
	}
	if err := stamp.CheckURL(c.ExternalTSA); err != nil {
		return lineage.Errf(lineage.CodeInvalid, "external_tsa", "%s", err.Error()).WithRemedy("write http://host/path or https://host/path")
	}
	if c.ExternalTSARoots == "" {
		return lineage.Errf(lineage.CodeInvalid, "external_tsa_roots", "is missing: answers of external_tsa could not be judged").
			WithRemedy("name a PEM file with the authority's root certificate")
	}
	return nil
}

// maxRootsFile bounds the PEM file in bytes.
const maxRootsFile = 1 << 20

// Stamper returns what has checkpoints stamped by the external authority; nil
// if none is configured.
func (n *Node) Stamper() (*stamp.Stamper, error) {
	c := n.Config
	if c.ExternalTSA == "" {
		return nil, nil
	}
	invalid := func(field, message string, err error) error {
		return &lineage.Error{Code: lineage.CodeInvalid, Field: field, Message: message, Err: err}
	}
	if info, err := os.Stat(c.ExternalTSARoots); err != nil {
		return nil, invalid("external_tsa_roots", "cannot be read", err)
	} else if !info.Mode().IsRegular() || info.Size() > maxRootsFile {
		return nil, lineage.Errf(lineage.CodeInvalid, "external_tsa_roots", "is no file of at most %d bytes", maxRootsFile)
	}
	text, err := os.ReadFile(c.ExternalTSARoots)
	if err != nil {
		return nil, invalid("external_tsa_roots", "cannot be read", err)
	}
	roots, err := stamp.ParseRoots(text)
	if err != nil {
		return nil, invalid("external_tsa_roots", err.Error(), err)
	}
	authority, err := stamp.NewAuthority(c.ExternalTSA, roots, 0)
	if err != nil {
		return nil, invalid("external_tsa", err.Error(), err)
	}
	every, _ := time.ParseDuration(c.ExternalTSAEvery) // fill checked it
	return stamp.New(stamp.Options{Source: n.checkpoint, Authority: authority, Dir: stamp.Dir(c.CheckpointFile), Every: every, Logger: n.Logger})
}

// checkpoint is the source of the stamper.
func (n *Node) checkpoint(ctx context.Context) (note string, size int64, err error) {
	err = n.Ledger.View(ctx, lineage.Scope{All: true}, func(r *lineage.ReadTx) error {
		size = r.Size()
		note, err = r.Checkpoint()
		return err
	})
	return note, size, err
}
