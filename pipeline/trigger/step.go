// Package trigger attests configurations: of training pipelines and of the
// triggers that start them again, and the retrainings that were triggered.
package trigger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"affidavit/attest"
	"affidavit/lineage"
)

// Types of a configuration.
const (
	TypeTraining = "training"
	TypeTrigger  = "trigger"
)

// ConfigRef names a configuration as a node of the graph.
func ConfigRef(name, typ, digest string) lineage.Ref {
	kind := attest.ArtefactPipeline
	if typ == TypeTrigger {
		kind = attest.ArtefactTrigger
	}
	return lineage.Ref{Kind: kind, Digest: digest, Name: name}
}

// PipelineResult makes the result of a pipeline-configuration step. The
// artefact is the canonical JSON of config, which must marshal to an object.
// Whoever signs it is a contributor to all that runs under it.
func PipelineResult(name, typ string, config any) (lineage.Result, lineage.Ref, error) {
	raw, digest, err := canonical(config)
	if err != nil {
		return lineage.Result{}, lineage.Ref{}, err
	}
	ref := ConfigRef(name, typ, digest)
	return lineage.Result{
		Predicate: attest.PipelineConfiguration{Name: name, Type: typ, Config: json.RawMessage(raw)},
		Subjects:  []attest.Subject{{Name: name + ".json", Digest: map[string]string{"sha256": digest}}},
		Relations: []attest.Relation{{Type: attest.RelConfigured, Ref: ref}, {Type: attest.RelGenerated, Ref: ref}},
		Blobs:     []lineage.Blob{{MediaType: "application/json", Content: raw}},
	}, ref, nil
}

func canonical(v any) ([]byte, string, error) {
	raw, err := attest.CanonicalJSON(v)
	if err != nil {
		return nil, "", &lineage.Error{Code: lineage.CodeInvalid, Field: "config", Message: "has no canonical form", Err: err}
	}
	sum := sha256.Sum256(raw)
	return raw, hex.EncodeToString(sum[:]), nil
}

// RetrainResult makes the result of a retrain-trigger step: because of an
// alert, the training pipeline runs as the trigger's configuration says. The
// run that follows names this entry in RunParams.Trigger.
func RetrainResult(alert attest.EntryRef, pipeline, trig lineage.Ref, reason string) lineage.Result {
	return lineage.Result{
		Predicate: attest.RetrainTrigger{Alert: alert, Pipeline: pipeline.Digest, Trigger: trig.Digest, Reason: reason},
		Relations: []attest.Relation{
			{Type: attest.RelTriggeredBy, Ref: lineage.Ref{Kind: attest.ArtefactEntry, Digest: alert.PAE, Name: "alert"}},
			{Type: attest.RelUsed, Ref: trig},
			{Type: attest.RelUsed, Ref: pipeline},
		},
	}
}
