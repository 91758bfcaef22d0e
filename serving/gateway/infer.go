package gateway

import (
	"context"
	"errors"
	"strconv"
	"time"

	"affidavit/lineage"
	"affidavit/serving/gateway/openinference"
	"affidavit/serving/runtime"
)

// Parameters of a request that the gateway reads.
const (
	// ParamSimulated (bool) marks traffic that no real person is behind. It is sealed apart and every report says so.
	ParamSimulated = "simulated"
	// ParamSubject (text) is a stable id of the person that the one row is about: their records get a key of their own,
	// and a canary that counts entities counts them once.
	ParamSubject = "subject"
)

// Parameters of an answer.
const (
	ParamDeployment = "deployment_entry" // log index of the deployment
	ParamVersion    = "model_version"
	ParamModel      = "model"
	ParamPrediction = "prediction_id" // of a request of several rows: that of row i is this and "/i"
	ParamRole       = "role"          // champion or challenger
	ParamWeight     = "assignment_weight"
)

// Prediction is what is sealed of one row.
type Prediction struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Role answered; Rho is the probability with which the challenger was drawn, 0 when the request was not drawn.
	Role    string  `json:"role"`
	Rho     float64 `json:"rho"`
	Subject string  `json:"subject,omitempty"`
	Inputs  []Value `json:"inputs"`
	// Score is the probability of the positive class, Label the class given.
	Score float64 `json:"score"`
	Label int64   `json:"label"`
}

// Infer answers a request at an endpoint (or by the name of a model that stands at one endpoint). Version "" draws
// between champion and challenger; a version that is named is not part of a canary. The answer's parameters name the
// deployment's entry, the version and the prediction id.
//
// Errors: CodeNotFound for what is not deployed, CodeInvalid for inputs that the model was not approved with,
// CodeUnavailable when the model cannot be loaded, is no longer approved, or predictions cannot be sealed.
func (g *Gateway) Infer(ctx context.Context, name, version string, r *openinference.Request) (*openinference.Response, error) {
	ep, err := g.table.Load().find(name)
	if err != nil {
		return nil, err
	}
	call, err := g.call(r)
	if err != nil {
		return nil, err
	}
	d, rho, err := ep.choose(version, g.o.Clock(), g.random)
	if err != nil {
		return nil, err
	}
	call.rho = rho
	watched := g.assigned(ep, d, call)
	begun := time.Now()
	response, predictions, err := g.predict(ctx, d, call, r)
	watched.observe(call, predictions, time.Since(begun), err)
	if err != nil {
		return nil, err
	}
	if err := g.keep(ctx, d, call.simulated, predictions); err != nil {
		return nil, err
	}
	return response, nil
}

// call is what is known of a request beside its tensors.
type call struct {
	simulated bool
	subject   string
	rho       float64
}

func (g *Gateway) call(r *openinference.Request) (call, error) {
	var c call
	var err error
	if c.simulated, err = r.Parameters.Flag(ParamSimulated, false); err != nil {
		return c, lineage.Errf(lineage.CodeInvalid, "parameters."+ParamSimulated, "%v", err)
	}
	if v, ok := r.Parameters[ParamSubject]; ok {
		if c.subject, ok = v.(string); !ok || c.subject == "" || len(c.subject) > 256 {
			return c, lineage.Errf(lineage.CodeInvalid, "parameters."+ParamSubject, "it is no text of 1 to 256 bytes")
		}
	}
	return c, nil
}

func (g *Gateway) predict(ctx context.Context, d *served, c call, r *openinference.Request) (*openinference.Response, []Prediction, error) {
	now := g.o.Clock().UTC()
	if err := d.usable(now); err != nil {
		return nil, nil, err
	}
	in, values, err := d.rules.tensors(r)
	if err != nil {
		return nil, nil, err
	}
	if c.subject != "" && len(values) != 1 {
		return nil, nil, lineage.Errf(lineage.CodeInvalid, "parameters."+ParamSubject, "a request about one person has one row, not %d", len(values))
	}
	out, err := d.model.Run(ctx, in)
	if err != nil {
		if errors.Is(err, runtime.ErrInput) {
			return nil, nil, lineage.Errf(lineage.CodeInvalid, "inputs", "%v", err)
		}
		return nil, nil, asDomain(lineage.CodeUnavailable, "", "the prediction was not finished", err)
	}
	labels, scores, err := d.rules.answer(out, len(values))
	if err != nil {
		return nil, nil, err
	}
	id := g.prefix + "-" + strconv.FormatInt(g.serial.Add(1), 10)
	predictions := make([]Prediction, len(values))
	for i := range values {
		predictions[i] = Prediction{ID: id, At: now, Role: d.row.Role, Rho: c.rho, Subject: c.subject, Inputs: values[i], Score: scores[i], Label: labels[i]}
		if len(values) > 1 {
			predictions[i].ID = id + "/" + strconv.Itoa(i)
		}
	}
	response := &openinference.Response{ModelName: d.endpoint, ModelVersion: d.row.Version, ID: r.ID, Parameters: d.parameters(c, id)}
	for _, o := range d.model.Outputs() {
		response.Outputs = append(response.Outputs, tensorOf(o.Name, out[o.Name]))
	}
	return response, predictions, nil
}

func (d *served) parameters(c call, id string) openinference.Parameters {
	p := openinference.Parameters{ParamDeployment: d.entry.Index, ParamModel: d.row.Model, ParamVersion: d.row.Version, ParamPrediction: id, ParamRole: d.row.Role}
	if c.rho > 0 {
		p[ParamWeight] = c.rho
	}
	if c.simulated {
		p[ParamSimulated] = true
	}
	return p
}
