package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
)

type bufferKey struct {
	deployment int64
	simulated  bool
}

// buffer holds predictions in the order given. Only a sealer, under sealMu, takes rows off its front.
type buffer struct {
	deployed *served
	rows     []Prediction
	since    time.Time // of the first row
}

// keep queues predictions for the next segment. It waits while too many are unsealed, and refuses when the last attempt
// to seal failed: what cannot be sworn to is not given.
func (g *Gateway) keep(ctx context.Context, d *served, simulated bool, predictions []Prediction) error {
	for {
		g.mu.Lock()
		switch {
		case g.closed:
			g.mu.Unlock()
			return lineage.Errf(lineage.CodeUnavailable, "", "the gateway is shutting down")
		case g.unsealed < g.o.MaxUnsealed:
			g.append(d, simulated, predictions)
			g.mu.Unlock()
			return nil
		case g.sealErr != nil:
			err := g.sealErr
			g.mu.Unlock()
			return &lineage.Error{Code: lineage.CodeUnavailable, Message: fmt.Sprintf("%d predictions could not be sealed, so no more are given", g.o.MaxUnsealed), Err: err}
		}
		space := g.space
		g.mu.Unlock()
		g.nudge()
		select {
		case <-space:
		case <-g.stop:
		case <-ctx.Done():
			return asDomain(lineage.CodeUnavailable, "", "predictions are sealed too slowly", ctx.Err())
		}
	}
}

func (g *Gateway) append(d *served, simulated bool, predictions []Prediction) {
	key := bufferKey{d.entry.Index, simulated}
	b := g.buffers[key]
	if b == nil {
		b = &buffer{deployed: d}
		g.buffers[key] = b
	}
	if len(b.rows) == 0 {
		b.since = predictions[0].At
	}
	b.rows = append(b.rows, predictions...)
	g.unsealed += len(predictions)
	if len(b.rows) >= g.o.SegmentEvery {
		g.nudge()
	}
}

func (g *Gateway) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *Gateway) sealLoop() {
	defer close(g.done)
	tick := time.NewTicker(max(min(g.o.SegmentAge/4, time.Second), 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-g.wake:
		case <-tick.C:
		case <-g.stop:
			return
		}
		if err := g.sealDue(context.Background(), false); err != nil {
			g.o.Logger.Error("predictions could not be sealed; they are kept", "error", err)
		}
	}
}

// Seal seals everything that was predicted before the call. What cannot be sealed stays queued.
func (g *Gateway) Seal(ctx context.Context) error { return g.sealDue(ctx, true) }

// sealDue seals full segments and, with all, after SegmentAge or when too many wait, what is left.
func (g *Gateway) sealDue(ctx context.Context, all bool) error {
	g.sealMu.Lock()
	defer g.sealMu.Unlock()
	// Many half-full buffers together may hold up every request: then each is sealed as it is.
	g.mu.Lock()
	all = all || g.unsealed >= g.o.MaxUnsealed
	g.mu.Unlock()
	var errs []error
	for _, key := range g.due(all) {
		for {
			done, err := g.sealNext(ctx, key, all)
			if err != nil {
				errs = append(errs, err)
			}
			if done || err != nil {
				break
			}
		}
	}
	err := errors.Join(errs...)
	g.mu.Lock()
	g.sealErr = err
	close(g.space)
	g.space = make(chan struct{})
	g.mu.Unlock()
	return err
}

func (g *Gateway) due(all bool) []bufferKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	var keys []bufferKey
	for k, b := range g.buffers {
		if len(b.rows) > 0 && (all || len(b.rows) >= g.o.SegmentEvery || g.aged(b)) {
			keys = append(keys, k)
		}
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].deployment < keys[j].deployment || keys[i].deployment == keys[j].deployment && !keys[i].simulated && keys[j].simulated
	})
	return keys
}

func (g *Gateway) aged(b *buffer) bool { return g.o.Clock().Sub(b.since) >= g.o.SegmentAge }

// sealNext seals one segment of a buffer; done when nothing more is due in it.
func (g *Gateway) sealNext(ctx context.Context, key bufferKey, all bool) (done bool, err error) {
	g.mu.Lock()
	b := g.buffers[key]
	n := min(len(b.rows), g.o.SegmentEvery)
	if n == 0 || n < g.o.SegmentEvery && !all && !g.aged(b) {
		g.mu.Unlock()
		return true, nil
	}
	rows := b.rows[:n:n]
	g.mu.Unlock()

	if err := g.sealRows(ctx, b.deployed, key.simulated, rows); err != nil {
		return false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if b.rows = b.rows[n:]; len(b.rows) == 0 {
		delete(g.buffers, key)
	} else {
		b.since = b.rows[0].At
	}
	g.unsealed -= n
	close(g.space)
	g.space = make(chan struct{})
	return len(b.rows) == 0, nil
}

// sealRows logs one segment.
func (g *Gateway) sealRows(ctx context.Context, d *served, simulated bool, rows []Prediction) error {
	_, err := g.ledger.Do(ctx, lineage.Step{Kind: attest.KindSegment, Project: g.o.Project}, func(ctx context.Context, _ lineage.Run) (lineage.Result, error) {
		var sequence int64
		err := g.view(ctx, func(r *lineage.ReadTx) error {
			var err error
			sequence, err = nextSequence(r, g.o.Project, d.endpoint, d.entry.Index)
			return err
		})
		if err != nil {
			return lineage.Result{}, err
		}
		records := make([]sealable, len(rows))
		s := attest.Segment{Endpoint: d.endpoint, Deployment: d.entry, Model: d.row.Model, Version: d.row.Version, Sequence: sequence,
			From: rows[0].At, To: rows[0].At, Count: int64(len(rows)), Simulated: simulated}
		for i, p := range rows {
			records[i] = sealable{subject: p.Subject, content: p}
			if p.At.Before(s.From) {
				s.From = p.At
			}
			if p.At.After(s.To) {
				s.To = p.At
			}
			if p.Label == 1 {
				s.Positive++
			}
		}
		file, err := sealFile(ctx, g.o.Keys, g.o.Project, purposeSealed, d.entry.PAE, records)
		if err != nil {
			return lineage.Result{}, err
		}
		s.Root, s.Digest = hex.EncodeToString(file.Root[:]), digestOf(file.Content)
		return lineage.Result{
			Predicate: s,
			Subjects:  []attest.Subject{{Name: fmt.Sprintf("%s segment %d", d.endpoint, sequence), Digest: map[string]string{"sha256": s.Digest}}},
			Relations: []attest.Relation{
				{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactSegment, Digest: s.Digest}},
				{Type: attest.RelMonitored, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: d.entry.PAE}},
			},
			Blobs: []lineage.Blob{{MediaType: "application/vnd.affidavit.segment", Content: file.Content}},
		}, nil
	})
	return err
}
