package gateway

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"affidavit/attest"
	"affidavit/lineage"
)

// Names of the metrics of an outcomes entry. AUC is absent when only one class came.
const (
	MetricCount        = "count"
	MetricAUC          = "auc"      // of the scores, ties counted half
	MetricBrier        = "brier"    // mean (score − outcome)²
	MetricAccuracy     = "accuracy" // share of labels given that came true
	MetricPositiveRate = "positive_rate"
	MetricMeanScore    = "mean_score"
)

// Outcome is what became of one prediction.
type Outcome struct {
	PredictionID string `json:"id"`
	Label        int64  `json:"label"` // 0 or 1
}

// located is where a prediction was found.
type located struct {
	Prediction
	segment    attest.EntryRef
	deployment attest.EntryRef
	simulated  bool
}

// RecordOutcomes logs what became of predictions at an endpoint. Predictions are sealed first. Every id must be of a
// sealed prediction of this endpoint that has no outcome yet; else nothing is recorded. The labels are kept encrypted,
// under the key of the person where the prediction named one.
func (g *Gateway) RecordOutcomes(ctx context.Context, endpoint string, outcomes []Outcome) (lineage.Receipt, error) {
	labels, err := wanted(outcomes)
	if err != nil {
		return lineage.Receipt{}, err
	}
	if err := g.Seal(ctx); err != nil {
		return lineage.Receipt{}, err
	}
	found, err := g.locate(ctx, endpoint, labels)
	if err != nil {
		return lineage.Receipt{}, err
	}
	if err := g.unlabelled(ctx, endpoint, found); err != nil {
		return lineage.Receipt{}, err
	}
	rec, err := g.ledger.Do(ctx, lineage.Step{Kind: attest.KindOutcomes, Project: g.o.Project}, func(ctx context.Context, run lineage.Run) (lineage.Result, error) {
		return g.outcomesResult(ctx, run.Nonce, endpoint, outcomes, found)
	})
	if err != nil {
		return rec, err
	}
	for _, o := range outcomes {
		p := found[o.PredictionID]
		g.outcome(endpoint, p.deployment, p.simulated, p.Prediction, o.Label)
	}
	return rec, nil
}

func wanted(outcomes []Outcome) (map[string]int64, error) {
	if len(outcomes) == 0 {
		return nil, lineage.Errf(lineage.CodeInvalid, "outcomes", "none are given")
	}
	labels := make(map[string]int64, len(outcomes))
	for i, o := range outcomes {
		field := fmt.Sprintf("outcomes[%d]", i)
		if o.Label != 0 && o.Label != 1 {
			return nil, lineage.Errf(lineage.CodeInvalid, field+".label", "%d is neither 0 nor 1", o.Label)
		}
		if _, twice := labels[o.PredictionID]; twice {
			return nil, lineage.Errf(lineage.CodeInvalid, field+".id", "prediction %q is given twice", clip(o.PredictionID))
		}
		labels[o.PredictionID] = o.Label
	}
	return labels, nil
}

// locate searches the sealed segments of the endpoint, newest first, until every id is found.
func (g *Gateway) locate(ctx context.Context, endpoint string, labels map[string]int64) (map[string]located, error) {
	refs, err := g.Reader().Segments(ctx, g.o.Project, endpoint, -1)
	if err != nil {
		return nil, err
	}
	found := make(map[string]located, len(labels))
	for _, ref := range slices.Backward(refs) {
		s, err := g.Reader().OpenSegment(ctx, ref)
		if err != nil {
			return nil, err
		}
		for _, p := range s.Predictions {
			if _, ok := labels[p.ID]; ok {
				found[p.ID] = located{p, ref, s.Deployment, s.Simulated}
			}
		}
		if len(found) == len(labels) {
			return found, nil
		}
	}
	return nil, lineage.Errf(lineage.CodeNotFound, "outcomes", "%d of %d ids are of no sealed prediction at endpoint %q, such as %q",
		len(labels)-len(found), len(labels), clip(endpoint), leastMissing(labels, found)).
		WithRemedy("give the prediction_id of the answer; that of row i of several is the id and \"/i\"")
}

// leastMissing makes the message the same every time.
func leastMissing(labels map[string]int64, found map[string]located) string {
	var missing []string
	for id := range labels {
		if _, ok := found[id]; !ok {
			missing = append(missing, id)
		}
	}
	return clip(slices.Min(missing))
}

// unlabelled refuses a second outcome of a prediction: the first one may have been acted on.
func (g *Gateway) unlabelled(ctx context.Context, endpoint string, found map[string]located) error {
	earlier, err := g.Reader().Outcomes(ctx, g.o.Project, endpoint)
	if err != nil {
		return err
	}
	for _, file := range earlier {
		for _, o := range file.Outcomes {
			if _, ok := found[o.PredictionID]; ok {
				return lineage.Errf(lineage.CodeConflict, "outcomes", "prediction %q has an outcome already, in entry %d", clip(o.PredictionID), file.Entry.Index)
			}
		}
	}
	return nil
}

