package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"affidavit/attest"
	"affidavit/lineage"
)

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Reader opens sealed predictions and outcomes.
type Reader struct {
	Ledger *lineage.Ledger
	Keys   KeyStore
}

// Reader returns one over the gateway's ledger and keys.
func (g *Gateway) Reader() Reader { return Reader{Ledger: g.ledger, Keys: g.o.Keys} }

// Segment is an opened segment.
type Segment struct {
	Entry   attest.EntryRef
	Project string
	attest.Segment
	// Predictions are in the order given; those whose key was shredded are missing and counted.
	Predictions []Prediction
	Shredded    int64
}

// Segments returns the entries of the sealed segments of an endpoint, in log order; deployment < 0: of all deployments.
func (r Reader) Segments(ctx context.Context, project, endpoint string, deployment int64) ([]attest.EntryRef, error) {
	var out []attest.EntryRef
	err := r.Ledger.View(ctx, lineage.Scope{Project: project}, func(tx *lineage.ReadTx) error {
		var rows []SegmentRow
		cond, args := "project = ? AND endpoint = ?", []any{project, endpoint}
		if deployment >= 0 {
			cond, args = cond+" AND deployment = ?", append(args, deployment)
		}
		if err := tx.Find(&rows, "entry", cond, args...); err != nil {
			return err
		}
		for _, row := range rows {
			e, err := tx.Entry(row.Entry)
			if err != nil {
				return err
			}
			out = append(out, e.EntryRef())
		}
		return nil
	})
	return out, err
}

// OpenSegment reads, verifies and decrypts a segment: the file has the digest, and its ciphertexts the root and the
// number, that its entry swears to.
func (r Reader) OpenSegment(ctx context.Context, ref attest.EntryRef) (*Segment, error) {
	s := &Segment{Entry: ref}
	err := r.Ledger.View(ctx, lineage.Scope{All: true}, func(tx *lineage.ReadTx) error {
		e, err := tx.Cited("segment", ref, attest.KindSegment)
		if err != nil {
			return err
		}
		s.Project = e.Project
		return e.Decode(&s.Segment)
	})
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("segment %d of endpoint %q (entry %d)", s.Sequence, s.Endpoint, ref.Index)
	records, err := r.records(ctx, what, s.Digest, s.Root)
	if err != nil {
		return nil, err
	}
	if int64(len(records)) != s.Count {
		return nil, lineage.Errf(lineage.CodeUnavailable, "segment", "%s holds %d records, sworn are %d", what, len(records), s.Count)
	}
	o := opener{keys: r.Keys, cached: map[KeyID][]byte{}}
	for i, record := range records {
		var p Prediction
		shredded, err := o.open(ctx, purposeSealed, s.Deployment.PAE, i, record, &p)
		if err != nil {
			return nil, err
		}
		if shredded {
			s.Shredded++
			continue
		}
		s.Predictions = append(s.Predictions, p)
	}
	return s, nil
}

// records reads a sealed file; root "" when only its digest was sworn to.
func (r Reader) records(ctx context.Context, what, digest, root string) ([][]byte, error) {
	content, err := lineage.ReadBlob(ctx, r.Ledger.Blobs(), digest, MaxSegment)
	if err != nil {
		return nil, &lineage.Error{Code: lineage.CodeUnavailable, Field: "blobs", Message: "the file of " + what + " cannot be read", Err: err}
	}
	if digestOf(content) != digest {
		return nil, lineage.Errf(lineage.CodeUnavailable, "blobs", "the file of %s has another digest than its entry", what).WithRemedy("restore it from a backup of the blob store")
	}
	records, have, err := splitFile(content)
	if err != nil {
		return nil, &lineage.Error{Code: lineage.CodeUnavailable, Field: "blobs", Message: "the file of " + what, Err: err}
	}
	if root != "" && hex.EncodeToString(have[:]) != root {
		return nil, lineage.Errf(lineage.CodeUnavailable, "segment", "the records of %s do not have the Merkle root that its entry swears to", what)
	}
	return records, nil
}
