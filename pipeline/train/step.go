package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"affidavit/attest"
	"affidavit/lineage"
)

// Names in the provenance of our runs.
const (
	BuildType = "https://affidavit.dev/build/train/v1"
	BuilderID = "https://affidavit.dev/builder/v1"
)

// Code says which code ran: what the binary's build recorded.
type Code struct {
	Module   string
	Version  string
	Revision string // commit, hex; "" when the build recorded none
	Modified bool   // the working tree differed from the commit
	Go       string
}

// BuildInfo reads Code from the running binary.
func BuildInfo() Code {
	c := Code{Module: "affidavit", Version: "(devel)", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return c
	}
	if info.Main.Path != "" {
		c.Module = info.Main.Path
	}
	if info.Main.Version != "" {
		c.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			c.Revision = s.Value
		case "vcs.modified":
			c.Modified = s.Value == "true"
		}
	}
	return c
}

// Byproduct is a file that a run made besides the model, such as the fitted
// feature set or the row indices of the split.
type Byproduct struct {
	Name      string
	MediaType string
	Content   []byte
}

// RunParams describes a finished training run.
type RunParams struct {
	Algorithm       string         // train.Model's word
	Hyperparameters map[string]any // what JSON can hold; no integers of 2^53 and more
	Seed            uint64
	Data            []lineage.Ref // data versions used, at least one
	Features        lineage.Ref
	Pipeline        lineage.Ref  // the training configuration
	Trigger         *lineage.Ref // the retrain-trigger entry that started the run, if one did
	Code            Code
	ModelName       string // file name, "model.onnx"
	Artefact        []byte // the file
	Metrics         map[string]float64
	Byproducts      []Byproduct
	// Invocation identifies the run; the nonce of its step is a good choice.
	Invocation        string
	Started, Finished time.Time
}

// RunResult makes the result of a training-run step: SLSA provenance whose
// subject is the model file. Model and byproducts are kept as blobs. The
// relations name everything used, so the step's Inputs may stay empty.
func RunResult(p RunParams) (lineage.Result, error) {
	if len(p.Artefact) == 0 || len(p.Data) == 0 || p.Features.Digest == "" || p.Pipeline.Digest == "" {
		return lineage.Result{}, lineage.Errf(lineage.CodeInvalid, "run", "needs the model file, data, feature set and pipeline configuration")
	}
	sum := sha256.Sum256(p.Artefact)
	model := ModelRef(hex.EncodeToString(sum[:]), p.ModelName)
	res := lineage.Result{
		Subjects: []attest.Subject{{Name: p.ModelName, Digest: map[string]string{"sha256": model.Digest}}},
		Blobs:    []lineage.Blob{{MediaType: "application/onnx", Content: p.Artefact}},
	}
	var prov attest.Provenance
	def := &prov.BuildDefinition
	def.BuildType = BuildType
	// The seed is text: as a JSON number it would lose digits beyond 2^53.
	def.ExternalParameters = map[string]any{"algorithm": p.Algorithm, "hyperparameters": p.Hyperparameters, "seed": strconv.FormatUint(p.Seed, 10)}
	use := func(ref lineage.Ref) {
		res.Relations = append(res.Relations, attest.Relation{Type: attest.RelUsed, Ref: ref})
		def.ResolvedDependencies = append(def.ResolvedDependencies, attest.ResourceDescriptor{Name: ref.Name, URI: "affidavit:" + ref.Kind, Digest: map[string]string{"sha256": ref.Digest}})
	}
	for _, ref := range p.Data {
		use(ref)
	}
	use(p.Features)
	use(p.Pipeline)
	if p.Trigger != nil {
		use(*p.Trigger)
		res.Relations = append(res.Relations, attest.Relation{Type: attest.RelTriggeredBy, Ref: *p.Trigger})
	}
	def.ResolvedDependencies = append(def.ResolvedDependencies, p.Code.descriptor())
	res.Relations = append(res.Relations, attest.Relation{Type: attest.RelGenerated, Ref: model}, attest.Relation{Type: attest.RelTrained, Ref: model})
	run := &prov.RunDetails
	run.Builder.ID = BuilderID
	run.Builder.Version = map[string]string{"affidavit": p.Code.Version, "go": p.Code.Go}
	run.Metadata.InvocationID = p.Invocation
	started, finished := p.Started.UTC(), p.Finished.UTC()
	run.Metadata.StartedOn, run.Metadata.FinishedOn = &started, &finished
	if err := p.byproducts(&res, &prov); err != nil {
		return lineage.Result{}, err
	}
	res.Predicate = prov
	return res, nil
}

// ModelRef names a model file as a node of the graph.
func ModelRef(digest, name string) lineage.Ref {
	return lineage.Ref{Kind: attest.ArtefactModel, Digest: digest, Name: name}
}

func (p RunParams) byproducts(res *lineage.Result, prov *attest.Provenance) error {
	metrics := p.Metrics
	if metrics == nil {
		metrics = map[string]float64{}
	}
	raw, err := attest.CanonicalJSON(metrics)
	if err != nil {
		return &lineage.Error{Code: lineage.CodeInvalid, Field: "metrics", Message: "have no canonical form", Err: err}
	}
	files := append([]Byproduct{{Name: "metrics.json", MediaType: "application/json", Content: raw}}, p.Byproducts...)
	for i, f := range files {
		sum := sha256.Sum256(f.Content)
		d := attest.ResourceDescriptor{Name: f.Name, MediaType: f.MediaType, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}
		if i == 0 {
			d.Annotations = map[string]any{"metrics": json.RawMessage(raw)}
		}
		prov.RunDetails.Byproducts = append(prov.RunDetails.Byproducts, d)
		res.Blobs = append(res.Blobs, lineage.Blob{MediaType: f.MediaType, Content: f.Content})
	}
	return nil
}

// descriptor names the code by commit. It is no relation: the log does not
// hold code, so nothing in it says who wrote it.
func (c Code) descriptor() attest.ResourceDescriptor {
	d := attest.ResourceDescriptor{Name: "code", URI: "pkg:golang/" + c.Module + "@" + c.Version,
		Annotations: map[string]any{"modified": c.Modified, "go": c.Go}}
	if c.Revision != "" {
		d.Digest = map[string]string{"gitCommit": c.Revision}
	}
	return d
}

// names reports whether a dependency has the digest.
func names(deps []attest.ResourceDescriptor, digest string) bool {
	return slices.ContainsFunc(deps, func(d attest.ResourceDescriptor) bool { return d.Digest["sha256"] == digest })
}
