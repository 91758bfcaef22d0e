package lineage

import (
	"fmt"

	"affidavit/attest"
)

// completeErased fills an entry whose payload is gone from its edges and from
// what the erasure put in the predicate's place.
func (r *ReadTx) completeErased(e *Entry) error {
	var by int64
	err := r.q.QueryRowContext(r.ctx, r.d.bind("SELECT entry FROM erased WHERE idx = ?"), e.Index).Scan(&by)
	if err != nil {
		return &Error{Code: CodeUnavailable, Message: fmt.Sprintf("the payload of entry %d is missing and no erasure says why", e.Index), Err: err}
	}
	eraser, err := r.Entry(by)
	if err != nil {
		return err
	}
	var x attest.Erasure
	if err := eraser.Decode(&x); err != nil {
		return err
	}
	for i, ref := range x.Entries {
		if ref.Index == e.Index && i < len(x.Redacted) {
			e.Erased, e.predicate = true, x.Redacted[i]
			e.Statement = &attest.Statement{Type: attest.StatementType, PredicateType: attest.PredicateTypeOf(e.Kind), Predicate: e.predicate}
			return r.stepFromEdges(e)
		}
	}
	return Errf(CodeInternal, "", "erasure %d does not name entry %d", by, e.Index)
}

func (r *ReadTx) stepFromEdges(e *Entry) error {
	var claimed int64
	err := r.q.QueryRowContext(r.ctx, r.d.bind("SELECT nonce, claimed, saw_size FROM entries WHERE idx = ?"), e.Index).
		Scan(&e.Step.Nonce, &claimed, &e.Step.NotBefore.Size)
	if err != nil {
		return err
	}
	e.Step.Kind, e.Step.Project, e.Step.Actor, e.Step.OnBehalfOf = e.Kind, e.Project, e.Actor, e.OnBehalfOf
	e.Step.Claimed = unix(claimed)
	rows, err := r.q.QueryContext(r.ctx, r.d.bind("SELECT relation, kind, digest FROM edges WHERE idx = ? AND pos >= 0 ORDER BY pos"), e.Index)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var rel attest.Relation
		if err := rows.Scan(&rel.Type, &rel.Kind, &rel.Digest); err != nil {
			return err
		}
		e.Step.Relations = append(e.Step.Relations, rel)
	}
	return rows.Err()
}
