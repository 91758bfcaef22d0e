package lineage

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"affidavit/attest"
)

// load reads the entries [from, to) and verifies each on its own, on all cores.
func (a *auditor) load(ctx context.Context, from, to int64) ([]*loaded, error) {
	out := make([]*loaded, 0, to-from)
	byIndex := map[int64]*loaded{}
	for i := from; i < to; i++ {
		x := &loaded{index: i}
		byIndex[i], out = x, append(out, x)
	}
	rows, err := a.live.q.QueryContext(ctx, a.live.d.bind("SELECT l.idx, l.body, l.timestamp_der, p.payload FROM leaves l LEFT JOIN payloads p ON p.idx = l.idx WHERE l.idx >= ? AND l.idx < ?"), from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var i int64
		var body, ts, payload []byte
		if err := rows.Scan(&i, &body, &ts, &payload); err != nil {
			return nil, err
		}
		x := byIndex[i]
		x.leaf, x.timestamp, x.payload = body, ts, payload
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	return out, a.verifyAll(ctx, out)
}

func (a *auditor) verifyAll(ctx context.Context, list []*loaded) error {
	next := make(chan *loaded)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for x := range next {
				a.verify(x)
			}
		})
	}
	for _, x := range list {
		if ctx.Err() != nil {
			break
		}
		next <- x
	}
	close(next)
	wg.Wait()
	return ctx.Err()
}

// verify checks leaf, signature, statement and timestamp of one entry. With a
// finding the entry has no candidate.
func (a *auditor) verify(x *loaded) {
	row := fmt.Sprint(x.index)
	find := func(table, column, words string, err error) {
		if err != nil {
			words += ": " + err.Error()
		}
		x.found = append(x.found, Difference{table, row, column, words})
	}
	if x.leaf == nil {
		find("leaves", "", "is missing", nil)
		return
	}
	if x.payload == nil {
		// Erased or lost; replayErasedOrBroken tells which, and the time comes from the leaf's signature.
		a.stampOfErased(x, find)
		return
	}
	signed, err := attest.SignedFromLeaf(x.leaf, x.payload)
	if err != nil {
		a.blame(x, find, err)
		return
	}
	c, err := newCandidate(signed)
	if err != nil {
		a.blame(x, find, err)
		return
	}
	stamp, err := a.timestamp(x.timestamp, signed.Signature)
	if err != nil {
		find("leaves", "timestamp_der", "does not verify", err)
		return
	}
	x.cand, x.stamp = c, stamp
}

// blame tells a changed payload from a changed leaf: the leaf carries a
// signature over the payload's digest.
func (a *auditor) blame(x *loaded, find func(table, column, words string, err error), err error) {
	pae, _, leafErr := attest.VerifyLeaf(x.leaf)
	if leafErr != nil {
		find("leaves", "body", "is no log entry whose signature holds", leafErr)
		return
	}
	sum := (&attest.Signed{Payload: x.payload}).PAEDigest()
	if hex.EncodeToString(sum[:]) != pae {
		find("payloads", "payload", "is not what was signed", nil)
		return
	}
	find("leaves", "body", "is not the log entry of this payload", err)
}

func (a *auditor) stampOfErased(x *loaded, find func(table, column, words string, err error)) {
	sig, err := attest.SignatureOfLeaf(x.leaf)
	if err == nil {
		x.stamp, err = a.timestamp(x.timestamp, sig)
	}
	if err != nil {
		find("leaves", "timestamp_der", "does not verify", err)
	}
}

// timestamp verifies a stamp by any authority of the root; whole seconds, UTC.
func (a *auditor) timestamp(der, signature []byte) (time.Time, error) {
	err := errors.New("no timestamp authority is trusted")
	for _, chain := range a.tsa {
		var t time.Time
		if t, err = chain.VerifyTimestamp(der, signature); err == nil {
			return t.UTC().Truncate(time.Second), nil
		}
	}
	return time.Time{}, err
}

// placeholder reads what the entries row says, without the payload.
func (r *ReadTx) placeholder(index int64) (*Entry, error) {
	e := &Entry{Statement: &attest.Statement{}}
	var stamp, claimed int64
	err := r.q.QueryRowContext(r.ctx, r.d.bind("SELECT idx, pae, key_id, kind, project, actor, on_behalf_of, stamp, nonce, predicate_type, claimed, saw_size FROM entries WHERE idx = ?"), index).
		Scan(&e.Index, &e.PAE, &e.KeyID, &e.Kind, &e.Project, &e.Actor, &e.OnBehalfOf, &stamp, &e.Step.Nonce, &e.Statement.PredicateType, &claimed, &e.Step.NotBefore.Size)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, Errf(CodeNotFound, "", "no entry %d", index)
	}
	if err != nil {
		return nil, err
	}
	e.Stamp, e.Step.Claimed = unix(stamp), unix(claimed)
	keep := *e
	if err := r.stepFromEdges(e); err != nil {
		return nil, err
	}
	e.Step.Kind = keep.Kind
	return e, nil
}
