package openinference

import (
	"strconv"
)

// ParseRequest reads the body of an inference request. headerLength is the
// value of the HTTP header HeaderLength, "" when it is absent: then all of the
// body is JSON. The result keeps no part of body. Every error is a *Error.
func ParseRequest(body []byte, headerLength string, limits Limits) (*Request, error) {
	if len(body) > limits.BodyBytes {
		return nil, refuse("the body has %d bytes, more than %d; send fewer rows", len(body), limits.BodyBytes)
	}
	n := len(body)
	if headerLength != "" {
		v, err := strconv.ParseUint(headerLength, 10, 31)
		if err != nil || int(v) > len(body) {
			return nil, refuse("the header %s must be a number of bytes from 0 to %d, the length of the body", HeaderLength, len(body))
		}
		n = int(v)
	}
	p := &parser{scanner: scanner{b: body[:n]}, limits: limits, elements: limits.Elements, binary: body[n:]}
	r, err := p.request()
	if err != nil {
		return nil, err
	}
	if len(p.binary) > 0 {
		return nil, refuse("%d bytes of binary data belong to no input; give each binary input its binary_data_size", len(p.binary))
	}
	return r, nil
}

type parser struct {
	scanner
	limits   Limits
	elements int    // elements that the inputs may still hold
	binary   []byte // binary data that no input has taken yet
}

// absent takes null for an optional member.
func (p *parser) absent(err *error, read func() error) {
	if !p.null() {
		*err = read()
	}
}

func (p *parser) request() (*Request, error) {
	r := &Request{}
	inputs := false
	err := p.members("the request", p.limits.NameBytes, func(key []byte) (err error) {
		switch string(key) {
		case "id":
			p.absent(&err, func() error { return p.name(&r.ID, "id") })
		case "model_name", "model_version": // some clients repeat the path; the path counts
			p.absent(&err, func() error { return p.name(new(string), string(key)) })
		case "parameters":
			r.Parameters, err = p.parameters("parameters")
		case "inputs":
			inputs = true
			r.Inputs, err = p.inputs()
		case "outputs":
			p.absent(&err, func() error {
				r.Outputs, err = p.outputs()
				return err
			})
		default:
			err = refuse("the request has an unknown member %q; id, parameters, inputs and outputs are known", key)
		}
		return err
	})
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return nil, err
	}
	if !inputs || len(r.Inputs) == 0 {
		return nil, refuse("the request has no inputs; give every input of the model in \"inputs\"")
	}
	if r.BinaryOutput, err = r.Parameters.Flag("binary_data_output", false); err != nil {
		return nil, refuse("%v", err)
	}
	for i := range r.Outputs {
		if r.Outputs[i].Binary, err = r.Outputs[i].Parameters.Flag("binary_data", r.BinaryOutput); err != nil {
			return nil, refuse("output %q: %v", r.Outputs[i].Name, err)
		}
	}
	return r, nil
}

func (p *parser) name(dst *string, where string) error {
	v, err := p.text(where, p.limits.NameBytes)
	*dst = string(v)
	return err
}

// parameters reads named texts, numbers and booleans.
func (p *parser) parameters(where string) (Parameters, error) {
	if p.null() {
		return nil, nil
	}
	params := Parameters{}
	err := p.members(where, p.limits.NameBytes, func(name []byte) error {
		key := string(name)
		if len(params) >= p.limits.Parameters {
			return refuse("%s has more than %d members", where, p.limits.Parameters)
		}
		switch c := p.peek(); {
		case c == '"':
			v, err := p.text(where, p.limits.NameBytes)
			params[key] = string(v)
			return err
		case c == 't' || c == 'f':
			v, ok := p.bool()
			params[key] = v
			if !ok {
				return p.bad("a broken word")
			}
			return nil
		}
		if p.null() {
			return nil
		}
		text, whole, ok := p.number()
		if !ok {
			return refuse("%s: %q must be a text, a number, true or false", where, key)
		}
		if whole {
			if v, err := strconv.ParseInt(string(text), 10, 64); err == nil {
				params[key] = v
				return nil
			}
		}
		v, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return refuse("%s: %q is out of range", where, key)
		}
		params[key] = v
		return nil
	})
	return params, err
}

