package rest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/server"
)

// Entry is a log entry as the API shows it.
type Entry struct {
	Index         int64             `json:"index"`
	PAE           string            `json:"pae" doc:"hex SHA-256 of the DSSE pre-authentication encoding; names the entry in the graph"`
	KeyID         string            `json:"keyId" doc:"hex SHA-256 of the signer's SPKI"`
	Kind          string            `json:"kind"`
	Project       string            `json:"project" doc:"empty for kinds above projects"`
	Actor         string            `json:"actor"`
	OnBehalfOf    string            `json:"onBehalfOf,omitempty"`
	Stamp         time.Time         `json:"stamp" doc:"when the log took it"`
	Claimed       *time.Time        `json:"claimed,omitempty" doc:"the signer's own clock"`
	NotBefore     *attest.Position  `json:"notBefore,omitempty" doc:"the head that the signer had seen"`
	Nonce         string            `json:"nonce,omitempty"`
	PredicateType string            `json:"predicateType"`
	Subjects      []Subject         `json:"subjects,omitempty"`
	Relations     []attest.Relation `json:"relations,omitempty"`
	Predicate     json.RawMessage   `json:"predicate"`
	Erased        bool              `json:"erased,omitempty" doc:"the payload was erased; predicate is what the erasure left"`
	Bundle        json.RawMessage   `json:"bundle,omitempty" doc:"Sigstore bundle v0.3, proved to the head; absent in lists and after an erasure"`
}

// Subject is an in-toto subject without its annotations.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// EntryList is a page of entries.
type EntryList struct {
	Size    int64   `json:"size" doc:"log size that was read"`
	Entries []Entry `json:"entries"`
	Next    *int64  `json:"next,omitempty" doc:"give it as from (or as to, with newest=true) for the next page; absent on the last"`
}

func entryOf(e *lineage.Entry) Entry {
	out := Entry{Index: e.Index, PAE: e.PAE, KeyID: e.KeyID, Kind: e.Kind, Project: e.Project, Actor: e.Actor,
		OnBehalfOf: e.OnBehalfOf, Stamp: e.Stamp, PredicateType: attest.PredicateTypeOf(e.Kind), Predicate: e.Predicate(), Erased: e.Erased}
	if e.Statement == nil {
		return out
	}
	out.Claimed, out.NotBefore, out.Nonce, out.Relations = &e.Step.Claimed, &e.Step.NotBefore, e.Step.Nonce, e.Step.Relations
	for _, s := range e.Statement.Subject {
		out.Subjects = append(out.Subjects, Subject{Name: s.Name, Digest: s.Digest})
	}
	return out
}

func (a *API) getEntries(c *gin.Context) error {
	q := newQuery(c, "project", "kind", "actor", "from", "to", "limit", "newest")
	f := lineage.EntryFilter{Project: c.Query("project"), Kind: c.Query("kind"), Actor: c.Query("actor"),
		From: q.number("from", 0, math.MaxInt64, 0), To: q.number("to", 0, math.MaxInt64, 0),
		Limit: int(q.number("limit", 1, 1000, 100)), Newest: q.word("newest", "false", "true") == "true"}
	if f.Kind != "" {
		if _, known := a.ledger.Kinds()[f.Kind]; !known {
			q.fail(lineage.Errf(lineage.CodeInvalid, "kind", "no kind has this name"))
		}
	}
	if q.err != nil {
		return q.err
	}
	out := EntryList{Entries: []Entry{}}
	err := a.view(c, func(r *lineage.ReadTx) error {
		out.Size = r.Size()
		page := f
		page.Limit++ // one more than is shown tells whether there is a next page
		list, err := r.Entries(page)
		if err != nil {
			return err
		}
		if len(list) > f.Limit {
			list = list[:f.Limit]
			out.Next = next(list, f.Newest)
		}
		for _, e := range list {
			out.Entries = append(out.Entries, entryOf(e))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return server.WriteJSON(c, http.StatusOK, out)
}

// next is where the page after list begins: from is inclusive, to is not.
func next(list []*lineage.Entry, newest bool) *int64 {
	n := list[len(list)-1].Index
	if !newest {
		n++
	}
	return &n
}

func (a *API) getEntry(c *gin.Context) error {
	index, err := pathIndex(c)
	if err != nil {
		return err
	}
	var out Entry
	err = a.view(c, func(r *lineage.ReadTx) error {
		e, err := r.Entry(index)
		if err != nil {
			return err
		}
		out = entryOf(e)
		if !e.Erased {
			out.Bundle, err = r.Bundle(index, r.Size())
		}
		return err
	})
	if err != nil {
		return err
	}
	return server.WriteJSON(c, http.StatusOK, out)
}

func (a *API) bundle(c *gin.Context, allowSize bool) (int64, []byte, error) {
	index, err := pathIndex(c)
	if err != nil {
		return 0, nil, err
	}
	known := []string{}
	if allowSize {
		known = append(known, "size")
	}
	q := newQuery(c, known...)
	var content []byte
	err = a.view(c, func(r *lineage.ReadTx) error {
		size := q.number("size", 1, r.Size(), r.Size())
		if q.err != nil {
			return q.err
		}
		if size <= index && index < r.Size() {
			return lineage.Errf(lineage.CodeInvalid, "size", "a log of size %d does not hold entry %d", size, index)
		}
		content, err = r.Bundle(index, size)
		return err
	})
	return index, content, err
}

func (a *API) getBundle(c *gin.Context) error {
	index, content, err := a.bundle(c, true)
	if err != nil {
		return err
	}
	attachment(c, fmt.Sprintf("entry-%d.sigstore.json", index), mediaBundle, content)
	return nil
}

func (a *API) getKey(c *gin.Context) error {
	index, content, err := a.bundle(c, false)
	if err != nil {
		return err
	}
	b, err := attest.ParseBundle(content)
	if err != nil {
		return fmt.Errorf("own bundle of entry %d: %w", index, err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b.Signed.PublicKey})
	attachment(c, fmt.Sprintf("entry-%d.pub", index), mediaPEM, key)
	return nil
}

// attachment never lets a browser show the content as a page.
func attachment(c *gin.Context, name, media string, content []byte) {
	c.Header("Content-Disposition", `attachment; filename="`+name+`"`)
	c.Data(http.StatusOK, media, content)
}
