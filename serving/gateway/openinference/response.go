package openinference

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Response is the answer to a request.
type Response struct {
	ModelName    string
	ModelVersion string
	ID           string // of the request
	Parameters   Parameters
	Outputs      []Tensor
}

// Encode writes the response to r. Outputs that r does not ask for are left
// out; one that it asks for and the response lacks is a *Error. Data is flat
// and row-major, members and parameters have a fixed order. headerLength is the
// value for the HTTP header HeaderLength; "" when no output is binary and the
// body is JSON alone.
func (a *Response) Encode(r *Request) (body []byte, headerLength string, err error) {
	for _, o := range r.Outputs {
		if !slices.ContainsFunc(a.Outputs, func(t Tensor) bool { return t.Name == o.Name }) {
			return nil, "", refuse("the model has no output %q", o.Name)
		}
	}
	b := []byte{'{'}
	b = appendMember(b, "model_name", a.ModelName)
	if a.ModelVersion != "" {
		b = appendMember(append(b, ','), "model_version", a.ModelVersion)
	}
	if a.ID != "" {
		b = appendMember(append(b, ','), "id", a.ID)
	}
	if len(a.Parameters) > 0 {
		b = append(b, ',')
		if b, err = appendParameters(b, a.Parameters); err != nil {
			return nil, "", err
		}
	}
	b = append(b, `,"outputs":[`...)
	var tail []byte
	first, anyBinary := true, false
	for i := range a.Outputs {
		t := &a.Outputs[i]
		wanted, bin := r.Wants(t.Name)
		if !wanted {
			continue
		}
		if n, ok := volume(t.Shape, math.MaxInt32); !ok || n != t.Len() || t.Datatype.size() < 0 {
			return nil, "", fmt.Errorf("output %q of datatype %q has shape %v and %d elements", t.Name, t.Datatype, t.Shape, t.Len())
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		anyBinary = anyBinary || bin
		if b, tail, err = appendTensor(b, tail, t, bin); err != nil {
			return nil, "", err
		}
	}
	b = append(b, "]}"...)
	if !anyBinary {
		return b, "", nil
	}
	return append(b, tail...), strconv.Itoa(len(b)), nil
}

func appendTensor(b, tail []byte, t *Tensor, bin bool) ([]byte, []byte, error) {
	b = appendMember(append(b, '{'), "name", t.Name)
	b = append(b, `,"datatype":"`...)
	b = append(b, t.Datatype...)
	b = append(b, `","shape":[`...)
	for i, d := range t.Shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, d, 10)
	}
	b = append(b, ']')
	params := t.Parameters
	if bin {
		before := len(tail)
		tail = appendBinary(tail, t)
		if params = maps.Clone(params); params == nil {
			params = Parameters{}
		}
		params["binary_data_size"] = int64(len(tail) - before)
	}
	if len(params) > 0 {
		var err error
		if b, err = appendParameters(append(b, ','), params); err != nil {
			return nil, nil, err
		}
	}
	if !bin {
		var err error
		if b, err = appendData(append(b, `,"data":[`...), t); err != nil {
			return nil, nil, err
		}
		b = append(b, ']')
	}
	return append(b, '}'), tail, nil
}

func appendMember(b []byte, name, value string) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, `":`...)
	return appendText(b, value)
}

// appendText quotes a text; bytes that are not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil { // a string always marshals
		q = []byte(`""`)
	}
	return append(b, q...)
}

func appendParameters(b []byte, params Parameters) ([]byte, error) {
	b = append(b, `"parameters":{`...)
	for i, key := range slices.Sorted(maps.Keys(params)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, key), ':')
		switch v := params[key].(type) {
		case string:
			b = appendText(b, v)
		case bool:
			b = strconv.AppendBool(b, v)
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case float64:
			b = appendFloat(b, v, 64)
		default:
			return nil, fmt.Errorf("parameter %q has type %T; string, bool, int64 and float64 are known", key, v)
		}
	}
	return append(b, '}'), nil
}

// appendFloat writes the shortest text that reads back as the same number.
func appendFloat(b []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

func appendData(b []byte, t *Tensor) ([]byte, error) {
	for i := range t.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		switch t.Datatype.kind() {
		case kindBool:
			b = strconv.AppendBool(b, t.Bool[i])
		case kindInt:
			b = strconv.AppendInt(b, t.Int[i], 10)
		case kindUint:
			b = strconv.AppendUint(b, t.Uint[i], 10)
		case kindFP32:
			b = appendFloat(b, float64(t.FP32[i]), 32)
		case kindFP64:
			b = appendFloat(b, t.FP64[i], 64)
		case kindBytes:
			if !utf8.Valid(t.Bytes[i]) {
				return nil, refuse("output %q holds bytes that are no text; ask for it with binary_data true", t.Name)
			}
			b = appendText(b, string(t.Bytes[i]))
		}
	}
	return b, nil
}

// appendBinary writes the elements of t in the binary form, little-endian.
func appendBinary(b []byte, t *Tensor) []byte {
	le, width := binary.LittleEndian, t.Datatype.size()
	for i := range t.Len() {
		var u uint64
		switch t.Datatype.kind() {
		case kindBool:
			if t.Bool[i] {
				u = 1
			}
		case kindInt:
			u = uint64(t.Int[i])
		case kindUint:
			u = t.Uint[i]
		case kindFP32:
			if u = uint64(math.Float32bits(t.FP32[i])); width == 2 {
				u = uint64(halfBits(t.FP32[i]))
			}
		case kindFP64:
			u = math.Float64bits(t.FP64[i])
		case kindBytes:
			b = le.AppendUint32(b, uint32(len(t.Bytes[i])))
			b = append(b, t.Bytes[i]...)
			continue
		}
		for k := range width {
			b = append(b, byte(u>>(8*k)))
		}
	}
	return b
}