func (p *parser) outputs() ([]Output, error) {
	var list []Output
	seen := map[string]bool{}
	err := p.scanner.elements("outputs", func(int) error {
		if len(list) >= p.limits.Tensors {
			return refuse("the request asks for more than %d outputs", p.limits.Tensors)
		}
		var o Output
		err := p.members("an output", p.limits.NameBytes, func(key []byte) (err error) {
			switch string(key) {
			case "name":
				err = p.name(&o.Name, "the name of an output")
			case "parameters":
				o.Parameters, err = p.parameters("the parameters of an output")
			default:
				err = refuse("an output has an unknown member %q; name and parameters are known", key)
			}
			return err
		})
		if err != nil {
			return err
		}
		if o.Name == "" {
			return refuse("an output has no name")
		}
		if seen[o.Name] {
			return refuse("output %q is asked for twice", o.Name)
		}
		if _, ok := o.Parameters["classification"]; ok {
			return refuse("output %q asks for a classification, an extension that is not supported; take the scores", o.Name)
		}
		seen[o.Name] = true
		list = append(list, o)
		return nil
	})
	return list, err
}

func (p *parser) inputs() ([]Tensor, error) {
	var list []Tensor
	seen := map[string]bool{}
	err := p.scanner.elements("inputs", func(int) error {
		if len(list) >= p.limits.Tensors {
			return refuse("the request has more than %d inputs", p.limits.Tensors)
		}
		t, err := p.input()
		if err != nil {
			return err
		}
		if seen[t.Name] {
			return refuse("input %q is given twice", t.Name)
		}
		seen[t.Name] = true
		list = append(list, t)
		return nil
	})
	return list, err
}

func (p *parser) input() (Tensor, error) {
	var t Tensor
	var datatype string
	data, end, shape := -1, -1, false
	err := p.members("an input", p.limits.NameBytes, func(key []byte) (err error) {
		switch string(key) {
		case "name":
			err = p.name(&t.Name, "the name of an input")
		case "datatype":
			err = p.name(&datatype, "the datatype of an input")
		case "shape":
			shape = true
			t.Shape, err = p.shape()
		case "parameters":
			t.Parameters, err = p.parameters("the parameters of an input")
		case "data":
			// It is read below, once shape and datatype are known.
			p.absent(&err, func() error {
				p.peek()
				data = p.at
				err := p.skip("data")
				end = p.at
				return err
			})
		default:
			err = refuse("an input has an unknown member %q; name, shape, datatype, parameters and data are known", key)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	t.Datatype = Datatype(datatype)
	if t.Name == "" {
		return t, refuse("an input has no name")
	}
	if t.Datatype.size() < 0 {
		return t, t.refuse("has datatype %q; use BOOL, INT8 to INT64, UINT8 to UINT64, FP16, FP32, FP64 or BYTES", datatype)
	}
	if !shape {
		return t, t.refuse("has no shape")
	}
	n, ok := volume(t.Shape, p.elements)
	if !ok {
		return t, t.refuse("has shape %v: dimensions must not be negative, and all inputs together may hold %d elements", t.Shape, p.limits.Elements)
	}
	p.elements -= n
	size, binary := t.Parameters["binary_data_size"]
	switch {
	case binary && data >= 0:
		return t, t.refuse("has both data and binary_data_size")
	case binary:
		return t, p.takeBinary(&t, n, size)
	case data < 0:
		return t, t.refuse("has neither data nor binary_data_size")
	}
	back := p.at
	p.at = data
	t.reserve(min(n, (end-data)/2+1)) // a shape alone must not claim memory: an element takes two bytes
	if err = p.data(&t, n); err == nil && p.at != end {
		err = p.bad("brackets that do not match")
	}
	p.at = back
	return t, err
}

func (p *parser) shape() ([]int64, error) {
	list := []int64{}
	err := p.scanner.elements("a shape", func(int) error {
		text, whole, ok := p.number()
		v, err := strconv.ParseInt(string(text), 10, 64)
		if !ok || !whole || err != nil || v < 0 {
			return refuse("a shape must hold whole numbers from 0")
		}
		if len(list) >= p.limits.Rank {
			return refuse("a shape has more than %d dimensions", p.limits.Rank)
		}
		list = append(list, v)
		return nil
	})
	return list, err
}
