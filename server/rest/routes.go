package rest

import (
	"context"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/rbac"
	"affidavit/server"
)

// MaxSubmission bounds the body of a submission, in bytes.
const MaxSubmission = attest.MaxSubmission

// Media types of the log.
const (
	mediaText   = "text/plain; charset=utf-8"
	mediaTile   = "application/octet-stream"
	mediaBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	mediaPEM    = "application/x-pem-file"
)

// Ledger is what this package needs of *lineage.Ledger. Submit is idempotent
// by statement and key, and answers after the entry is durable; all methods
// are safe for concurrent use.
type Ledger interface {
	Submit(context.Context, *attest.Signed) (lineage.Receipt, error)
	View(context.Context, lineage.Scope, func(*lineage.ReadTx) error) error
	TrustedRoot() *keys.TrustedRoot
	Kinds() lineage.Kinds
}

// API holds the handlers.
type API struct {
	ledger  Ledger
	metrics *server.Metrics
}

// New makes the handlers; metrics may be nil.
func New(ledger Ledger, metrics *server.Metrics) *API {
	if metrics == nil {
		metrics = server.NewMetrics()
	}
	return &API{ledger: ledger, metrics: metrics}
}

// Routes is this package's part of the table.
func (a *API) Routes() []server.Route {
	return append(a.logRoutes(), a.apiRoutes()...)
}

func pathParam(name, kind, words string) server.Param {
	return server.Param{Name: name, In: "path", Type: kind, Words: words}
}

func queryParam(name, kind, words string, enum ...string) server.Param {
	return server.Param{Name: name, In: "query", Type: kind, Words: words, Enum: enum}
}

func get(path, op, tag, id, summary string, h server.Handler) server.Route {
	return server.Route{Method: http.MethodGet, Path: path, Operation: op, Handler: h,
		Doc: server.Doc{ID: id, Tag: tag, Summary: summary}}
}

// logRoutes are C2SP tlog-tiles, and what a verifier needs beside them.
func (a *API) logRoutes() []server.Route {
	bad, missing := http.StatusBadRequest, http.StatusNotFound
	checkpoint := get("/checkpoint", rbac.OpReadLog, "log", "checkpoint", "The signed head of the log (C2SP signed note)", a.getCheckpoint)
	checkpoint.Doc.Media = "text/plain"
	tile := get("/tile/:level/*index", rbac.OpReadLog, "log", "tile", "A tile of hashes (C2SP tlog-tiles)", a.getTile)
	tile.Doc.Media, tile.Doc.Statuses = mediaTile, []int{bad, missing}
	tile.Doc.Params = []server.Param{pathParam("level", "string", "level of the tile, 0 to 5"),
		pathParam("index", "string", "index in groups of three digits, and .p/<width> for a partial tile")}
	entries := get("/tile/entries/*index", rbac.OpReadEntries, "log", "entryTile", "A bundle of log entries (C2SP tlog-tiles)", a.getEntryTile)
	entries.Doc.Media, entries.Doc.Statuses = mediaTile, []int{bad, missing}
	entries.Doc.Params = tile.Doc.Params[1:]
	root := get("/trusted_root.json", rbac.OpReadLog, "log", "trustedRoot", "Keys and chains of this log in Sigstore's form", a.getTrustedRoot)
	root.Doc.Answer = map[string]any{}
	schema := get("/predicates/:name/v1", server.OpPublic, "log", "predicateSchema", "JSON Schema of a predicate type", a.getSchema)
	schema.Doc.Media, schema.Doc.Statuses = "application/schema+json", []int{missing}
	schema.Doc.Params = []server.Param{pathParam("name", "string", "name of the predicate type")}
	return []server.Route{checkpoint, tile, entries, root, schema}
}

