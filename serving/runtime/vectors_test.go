package runtime_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"affidavit/serving/runtime"
)

// vectors is the folder of models that others wrote.
func vectors(t *testing.T) string {
	t.Helper()
	root := os.Getenv("AFFIDAVIT_TESTDATA")
	if root == "" {
		t.Skip("set AFFIDAVIT_TESTDATA to the folder that holds data/ and vectors/ to run the models that others wrote")
	}
	return filepath.Join(root, "vectors", "models")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readTensor is the test's own reader of a TensorProto of the forms that the
// node tests use.
func readTensor(t *testing.T, b []byte) (string, *runtime.Tensor) {
	t.Helper()
	name, tensor, elem, raw := "", &runtime.Tensor{}, uint64(0), []byte(nil)
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		b = b[n:]
		if typ == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			b = b[n:]
			if num == 1 {
				tensor.Shape = append(tensor.Shape, int(v))
			} else if num == 2 {
				elem = v
			}
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			t.Fatal("the vector is not a tensor")
		}
		b = b[n:]
		switch num {
		case 1:
			for len(v) > 0 {
				d, n := protowire.ConsumeVarint(v)
				tensor.Shape, v = append(tensor.Shape, int(d)), v[n:]
			}
		case 6:
			tensor.Str = append(tensor.Str, string(v))
		case 8:
			name = string(v)
		case 9:
			raw = v
		}
	}
	for typ, e := range elemOf {
		if uint64(e) == elem {
			tensor.Type = typ
		}
	}
	for len(raw) > 0 {
		if tensor.Type == runtime.Float32 {
			v, n := protowire.ConsumeFixed32(raw)
			tensor.F32, raw = append(tensor.F32, math.Float32frombits(v)), raw[n:]
			continue
		}
		v, n := protowire.ConsumeFixed64(raw)
		raw = raw[n:]
		if tensor.Type == runtime.Float64 {
			tensor.F64 = append(tensor.F64, math.Float64frombits(v))
		} else {
			tensor.I64 = append(tensor.I64, int64(v))
		}
	}
	return name, tensor
}

// TestNodeVectors runs the node tests of the onnx project.
func TestNodeVectors(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(vectors(t), "onnx", "test_*"))
	if err != nil || len(dirs) < 6 {
		t.Fatalf("%d node tests, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			m, err := runtime.Load(read(t, filepath.Join(dir, "model.onnx")))
			if err != nil {
				t.Fatal(err)
			}
			in := map[string]*runtime.Tensor{}
			files, _ := filepath.Glob(filepath.Join(dir, "test_data_set_0", "input_*.pb"))
			for i, file := range files {
				name, tensor := readTensor(t, read(t, file))
				if name == "" {
					name = m.InputNames()[i]
				}
				in[name] = tensor
			}
			out := run(t, m, in)
			_, want := readTensor(t, read(t, filepath.Join(dir, "test_data_set_0", "output_0.pb")))
			if s := same(out[m.Outputs()[0].Name], want); s != "" {
				t.Error(s)
			}
		})
	}
}

// TestRandomForestVector runs a forest that skl2onnx wrote and ONNX Runtime
// answered.
func TestRandomForestVector(t *testing.T) {
	dir := filepath.Join(vectors(t), "onnxruntime_go")
	var want struct {
		Input  string
		Values [][]float32
		Label  []int64              `json:"output_label"`
		Probs  []map[string]float32 `json:"output_probability"`
	}
	if err := json.Unmarshal(read(t, filepath.Join(dir, "sklearn_randomforest.expected.json")), &want); err != nil {
		t.Fatal(err)
	}
	m, err := runtime.Load(read(t, filepath.Join(dir, "sklearn_randomforest.onnx")))
	if err != nil {
		t.Fatal(err)
	}
	var x []float32
	for _, row := range want.Values {
		x = append(x, row...)
	}
	out := run(t, m, map[string]*runtime.Tensor{want.Input: floats(x, len(want.Values), len(want.Values[0]))})
	if s := same(out["output_label"], ints(want.Label, len(want.Label))); s != "" {
		t.Error(s)
	}
	names := m.Outputs()[1].Labels
	for i, probs := range want.Probs {
		for k, name := range names {
			if got := out["output_probability"].F32[i*len(names)+k]; math.Abs(float64(got-probs[name])) > 1e-6 {
				t.Errorf("row %d, class %s: got %v, want %v", i, name, got, probs[name])
			}
		}
	}
}
