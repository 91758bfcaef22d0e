package lineage

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
)

// Step asks to do something that will be attested and signed here.
type Step struct {
	Kind    string
	Project string
	// Actor signs; Signer is its key. Both empty: the server's own service account.
	Actor  string
	Signer keys.Signer
	// OnBehalfOf is the person for whom a service account acts.
	OnBehalfOf string
	// Inputs are pinned at Begin: each must exist below the current head.
	// They become "used" relations.
	Inputs []Ref
	// Nonce is 32 hex digits; empty: a random one.
	Nonce string
}

// Run is what the work sees of its step.
type Run struct {
	Step
	Nonce     string
	NotBefore attest.Position
	Started   time.Time
}

// Result is what work hands over: never rows.
type Result struct {
	Predicate any
	// Subjects are the artefacts that the statement is about; none: the predicate itself.
	Subjects []attest.Subject
	// Relations besides the pinned inputs.
	Relations []attest.Relation
	// Blobs are stored and fsynced before the statement is queued.
	Blobs []Blob
}

// Blob is content to keep under its SHA-256.
type Blob struct {
	MediaType string
	Content   []byte
}

// Work computes. No transaction is open while it runs.
type Work func(ctx context.Context, run Run) (Result, error)

// Handler runs a queued job of the Kind it is registered for.
type Handler func(ctx context.Context, run Run, params json.RawMessage) (Result, error)

// Job is a step for any worker.
type Job struct {
	Step
	// Handler names a registered handler; Params are its JSON parameters.
	Handler string
	Params  json.RawMessage
}

// Receipt is the log's promise for an acknowledged entry.
type Receipt struct {
	Index int64
	PAE   string
	Stamp time.Time
	// Bundle is the Sigstore bundle v0.3: statement, proof, checkpoint, timestamp.
	Bundle []byte
	// Checkpoint is the signed note that the proof leads to.
	Checkpoint string
	// Duplicate is set when the same statement by the same key was there already.
	Duplicate bool
}

// EntryRef cites the receipt's entry.
func (r Receipt) EntryRef(kind string) attest.EntryRef {
	return attest.EntryRef{Index: r.Index, PAE: r.PAE, Kind: kind}
}

// Blobs keeps artefacts by content. Put returns only after the bytes are
// durable; putting the same bytes again is no error; safe for concurrent use.
type Blobs interface {
	Put(ctx context.Context, content io.Reader) (digest string, size int64, err error)
	// Open fails with CodeNotFound for a digest that is not there, and the
	// reader fails when the bytes do not have the digest.
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
}

// Scope limits a View to what the reader may see.
type Scope struct {
	// All sees every project; else only Project (and entries above projects).
	All     bool
	Project string
}