func (g *Gateway) outcomesResult(ctx context.Context, of, endpoint string, outcomes []Outcome, found map[string]located) (lineage.Result, error) {
	records := make([]sealable, len(outcomes))
	scored := make([]scoredLabel, len(outcomes))
	segments := map[int64]attest.EntryRef{}
	for i, o := range outcomes {
		p := found[o.PredictionID]
		records[i] = sealable{subject: p.Subject, content: o}
		scored[i] = scoredLabel{p.Score, p.Label, o.Label}
		segments[p.segment.Index] = p.segment
	}
	file, err := sealFile(ctx, g.o.Keys, g.o.Project, purposeLabels, of, records)
	if err != nil {
		return lineage.Result{}, err
	}
	p := attest.Outcomes{Endpoint: endpoint, Count: int64(len(outcomes)), Digest: digestOf(file.Content), Metrics: metricsOf(scored)}
	res := lineage.Result{
		Subjects:  []attest.Subject{{Name: endpoint + " outcomes", Digest: map[string]string{"sha256": p.Digest}}},
		Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactOutcomes, Digest: p.Digest}}},
		Blobs:     []lineage.Blob{{MediaType: "application/vnd.affidavit.outcomes", Content: file.Content}},
	}
	for _, s := range segments {
		p.Segments = append(p.Segments, s)
	}
	sort.Slice(p.Segments, func(i, j int) bool { return p.Segments[i].Index < p.Segments[j].Index })
	for _, s := range p.Segments {
		res.Relations = append(res.Relations, attest.Relation{Type: attest.RelConcerns, Ref: attest.Ref{Kind: attest.ArtefactEntry, Digest: s.PAE}})
	}
	res.Predicate = p
	return res, nil
}

// OutcomesFile is an opened outcomes entry.
type OutcomesFile struct {
	Entry attest.EntryRef
	Sworn attest.Outcomes
	// Outcomes are in the order recorded; those whose key was shredded are missing and counted.
	Outcomes []Outcome
	Shredded int64
}

// Outcomes opens the outcomes of an endpoint, in log order.
func (r Reader) Outcomes(ctx context.Context, project, endpoint string) ([]OutcomesFile, error) {
	var out []OutcomesFile
	var nonces []string
	err := r.Ledger.View(ctx, lineage.Scope{Project: project}, func(tx *lineage.ReadTx) error {
		var rows []OutcomesRow
		if err := tx.Find(&rows, "entry", "project = ? AND endpoint = ?", project, endpoint); err != nil {
			return err
		}
		for _, row := range rows {
			e, err := tx.Entry(row.Entry)
			if err != nil {
				return err
			}
			f := OutcomesFile{Entry: e.EntryRef()}
			if err := e.Decode(&f.Sworn); err != nil {
				return err
			}
			out, nonces = append(out, f), append(nonces, e.Step.Nonce)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for k := range out {
		f := &out[k]
		records, err := r.records(ctx, fmt.Sprintf("outcomes of endpoint %q (entry %d)", endpoint, f.Entry.Index), f.Sworn.Digest, "")
		if err != nil {
			return nil, err
		}
		o := opener{keys: r.Keys, cached: map[KeyID][]byte{}}
		for i, record := range records {
			var one Outcome
			shredded, err := o.open(ctx, purposeLabels, nonces[k], i, record, &one)
			if err != nil {
				return nil, err
			}
			if shredded {
				f.Shredded++
				continue
			}
			f.Outcomes = append(f.Outcomes, one)
		}
	}
	return out, nil
}

type scoredLabel struct {
	score       float64
	given, came int64
}

// metricsOf: AUC is the probability that a positive has a higher score than a negative, ties counted half (Mann–Whitney).
func metricsOf(list []scoredLabel) map[string]float64 {
	list = slices.Clone(list)
	sort.SliceStable(list, func(i, j int) bool { return list[i].score < list[j].score })
	var positive, right, brier, mean, ranks float64
	for i := 0; i < len(list); {
		j := i
		for j < len(list) && list[j].score == list[i].score {
			j++
		}
		rank := float64(i+j+1) / 2 // of ranks i+1..j the mean
		for ; i < j; i++ {
			l := list[i]
			positive += float64(l.came)
			ranks += rank * float64(l.came)
			brier += float64((l.score - float64(l.came)) * (l.score - float64(l.came)))
			mean += l.score
			right += float64(flag(l.given == l.came))
		}
	}
	n := float64(len(list))
	m := map[string]float64{MetricCount: n, MetricBrier: brier / n, MetricAccuracy: right / n, MetricPositiveRate: positive / n, MetricMeanScore: mean / n}
	if positive > 0 && positive < n {
		auc := (ranks - positive*(positive+1)/2) / (positive * (n - positive))
		m[MetricAUC] = math.Min(1, math.Max(0, auc))
	}
	return m
}
