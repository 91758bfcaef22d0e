package runtime

import (
	"context"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestScratchForgets looks into the scratch that a call leaves behind: it holds
// neither the inputs nor a text computed from them.
func TestScratchForgets(t *testing.T) {
	text := func(num protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
	}
	m := &Model{slots: 3, inSlot: []int{0}, outSlot: []int{2}, textSlots: []int{1, 2}, index: map[string]int{"X": 0},
		inputs: []IO{{Name: "X", Type: String}}, outputs: []IO{{Name: "Y", Type: String}},
		steps: []step{
			{"a", "Identity", func(f *frame) error { return copyTo(f, 0, 1, f.vals[0].Shape) }},
			{"b", "Identity", func(f *frame) error { return copyTo(f, 1, 2, f.vals[1].Shape) }},
		}}
	looked := false
	for range 50 { // the pool may drop what it is given
		out, err := m.Run(context.Background(), map[string]*Tensor{"X": Strings([]string{"secret"}, 1)})
		if err != nil || out["Y"].Str[0] != "secret" {
			t.Fatalf("got %v, %v", out["Y"], err)
		}
		f, _ := m.frames.Get().(*frame)
		if f == nil {
			continue
		}
		looked = true
		for i, v := range f.vals {
			for _, s := range v.Str[:cap(v.Str)] {
				if s != "" {
					t.Fatalf("slot %d still holds %q", i, s)
				}
			}
		}
	}
	if !looked {
		t.Error("no scratch was kept")
	}
	// The compiler finds the slots to clear: every text but inputs and constants.
	node := append(append(text(1, "X"), text(2, "Y")...), text(4, "Identity")...)
	in := append(text(1, "X"), text(2, string(text(1, string([]byte{8, 8}))))...)
	graph := append(append(text(1, string(node)), text(11, string(in))...), text(12, string(text(1, "Y")))...)
	loaded, err := Load(append(text(7, string(graph)), text(8, string([]byte{16, 17}))...))
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.textSlots) != 1 || loaded.textSlots[0] != loaded.outSlot[0] {
		t.Errorf("texts to clear: %v, output in %v", loaded.textSlots, loaded.outSlot)
	}
}
