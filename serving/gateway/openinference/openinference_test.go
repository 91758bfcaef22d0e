package openinference

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func parse(t *testing.T, body string) *Request {
	t.Helper()
	r, err := ParseRequest([]byte(body), "", DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// input wraps one input's members in a request.
func input(members string) string { return `{"inputs":[{"name":"x",` + members + `}]}` }

func TestParseData(t *testing.T) {
	nan := math.NaN()
	cases := []struct {
		name, members string
		want          Tensor
	}{
		{"flat", `"shape":[2,2],"datatype":"FP32","data":[1,2.5,-3e2,0.1]`, Tensor{FP32: []float32{1, 2.5, -300, .1}}},
		{"nested", `"shape":[2,2],"datatype":"FP64","data":[[1,2],[3,4]]`, Tensor{FP64: []float64{1, 2, 3, 4}}},
		{"members in another order", `"data":[[1],[2]],"datatype":"INT32","shape":[2,1]`, Tensor{Int: []int64{1, 2}}},
		{"a scalar", `"shape":[],"datatype":"INT64","data":[7]`, Tensor{Int: []int64{7}}},
		{"no rows", `"shape":[0,3],"datatype":"INT64","data":[]`, Tensor{Int: []int64{}}},
		{"missing values", `"shape":[4],"datatype":"FP64","data":[null,NaN,Infinity,-Infinity]`, Tensor{FP64: []float64{nan, nan, math.Inf(1), math.Inf(-1)}}},
		{"ends of int8", `"shape":[2],"datatype":"INT8","data":[-128,127]`, Tensor{Int: []int64{-128, 127}}},
		{"ends of int64", `"shape":[2],"datatype":"INT64","data":[-9223372036854775808,9223372036854775807]`, Tensor{Int: []int64{math.MinInt64, math.MaxInt64}}},
		{"end of uint64", `"shape":[1],"datatype":"UINT64","data":[18446744073709551615]`, Tensor{Uint: []uint64{math.MaxUint64}}},
		{"half precision is rounded", `"shape":[3],"datatype":"FP16","data":[0.1,65504,6e-8]`, Tensor{FP32: []float32{0.0999755859375, 65504, 5.9604645e-8}}},
		{"booleans", `"shape":[2],"datatype":"BOOL","data":[true,false]`, Tensor{Bool: []bool{true, false}}},
		{"texts with escapes", `"shape":[3],"datatype":"BYTES","data":["a\"b\\\n","\u00e9\ud83d\ude00",""]`, Tensor{Bytes: [][]byte{[]byte("a\"b\\\n"), []byte("é😀"), {}}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := parse(t, input(c.members)).Inputs[0]
			if !sameData(&got, &c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// sameData compares elements; NaN equals NaN.
func sameData(a, b *Tensor) bool {
	same := func(x, y float64) bool { return x == y || x != x && y != y }
	if len(a.FP32) != len(b.FP32) || len(a.FP64) != len(b.FP64) || len(a.Bytes) != len(b.Bytes) {
		return false
	}
	for i := range a.FP32 {
		if !same(float64(a.FP32[i]), float64(b.FP32[i])) {
			return false
		}
	}
	for i := range a.FP64 {
		if !same(a.FP64[i], b.FP64[i]) {
			return false
		}
	}
	for i := range a.Bytes {
		if string(a.Bytes[i]) != string(b.Bytes[i]) {
			return false
		}
	}
	eq := func(x, y any) bool {
		return reflect.ValueOf(x).Len() == 0 && reflect.ValueOf(y).Len() == 0 || reflect.DeepEqual(x, y)
	}
	return eq(a.Bool, b.Bool) && eq(a.Int, b.Int) && eq(a.Uint, b.Uint)
}

func TestParseMembers(t *testing.T) {
	r := parse(t, `{"id":"42","model_name":"credit","parameters":{"a":"b","n":3,"f":0.5,"yes":true,"none":null,"binary_data_output":true},
		"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":null,"data":[1]}],
		"outputs":[{"name":"p","parameters":{"binary_data":false}},{"name":"q"}]}`)
	if r.ID != "42" || !reflect.DeepEqual(r.Parameters, Parameters{"a": "b", "n": int64(3), "f": .5, "yes": true, "binary_data_output": true}) {
		t.Errorf("got %+v", r)
	}
	for name, want := range map[string][2]bool{"p": {true, false}, "q": {true, true}, "z": {false, false}} {
		if wanted, bin := r.Wants(name); wanted != want[0] || bin != want[1] {
			t.Errorf("output %s: wanted %v, binary %v", name, wanted, bin)
		}
	}
	if r.Input("x") == nil || r.Input("y") != nil {
		t.Error("inputs are not found by name")
	}
}

func TestParseRefuses(t *testing.T) {
	ok := `"shape":[1],"datatype":"FP32","data":[1]`
	cases := []struct{ name, body, want string }{
		{"nothing", ``, "the request must be an object"},
		{"an array", `[]`, "the request must be an object"},
		{"no inputs", `{}`, "the request has no inputs"},
		{"empty inputs", `{"inputs":[]}`, "the request has no inputs"},
		{"something after the end", input(ok) + "x", "something after the end"},
		{"a member twice", `{"id":"1","id":"2"}`, `has the member "id" twice`},
		{"another case", `{"Inputs":[]}`, `unknown member "Inputs"`},
		{"an unknown member", `{"input":[]}`, `unknown member "input"; id, parameters, inputs and outputs are known`},
		{"a numeric id", `{"id":1}`, "id: a text is expected"},
		{"an input twice", `{"inputs":[{"name":"x",` + ok + `},{"name":"x",` + ok + `}]}`, `input "x" is given twice`},
		{"no name", `{"inputs":[{` + ok + `}]}`, "an input has no name"},
		{"no shape", input(`"datatype":"FP32","data":[1]`), `input "x" has no shape`},
		{"no datatype", input(`"shape":[1],"data":[1]`), `input "x" has datatype ""`},
		{"an unknown datatype", input(`"shape":[1],"datatype":"float32","data":[1]`), `input "x" has datatype "float32"; use BOOL`},
		{"no data", input(`"shape":[1],"datatype":"FP32"`), `input "x" has neither data nor binary_data_size`},
		{"too few", input(`"shape":[2],"datatype":"FP32","data":[1]`), "needs 2 elements, and 1 are given"},
		{"too many", input(`"shape":[2],"datatype":"FP32","data":[1,2,3]`), "needs 2 elements, and more are given"},
		{"a negative dimension", input(`"shape":[-1],"datatype":"FP32","data":[1]`), "a shape must hold whole numbers from 0"},
		{"a fraction as a dimension", input(`"shape":[1.0],"datatype":"FP32","data":[1]`), "a shape must hold whole numbers from 0"},
		{"a huge shape", input(`"shape":[4000000000,4000000000],"datatype":"FP32","data":[1]`), "all inputs together may hold"},
		{"many dimensions", input(`"shape":[1,1,1,1,1,1,1,1,1],"datatype":"FP32","data":[1]`), "a shape has more than 8 dimensions"},
		{"too deep", input(`"shape":[1,1],"datatype":"FP32","data":[[[1]]]`), "nested deeper than its shape"},
		{"ragged", input(`"shape":[2,2],"datatype":"FP32","data":[[1,2,3],[4]]`), "does not follow its shape"},
		{"transposed", input(`"shape":[2,3],"datatype":"FP32","data":[[1,2],[3,4],[5,6]]`), "does not follow its shape"},
		{"half nested", input(`"shape":[2,1],"datatype":"FP32","data":[1,[2]]`), "mixes flat and nested data"},
		{"half flat", input(`"shape":[2,1],"datatype":"FP32","data":[[1],2]`), "does not follow its shape"},
		{"a text for a number", input(`"shape":[1],"datatype":"FP32","data":["1"]`), "the element at position 0 is not of datatype FP32"},
		{"a fraction for an integer", input(`"shape":[2],"datatype":"INT64","data":[1,1.5]`), "the element at position 1 is not of datatype INT64"},
		{"out of range of int8", input(`"shape":[1],"datatype":"INT8","data":[128]`), "is not of datatype INT8"},
		{"negative and unsigned", input(`"shape":[1],"datatype":"UINT8","data":[-1]`), "is not of datatype UINT8"},
		{"out of range of FP32", input(`"shape":[1],"datatype":"FP32","data":[1e39]`), "is not of datatype FP32"},
		{"out of range of FP16", input(`"shape":[1],"datatype":"FP16","data":[65520]`), "is not of datatype FP16"},
		{"null for an integer", input(`"shape":[1],"datatype":"INT64","data":[null]`), "is not of datatype INT64"},
		{"a leading zero", input(`"shape":[1],"datatype":"INT64","data":[01]`), "is not of datatype INT64"},
		{"brackets that do not match", input(`"shape":[1],"datatype":"FP32","data":[1}`), "not valid JSON"},
		{"an endless text", `{"id":"abc`, "a text without end"},
		{"half a surrogate", `{"id":"\ud800"}`, "half a surrogate pair"},
		{"a raw control character", "{\"id\":\"a\nb\"}", "a control character in a text"},
		{"not UTF-8", "{\"id\":\"\xff\"}", "not UTF-8"},
		{"an object as a parameter", `{"parameters":{"a":{}}}`, `parameters: "a" must be a text, a number, true or false`},
		{"a text for a flag", `{"parameters":{"binary_data_output":"yes"},"inputs":[{"name":"x",` + ok + `}]}`, `parameter "binary_data_output" must be true or false`},
		{"an output twice", `{"outputs":[{"name":"a"},{"name":"a"}]}`, `output "a" is asked for twice`},
		{"a classification", `{"outputs":[{"name":"a","parameters":{"classification":3}}]}`, "classification, an extension that is not supported"},
		{"binary data that is not there", input(`"shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}`), "from 0 to 0"},
		{"data in two forms", input(ok + `,"parameters":{"binary_data_size":4}`), "has both data and binary_data_size"},
		{"a deep array", input(`"data":` + strings.Repeat("[", 50)), "nested too deeply"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseRequest([]byte(c.body), "", DefaultLimits())
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestParseBinary(t *testing.T) {
	head := `{"inputs":[{"name":"a","shape":[2],"datatype":"INT16","parameters":{"binary_data_size":4}},
		{"name":"b","shape":[1],"datatype":"FP64","data":[2.5]},
		{"name":"c","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}},
		{"name":"d","shape":[1],"datatype":"FP16","parameters":{"binary_data_size":2}}]}`
	tail := []byte{0xfe, 0xff, 0x01, 0x00}
	tail = binary.LittleEndian.AppendUint32(tail, 3)
	tail = append(tail, "abc"...)
	tail = binary.LittleEndian.AppendUint32(tail, 0)
	tail = append(tail, 0x00, 0x3c)
	body := append([]byte(head), tail...)
	length := strconv.Itoa
	r, err := ParseRequest(body, length(len(head)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Input("a").Int, []int64{-2, 1}) || !reflect.DeepEqual(r.Input("c").Bytes, [][]byte{[]byte("abc"), {}}) || r.Input("d").FP32[0] != 1 {
		t.Errorf("got %+v", r.Inputs)
	}
	for name, c := range map[string]struct {
		body   []byte
		header string
		want   string
	}{
		"a header past the body": {body, "9999", "must be a number of bytes from 0 to"},
		"a header of words":      {body, "x", "must be a number of bytes"},
		"bytes left over":        {append(append([]byte{}, body...), 1), length(len(head)), "1 bytes of binary data belong to no input"},
		"bytes missing":          {body[:len(body)-1], length(len(head)), `input "d" has a binary_data_size that is no number of bytes from 0 to 1`},
		"a length that lies":     {append(append(append([]byte{}, body[:len(head)+4]...), 9, 0, 0, 0), body[len(head)+8:]...), length(len(head)), "says that it has 9 bytes"},
	} {
		if _, err := ParseRequest(c.body, c.header, DefaultLimits()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	small := DefaultLimits()
	small.BodyBytes = 10
	if _, err := ParseRequest(body, "", small); err == nil || !strings.Contains(err.Error(), "send fewer rows") {
		t.Errorf("a great body gives %v", err)
	}
}

func TestEncode(t *testing.T) {
	a := Response{ModelName: "credit", ModelVersion: "3", ID: "42", Parameters: Parameters{"prediction": "p1", "entry": int64(17), "canary": false}, Outputs: []Tensor{
		{Name: "label", Datatype: Int64, Shape: []int64{2}, Int: []int64{1, 0}},
		{Name: "p", Datatype: FP32, Shape: []int64{2, 2}, FP32: []float32{.1, .9, float32(math.NaN()), 1}},
		{Name: "text", Datatype: Bytes, Shape: []int64{1}, Bytes: [][]byte{[]byte("a\"é")}},
	}}
	body, header, err := a.Encode(&Request{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"model_name":"credit","model_version":"3","id":"42","parameters":{"canary":false,"entry":17,"prediction":"p1"},"outputs":[` +
		`{"name":"label","datatype":"INT64","shape":[2],"data":[1,0]},{"name":"p","datatype":"FP32","shape":[2,2],"data":[0.1,0.9,null,1]},` +
		`{"name":"text","datatype":"BYTES","shape":[1],"data":["a\"é"]}]}`
	if string(body) != want || header != "" {
		t.Errorf("got %s with header %q\nwant %s", body, header, want)
	}
	body, header, err = a.Encode(&Request{Outputs: []Output{{Name: "label"}, {Name: "p", Binary: true}}})
	if err != nil {
		t.Fatal(err)
	}
	want = `{"model_name":"credit","model_version":"3","id":"42","parameters":{"canary":false,"entry":17,"prediction":"p1"},"outputs":[` +
		`{"name":"label","datatype":"INT64","shape":[2],"data":[1,0]},{"name":"p","datatype":"FP32","shape":[2,2],"parameters":{"binary_data_size":16}}]}`
	if string(body[:len(body)-16]) != want || header != strconv.Itoa(len(want)) {
		t.Errorf("got %s with header %q, want %d", body, header, len(want))
	}
	if math.Float32frombits(binary.LittleEndian.Uint32(body[len(body)-4:])) != 1 {
		t.Error("the last element is not 1")
	}
	var e *Error
	if _, _, err := a.Encode(&Request{Outputs: []Output{{Name: "q"}}}); !errors.As(err, &e) {
		t.Errorf("an output that is not there gives %v", err)
	}
	a.Outputs[2].Bytes[0] = []byte{0xff}
	if _, _, err := a.Encode(&Request{}); !errors.As(err, &e) || !strings.Contains(err.Error(), "binary_data") {
		t.Errorf("bytes that are no text give %v", err)
	}
	a.Outputs[0].Shape[0] = 3
	if _, _, err := a.Encode(&Request{}); err == nil || errors.As(err, &e) {
		t.Errorf("a shape that lies gives %v", err)
	}
}

func TestErrorBody(t *testing.T) {
	if got := string(ErrorBody(`no "x"`)); got != `{"error":"no \"x\""}` {
		t.Error(got)
	}
}

// TestHalf goes through all half-precision numbers and, between each pair of
// neighbours, through the tie and what is next to it.
func TestHalf(t *testing.T) {
	for h := range uint16(0x7c00) {
		exp, man := int(h>>10), float64(h&0x3ff)
		want := math.Ldexp(1024+man, exp-25)
		if exp == 0 {
			want = math.Ldexp(man, -24)
		}
		v := halfValue(h)
		if float64(v) != want || float64(halfValue(h|0x8000)) != -want {
			t.Fatalf("%#x is %v, want %v", h, v, want)
		}
		if halfBits(v) != h || halfBits(-v) != h|0x8000 {
			t.Fatalf("%v is not %#x", v, h)
		}
		next := float64(halfValue(h + 1))
		if h == 0x7bff {
			next = 65536 // what would follow 65504
		}
		tie := float32((want + next) / 2)
		even := h + h&1
		if got := halfBits(tie); got != even {
			t.Fatalf("the tie %v is %#x, want %#x", tie, got, even)
		}
		if halfBits(math.Nextafter32(tie, 0)) != h || halfBits(math.Nextafter32(tie, 1e9)) != h+1 {
			t.Fatalf("%v does not separate %#x from its neighbour", tie, h)
		}
	}
	if !math.IsInf(float64(halfValue(0x7c00)), 1) || !math.IsNaN(float64(halfValue(halfBits(float32(math.NaN()))))) || halfBits(float32(math.Inf(-1))) != 0xfc00 {
		t.Error("infinities and NaN are not kept")
	}
}

// FuzzRequest checks that any body is parsed or refused without a panic, and
// that what was parsed survives being sent back in both forms.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(input(`"shape":[2,2],"datatype":"FP32","data":[[1,2.5],[null,-3e2]]`)), 0)
	f.Add([]byte(input(`"shape":[2],"datatype":"BYTES","data":["a\u00e9","b"]`)), 0)
	f.Add([]byte(`{"id":"1","parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1],"datatype":"INT16","parameters":{"binary_data_size":2}}],"outputs":[{"name":"y"}]}AB`), 2)
	for _, d := range []string{"BOOL", "UINT8", "INT64", "FP16", "FP64"} {
		f.Add([]byte(`{"inputs":[{"name":"x","shape":[1],"datatype":"`+d+`","data":[1]}]}`), 0)
	}
	f.Fuzz(func(t *testing.T, body []byte, tail int) {
		header := ""
		if tail > 0 && tail <= len(body) {
			header = strconv.Itoa(len(body) - tail)
		}
		r, err := ParseRequest(body, header, DefaultLimits())
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for i := range r.Inputs {
			r.Inputs[i].Parameters = nil
		}
		for _, bin := range []bool{false, true} {
			a := Response{ModelName: "m", ID: r.ID, Outputs: r.Inputs}
			sent, header, err := a.Encode(&Request{BinaryOutput: bin})
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || bin {
					t.Fatal(err)
				}
				continue
			}
			n := len(sent)
			if bin {
				if err := json.Unmarshal([]byte(header), &n); err != nil {
					t.Fatal(err)
				}
			}
			var got struct{ Outputs json.RawMessage }
			if err := json.Unmarshal(sent[:n], &got); err != nil {
				t.Fatalf("%s: %v", sent[:n], err)
			}
			head := []byte(`{"inputs":` + string(got.Outputs) + `}`)
			limits := DefaultLimits()
			limits.NameBytes *= 8 // escapes may be longer than what they stand for
			limits.BodyBytes *= 8
			back, err := ParseRequest(append(head, sent[n:]...), strconv.Itoa(len(head)), limits)
			if err != nil {
				t.Fatalf("%s: %v", head, err)
			}
			for i := range r.Inputs {
				want := r.Inputs[i]
				if !bin { // JSON has no infinities
					want.FP32, want.FP64 = append([]float32(nil), want.FP32...), append([]float64(nil), want.FP64...)
					for k, v := range want.FP32 {
						if math.IsInf(float64(v), 0) {
							want.FP32[k] = float32(math.NaN())
						}
					}
					for k, v := range want.FP64 {
						if math.IsInf(v, 0) {
							want.FP64[k] = math.NaN()
						}
					}
				}
				if !sameData(&back.Inputs[i], &want) {
					t.Fatalf("got %+v, want %+v", back.Inputs[i], want)
				}
			}
		}
	})
}

func BenchmarkParseRow(b *testing.B) {
	body := []byte(`{"id":"a-1","inputs":[{"name":"income","shape":[1,1],"datatype":"FP32","data":[81.5]},{"name":"loan","shape":[1,1],"datatype":"FP32","data":[120]},` +
		`{"name":"ratio","shape":[1,1],"datatype":"FP32","data":[0.31]},{"name":"purpose","shape":[1,1],"datatype":"BYTES","data":["purchase"]}]}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := ParseRequest(body, "", DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeRow(b *testing.B) {
	a := Response{ModelName: "credit", ModelVersion: "3", ID: "a-1", Parameters: Parameters{"entry": int64(17)}, Outputs: []Tensor{
		{Name: "label", Datatype: Int64, Shape: []int64{1}, Int: []int64{1}}, {Name: "p", Datatype: FP32, Shape: []int64{1, 2}, FP32: []float32{.25, .75}}}}
	r := &Request{}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.Encode(r); err != nil {
			b.Fatal(err)
		}
	}
}
