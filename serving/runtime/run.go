package runtime

import (
	"context"
	"fmt"
	"slices"
)

// frame is the scratch of one call. Slots hold the caller's inputs and the
// constants by reference and are read-only there; every other slot has exactly
// one producer, which reuses its buffer from the call before.
type frame struct {
	ctx  context.Context
	vals []Tensor
	left int // elements that this call may still compute
	held int // elements that the slots have room for
}

// Run evaluates the model on one tensor for each input and returns one tensor
// for each output; the results share no memory with the inputs or the model.
//
// All inputs whose first dimension is free must have the same number of rows.
// Bad tensors, and values that an operator refuses, give an error that is
// ErrInput; a done context gives its error.
func (m *Model) Run(ctx context.Context, in map[string]*Tensor) (map[string]*Tensor, error) {
	if err := m.checkInputs(in); err != nil {
		return nil, err
	}
	f, _ := m.frames.Get().(*frame)
	if f == nil {
		f = &frame{vals: make([]Tensor, m.slots)}
		for _, c := range m.consts {
			f.vals[c.slot] = c.val
		}
	}
	f.ctx, f.left = ctx, maxRunVolume
	for i := range m.inputs {
		f.vals[m.inSlot[i]] = *in[m.inputs[i].Name]
	}
	out, err := m.eval(f)
	for _, s := range m.inSlot {
		f.vals[s] = Tensor{}
	}
	f.ctx = nil
	if f.held <= keepVolume {
		for _, s := range m.textSlots { // kept scratch holds no applicant's words
			clear(f.vals[s].Str[:cap(f.vals[s].Str)])
		}
		m.frames.Put(f)
	}
	return out, err
}

func (m *Model) eval(f *frame) (map[string]*Tensor, error) {
	for i := range m.steps {
		if err := f.ctx.Err(); err != nil {
			return nil, err
		}
		if err := m.steps[i].run(f); err != nil {
			if f.ctx.Err() != nil {
				return nil, f.ctx.Err()
			}
			return nil, badInput("node %q (%s): %v", m.steps[i].node, m.steps[i].op, err)
		}
	}
	out := make(map[string]*Tensor, len(m.outputs))
	for i := range m.outputs {
		out[m.outputs[i].Name] = f.vals[m.outSlot[i]].Clone()
	}
	return out, nil
}

func (m *Model) checkInputs(in map[string]*Tensor) error {
	rows, rowsOf := -1, ""
	for i := range m.inputs {
		want := &m.inputs[i]
		t := in[want.Name]
		if t == nil {
			return badInput("input %q is missing; the model needs %v", want.Name, m.InputNames())
		}
		if t.Type != want.Type {
			return badInput("input %q has type %s; the model needs %s", want.Name, t.Type, want.Type)
		}
		if err := t.check(); err != nil {
			return badInput("input %q: %v", want.Name, err)
		}
		if len(t.Shape) > maxRank {
			return badInput("input %q has %d dimensions, more than %d", want.Name, len(t.Shape), maxRank)
		}
		if want.Shape != nil {
			if len(t.Shape) != len(want.Shape) {
				return badInput("input %q has shape %v; the model needs %s", want.Name, t.Shape, shapeText(want.Shape))
			}
			for k, d := range want.Shape {
				if d >= 0 && t.Shape[k] != d {
					return badInput("input %q has shape %v; the model needs %s", want.Name, t.Shape, shapeText(want.Shape))
				}
			}
		}
		if len(t.Shape) == 0 || (want.Shape != nil && want.Shape[0] >= 0) {
			continue
		}
		if rows < 0 {
			rows, rowsOf = t.Shape[0], want.Name
		} else if t.Shape[0] != rows {
			return badInput("input %q has %d rows and input %q has %d; give every input the same number of rows", rowsOf, rows, want.Name, t.Shape[0])
		}
	}
	if len(in) > len(m.inputs) {
		var extra []string
		for name := range in {
			if _, ok := m.index[name]; !ok {
				extra = append(extra, name)
			}
		}
		slices.Sort(extra)
		return badInput("the model has no input %q; it needs %v", extra[0], m.InputNames())
	}
	return nil
}

// shapeText writes a free dimension as "N" first and "?" elsewhere.
func shapeText(shape []int) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		switch {
		case d >= 0:
			parts[i] = fmt.Sprint(d)
		case i == 0:
			parts[i] = "N"
		default:
			parts[i] = "?"
		}
	}
	return fmt.Sprint(parts)
}

// out sizes slot s for a result of the given shape and returns its elements,
// whose content is whatever the last call left there.
func out[E element](f *frame, s int, shape ...int) ([]E, error) {
	n, err := volume(shape)
	if err != nil {
		return nil, err
	}
	if f.left -= n; f.left < 0 {
		return nil, fmt.Errorf("the call computes more than %d elements; send fewer rows", maxRunVolume)
	}
	t := &f.vals[s]
	t.Type = typeOf[E]()
	t.Shape = append(t.Shape[:0], shape...)
	p := elems[E](t)
	if cap(*p) < n {
		f.held += n - cap(*p)
		*p = make([]E, n)
	}
	*p = (*p)[:n]
	return *p, nil
}
