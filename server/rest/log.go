package rest

import (
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/attest/tlog"
	"affidavit/lineage"
	"affidavit/server"
)

// A full tile never changes, nor does a partial one of a given width. Entries
// need permission, so only the reader's own cache may keep them.
const (
	immutable        = "public, max-age=31536000, immutable"
	immutablePrivate = "private, max-age=31536000, immutable"
)

// Consistency is a proof between two sizes of the log.
type Consistency struct {
	Old           int64    `json:"old"`
	New           int64    `json:"new"`
	Hashes        []string `json:"hashes" doc:"RFC 6962 consistency proof, hex"`
	OldCheckpoint string   `json:"oldCheckpoint,omitempty" doc:"signed note of the old size, if that size was ever published"`
	NewCheckpoint string   `json:"newCheckpoint,omitempty"`
}

func (a *API) getCheckpoint(c *gin.Context) error {
	var note string
	err := a.view(c, func(r *lineage.ReadTx) (err error) {
		note, err = r.Checkpoint()
		return err
	})
	if err != nil {
		return err
	}
	c.Data(http.StatusOK, mediaText, []byte(note))
	return nil
}

func (a *API) getTile(c *gin.Context) error {
	return a.serveTile(c, "tile/"+c.Param("level")+c.Param("index"), func(r *lineage.ReadTx, t tlog.TilePath) ([]byte, error) {
		return tlog.TileHashes(r.Context(), r.HashReader(), t, r.Size())
	})
}

func (a *API) getEntryTile(c *gin.Context) error {
	return a.serveTile(c, "tile/entries"+c.Param("index"), func(r *lineage.ReadTx, t tlog.TilePath) ([]byte, error) {
		leaves, err := r.Leaves(t.Index*tlog.TileWidth, t.Width)
		return tlog.EncodeEntries(leaves), err
	})
}

// serveTile answers 404 for whatever the log does not fill, so that a client
// that runs ahead of the head waits instead of failing.
func (a *API) serveTile(c *gin.Context, path string, read func(*lineage.ReadTx, tlog.TilePath) ([]byte, error)) error {
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return lineage.Errf(lineage.CodeInvalid, "path", "%s", err.Error())
	}
	var content []byte
	err = a.view(c, func(r *lineage.ReadTx) (err error) {
		if !filled(t, r.Size()) {
			return lineage.Errf(lineage.CodeNotFound, "path", "the log of size %d does not fill %s", r.Size(), t)
		}
		content, err = read(r, t)
		return err
	})
	if err != nil {
		return err
	}
	c.Header("Cache-Control", immutable)
	if t.Level == tlog.EntriesLevel {
		c.Header("Cache-Control", immutablePrivate)
	}
	c.Data(http.StatusOK, mediaTile, content)
	return nil
}

// filled says whether a log of size entries holds all of the tile.
func filled(t tlog.TilePath, size int64) bool {
	level := max(t.Level, 0) // an entry bundle covers what the level 0 tile does
	have := size >> (8 * level)
	return t.Index <= have/tlog.TileWidth && t.Index*tlog.TileWidth+int64(t.Width) <= have
}

func (a *API) getTrustedRoot(c *gin.Context) error {
	b, err := a.ledger.TrustedRoot().Marshal()
	if err != nil {
		return err
	}
	c.Data(http.StatusOK, server.MediaJSON, b)
	return nil
}

func (a *API) getSchema(c *gin.Context) error {
	schema, known := attest.Schema(c.Param("name"))
	if !known {
		return lineage.Errf(lineage.CodeNotFound, "name", "no predicate type has this name").
			WithRemedy("one of: %s", strings.Join(attest.SchemaNames(), ", "))
	}
	c.Data(http.StatusOK, "application/schema+json", schema)
	return nil
}

func (a *API) getConsistency(c *gin.Context) error {
	q := newQuery(c, "old", "new")
	var out Consistency
	err := a.view(c, func(r *lineage.ReadTx) error {
		out.Old, out.New = q.number("old", 0, r.Size(), -1), q.number("new", 0, r.Size(), r.Size())
		if q.err != nil {
			return q.err
		}
		if out.Old < 0 || out.Old > out.New {
			return lineage.Errf(lineage.CodeInvalid, "old", "needed, and at most new").WithRemedy("use the size of a checkpoint that you kept")
		}
		return consistency(r, &out)
	})
	if err != nil {
		return err
	}
	return server.WriteJSON(c, http.StatusOK, out)
}

func consistency(r *lineage.ReadTx, out *Consistency) error {
	hashes, err := r.Consistency(out.Old, out.New)
	if err != nil {
		return err
	}
	out.Hashes = make([]string, 0, len(hashes))
	for _, h := range hashes {
		out.Hashes = append(out.Hashes, hex.EncodeToString(h[:]))
	}
	if out.OldCheckpoint, err = noteIfAny(r, out.Old); err != nil {
		return err
	}
	out.NewCheckpoint, err = noteIfAny(r, out.New)
	return err
}

func noteIfAny(r *lineage.ReadTx, size int64) (string, error) {
	note, err := r.CheckpointAt(size)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return "", nil
	}
	return note, err
}