func (a *API) apiRoutes() []server.Route {
	bad, missing := http.StatusBadRequest, http.StatusNotFound
	index := pathParam("index", "integer", "index of the entry")
	list := get("/api/v1/log/entries", rbac.OpReadProject, "entries", "entries", "Entries that fit, oldest first unless newest=true", a.getEntries)
	list.Doc.Answer, list.Doc.Statuses = EntryList{}, []int{bad}
	list.Doc.Params = []server.Param{queryParam("project", "string", "only this project"), queryParam("kind", "string", "only this kind"),
		queryParam("actor", "string", "only what this actor signed"), queryParam("from", "integer", "first index"),
		queryParam("to", "integer", "index after the last"), queryParam("limit", "integer", "at most so many, 1 to 1000, default 100"),
		queryParam("newest", "string", "newest first", "true", "false")}
	one := get("/api/v1/log/entries/:index", rbac.OpReadProject, "entries", "entry", "One entry with its bundle, proved to the head", a.getEntry)
	one.Doc.Answer, one.Doc.Statuses, one.Doc.Params = Entry{}, []int{bad, missing}, []server.Param{index}
	bundle := get("/api/v1/log/entries/:index/bundle", rbac.OpReadProject, "entries", "bundle", "The entry's Sigstore bundle, as a file", a.getBundle)
	bundle.Doc.Media, bundle.Doc.Statuses = mediaBundle, []int{bad, missing}
	bundle.Doc.Params = []server.Param{index, queryParam("size", "integer", "prove to the checkpoint of this size; default the head")}
	key := get("/api/v1/log/entries/:index/key", rbac.OpReadProject, "entries", "entryKey", "The public key that signed the entry, as PEM", a.getKey)
	key.Doc.Media, key.Doc.Statuses, key.Doc.Params = mediaPEM, []int{bad, missing}, []server.Param{index}
	consistency := get("/api/v1/log/consistency", rbac.OpReadLog, "entries", "consistency", "Proof that the log of size old is a prefix of the one of size new", a.getConsistency)
	consistency.Doc.Answer, consistency.Doc.Statuses = Consistency{}, []int{bad, missing}
	consistency.Doc.Params = []server.Param{queryParam("old", "integer", "smaller size"), queryParam("new", "integer", "larger size; default the head")}
	graph := get("/api/v1/lineage/:digest", rbac.OpReadProject, "lineage", "lineage", "Where an artefact or entry came from, or what rests on it", a.getLineage)
	graph.Doc.Answer, graph.Doc.Statuses = Lineage{}, []int{bad, missing}
	graph.Doc.Params = []server.Param{pathParam("digest", "string", "SHA-256 in hex, of an artefact or of an entry's PAE"),
		queryParam("kind", "string", "kind of the artefact; needed when the digest names several"),
		queryParam("direction", "string", "default upstream", DirectionUpstream, DirectionDownstream),
		queryParam("class", "string", "relations to walk; default all", ClassContributes, ClassAll),
		queryParam("below", "integer", "the graph as of this log size; default the head"),
		queryParam("depth", "integer", "at most so many entries away; default no limit")}
	return []server.Route{list, one, bundle, key, consistency, graph, a.submitRoute()}
}

// submitRoute may append any kind but genesis: which one is in the signed
// statement, and the sequencer asks for that kind's permission.
func (a *API) submitRoute() server.Route {
	kinds := slices.DeleteFunc(a.ledger.Kinds().Names(), func(k string) bool { return k == attest.KindGenesis })
	return server.Route{Method: http.MethodPost, Path: "/api/v1/attestations", Operation: server.OpSubmit, Kinds: kinds,
		Accepts: []string{server.MediaJSON}, MaxBody: MaxSubmission, Handler: a.postAttestation,
		Doc: server.Doc{ID: "submit", Tag: "entries", Summary: "Log a statement that was signed elsewhere; the same again gets its first receipt",
			Body: Submission{}, Answer: Receipt{}, Statuses: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
				http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
				http.StatusUnprocessableEntity, http.StatusServiceUnavailable}}}
}

// view reads as whoever asks may: until people log in, the anonymous reader on
// this machine sees every project.
func (a *API) view(c *gin.Context, fn func(*lineage.ReadTx) error) error {
	return a.ledger.View(c.Request.Context(), lineage.Scope{All: true}, fn)
}
