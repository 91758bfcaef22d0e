package inference_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"affidavit/lineage"
	"affidavit/server"
	"affidavit/server/inference"
	"affidavit/serving/gateway/openinference"
)

// doubler answers each input x with 2x, so that an answer shows that the
// request's own numbers went through.
type doubler struct {
	ready bool
	calls int
}

func (d *doubler) Ready() bool { return d.ready }

func (d *doubler) Model(_ context.Context, name, version string) (openinference.ModelMetadata, error) {
	if name != "lending" || version != "" && version != "2" {
		return openinference.ModelMetadata{}, lineage.Errf(lineage.CodeNotFound, "model", "nothing is deployed as %s", name)
	}
	return openinference.ModelMetadata{Name: name, Versions: []string{"2"}, Platform: "onnx",
		Inputs:  []openinference.TensorMetadata{{Name: "x", Datatype: openinference.FP64, Shape: []int64{-1}}},
		Outputs: []openinference.TensorMetadata{{Name: "y", Datatype: openinference.FP64, Shape: []int64{-1}}}}, nil
}

func (d *doubler) Infer(ctx context.Context, name, version string, r *openinference.Request) (*openinference.Response, error) {
	if _, err := d.Model(ctx, name, version); err != nil {
		return nil, err
	}
	d.calls++
	in := r.Input("x")
	if in == nil {
		return nil, &openinference.Error{Message: "input x is missing"}
	}
	out := openinference.Tensor{Name: "y", Datatype: openinference.FP64, Shape: in.Shape}
	for _, x := range in.FP64 {
		out.FP64 = append(out.FP64, 2*x)
	}
	return &openinference.Response{ModelName: name, ModelVersion: "2", ID: r.ID, Outputs: []openinference.Tensor{out},
		Parameters: openinference.Parameters{"deployment_entry": int64(17)}}, nil
}

func start(t *testing.T, g inference.Gateway) *httptest.Server {
	t.Helper()
	s, err := server.New(server.Deps{Routes: inference.New(g, "1").Routes(), Authorizer: server.NewAccess(nil)})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	return h
}

func call(t *testing.T, method, url string, body []byte, header ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header) && header[i] != ""; i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestMetadataAndHealth(t *testing.T) {
	h := start(t, &doubler{ready: true})
	for path, want := range map[string]string{
		"/v2":                                 `{"name":"affidavit","version":"1","extensions":["binary_tensor_data"]}`,
		"/v2/health/live":                     `{"live":true}`,
		"/v2/health/ready":                    `{"ready":true}`,
		"/v2/models/lending/ready":            `{"name":"lending","ready":true}`,
		"/v2/models/lending/versions/2/ready": `{"name":"lending","ready":true}`,
	} {
		if code, _, body := call(t, "GET", h.URL+path, nil); code != 200 || body != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	code, _, body := call(t, "GET", h.URL+"/v2/models/lending/versions/2", nil)
	var m openinference.ModelMetadata
	if err := json.Unmarshal([]byte(body), &m); code != 200 || err != nil || m.Inputs[0].Shape[0] != -1 {
		t.Errorf("%d %s %v", code, body, err)
	}
	cold := start(t, &doubler{})
	if code, _, body := call(t, "GET", cold.URL+"/v2/health/ready", nil); code != 503 || !strings.HasPrefix(body, `{"error":"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestInferJSON(t *testing.T) {
	h := start(t, &doubler{ready: true})
	for _, path := range []string{"/v2/models/lending/infer", "/v2/models/lending/versions/2/infer"} {
		code, header, body := call(t, "POST", h.URL+path, []byte(`{"id":"a-7","inputs":[{"name":"x","shape":[2],"datatype":"FP64","data":[1.5,-2]}]}`), "Content-Type", "application/json")
		want := `{"model_name":"lending","model_version":"2","id":"a-7","parameters":{"deployment_entry":17},"outputs":[{"name":"y","datatype":"FP64","shape":[2],"data":[3,-4]}]}`
		if code != 200 || body != want || header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %s", code, body)
		}
	}
}

func TestInferBinary(t *testing.T) {
	h := start(t, &doubler{ready: true})
	head := `{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}]}`
	body := binary.LittleEndian.AppendUint64([]byte(head), math.Float64bits(21))
	code, header, got := call(t, "POST", h.URL+"/v2/models/lending/infer", body, "Content-Type", "application/octet-stream",
		openinference.HeaderLength, strconv.Itoa(len(head)))
	n, err := strconv.Atoi(header.Get(openinference.HeaderLength))
	if code != 200 || err != nil || len(got) != n+8 {
		t.Fatalf("%d %v %q", code, err, got)
	}
	if y := math.Float64frombits(binary.LittleEndian.Uint64([]byte(got[n:]))); y != 42 {
		t.Fatalf("got %v", y)
	}
}

func TestInferRefusals(t *testing.T) {
	g := &doubler{ready: true}
	h := start(t, g)
	good := `{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[1]}]}`
	for name, c := range map[string]struct {
		path, body, header, value string
		status                    int
	}{
		"no such model":   {"/v2/models/other/infer", good, "", "", 404},
		"no such version": {"/v2/models/lending/versions/9/infer", good, "", "", 404},
		"malformed":       {"/v2/models/lending/infer", `{"inputs":[`, "", "", 400},
		"duplicate key":   {"/v2/models/lending/infer", `{"id":"1","id":"2",` + good[1:], "", "", 400},
		"wrong shape":     {"/v2/models/lending/infer", strings.Replace(good, "[1]", "[2]", 1), "", "", 400},
		"empty":           {"/v2/models/lending/infer", "", "", "", 400},
		"no such output":  {"/v2/models/lending/infer", `{"outputs":[{"name":"z"}],` + good[1:], "", "", 400},
		"too large":       {"/v2/models/lending/infer", strings.Repeat(" ", 17<<20), "", "", 413},
		"compressed":      {"/v2/models/lending/infer", good, "Content-Encoding", "gzip", 415},
		"wrong length":    {"/v2/models/lending/infer", good, openinference.HeaderLength, "99999", 400},
		"another site":    {"/v2/models/lending/infer", good, "Sec-Fetch-Site", "cross-site", 403},
	} {
		code, _, body := call(t, "POST", h.URL+c.path, []byte(c.body), c.header, c.value)
		var e map[string]string
		if err := json.Unmarshal([]byte(body), &e); code != c.status || err != nil || len(e) != 1 || e["error"] == "" {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if g.calls != 1 { // "no such output" is found while encoding
		t.Errorf("the gateway was asked %d times", g.calls)
	}
}
