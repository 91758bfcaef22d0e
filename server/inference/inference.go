// Package inference is the Open Inference Protocol, version 2, over HTTP: a
// thin layer between the codec and the gateway, which routes, predicts and
// keeps the record of what it predicted.
package inference

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac"
	"affidavit/server"
	"affidavit/serving/gateway/openinference"
)

// Gateway routes a request to the version that serves it. Version "" means
// whatever the deployment at that endpoint says. An answer is given only after
// the prediction is on its way into a segment; errors are *lineage.Error or
// *openinference.Error. All methods are safe for concurrent use.
type Gateway interface {
	Ready() bool
	Model(ctx context.Context, name, version string) (openinference.ModelMetadata, error)
	Infer(ctx context.Context, name, version string, r *openinference.Request) (*openinference.Response, error)
}

// API holds the handlers.
type API struct {
	gateway Gateway
	version string
	limits  openinference.Limits
}

// New makes the handlers; version is the software's.
func New(gateway Gateway, version string) *API {
	return &API{gateway: gateway, version: version, limits: openinference.DefaultLimits()}
}

// Routes is this package's part of the table.
func (a *API) Routes() []server.Route {
	routes := []server.Route{
		a.get("/v2", "inferenceServer", "What this inference server is", openinference.ServerMetadata{}, a.getServer),
		a.get("/v2/health/live", "inferenceLive", "The process runs", openinference.ServerLive{}, a.getLive),
		a.get("/v2/health/ready", "inferenceReady", "Predictions can be answered", openinference.ServerReady{}, a.getReady, http.StatusServiceUnavailable),
	}
	for _, at := range []struct{ path, id string }{{"/v2/models/:model", "Model"}, {"/v2/models/:model/versions/:version", "ModelVersion"}} {
		routes = append(routes,
			a.model(a.get(at.path, "inference"+at.id, "Inputs and outputs of a model", openinference.ModelMetadata{}, a.getModel, http.StatusNotFound)),
			a.model(a.get(at.path+"/ready", "inference"+at.id+"Ready", "The model can be asked", openinference.ModelReady{}, a.getModelReady, http.StatusNotFound)),
			a.model(a.infer(at.path+"/infer", "inference"+at.id+"Infer")))
	}
	return routes
}

func (a *API) get(path, id, summary string, answer any, h server.Handler, statuses ...int) server.Route {
	return server.Route{Method: http.MethodGet, Path: path, Operation: rbac.OpPredict, Handler: h, Errors: writeError,
		Doc: server.Doc{ID: id, Tag: "inference", Summary: summary, Answer: answer, Statuses: statuses}}
}

// infer appends no entry of its own: what was predicted is sealed in segments.
func (a *API) infer(path, id string) server.Route {
	return server.Route{Method: http.MethodPost, Path: path, Operation: rbac.OpPredict, Kinds: []string{attest.KindSegment},
		MaxBody: int64(a.limits.BodyBytes), Handler: a.postInfer, Errors: writeError,
		Doc: server.Doc{ID: id, Tag: "inference", Summary: "Predict; JSON or the binary tensor extension", Body: map[string]any{}, Answer: map[string]any{},
			Statuses: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}}}
}

func (a *API) model(r server.Route) server.Route {
	r.Doc.Params = []server.Param{{Name: "model", In: "path", Type: "string", Words: "name of the endpoint"}}
	if strings.Contains(r.Path, ":version") {
		r.Doc.Params = append(r.Doc.Params, server.Param{Name: "version", In: "path", Type: "string", Words: "version of the model"})
	}
	return r
}

func (a *API) getServer(c *gin.Context) error {
	return server.WriteJSON(c, http.StatusOK, openinference.ServerMetadata{Name: "affidavit", Version: a.version,
		Extensions: []string{openinference.BinaryExtension}})
}

func (a *API) getLive(c *gin.Context) error {
	return server.WriteJSON(c, http.StatusOK, openinference.ServerLive{Live: true})
}

func (a *API) getReady(c *gin.Context) error {
	if !a.gateway.Ready() {
		return lineage.Errf(lineage.CodeUnavailable, "", "the gateway cannot answer predictions now")
	}
	return server.WriteJSON(c, http.StatusOK, openinference.ServerReady{Ready: true})
}

func (a *API) getModel(c *gin.Context) error {
	m, err := a.gateway.Model(c.Request.Context(), c.Param("model"), c.Param("version"))
	if err != nil {
		return domain(err)
	}
	return server.WriteJSON(c, http.StatusOK, m)
}

func (a *API) getModelReady(c *gin.Context) error {
	if _, err := a.gateway.Model(c.Request.Context(), c.Param("model"), c.Param("version")); err != nil {
		return domain(err)
	}
	return server.WriteJSON(c, http.StatusOK, openinference.ModelReady{Name: c.Param("model"), Ready: true})
}

func (a *API) postInfer(c *gin.Context) error {
	if e := c.GetHeader("Content-Encoding"); e != "" && e != "identity" {
		return lineage.Errf(server.CodeMediaType, "Content-Encoding", "compressed requests are not read").WithRemedy("send the body as it is")
	}
	body, err := server.ReadBody(c)
	if err != nil {
		return err
	}
	request, err := openinference.ParseRequest(body, c.GetHeader(openinference.HeaderLength), a.limits)
	if err != nil {
		return domain(err)
	}
	response, err := a.gateway.Infer(c.Request.Context(), c.Param("model"), c.Param("version"), request)
	if err != nil {
		return domain(err)
	}
	out, header, err := response.Encode(request)
	if err != nil {
		return domain(err)
	}
	media := server.MediaJSON
	if header != "" {
		c.Header(openinference.HeaderLength, header)
		media = "application/octet-stream"
	}
	c.Data(http.StatusOK, media, out)
	return nil
}

// domain gives the codec's refusals their place in the error table.
func domain(err error) error {
	var refused *openinference.Error
	if errors.As(err, &refused) {
		return lineage.Errf(lineage.CodeInvalid, "", "%s", refused.Message)
	}
	return err
}

// writeError is the protocol's form of a failure: one member, in words.
func writeError(c *gin.Context, p server.Problem) {
	words := p.Detail
	if p.Field != "" {
		words = p.Field + ": " + words
	}
	if p.Remedy != "" {
		words += " (" + p.Remedy + ")"
	}
	c.Data(p.Status, server.MediaJSON, openinference.ErrorBody(words))
}
