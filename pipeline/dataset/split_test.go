package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestSplitIsExactStratifiedAndComplete(t *testing.T) {
	table := lending(t)
	spec := SplitSpec{Seed: 7, Parts: []Part{{"train", .6}, {"validate", .15}, {"test", .25}}, Stratify: "deny"}
	split, err := table.Split(spec)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]int, table.Rows())
	deny, _ := table.Text("deny")
	for k, want := range []struct{ rows, denied int }{{1428, 171}, {357, 43}, {595, 71}} {
		part := split.Parts[k]
		if part.Rows != want.rows || len(part.Indices) != want.rows {
			t.Errorf("%s has %d rows, want %d", part.Name, part.Rows, want.rows)
		}
		denied := 0
		for _, i := range part.Indices {
			seen[i]++
			if deny[i] == "yes" {
				denied++
			}
		}
		if d := denied - want.denied; d < -2 || d > 2 {
			t.Errorf("%s has %d denied, its share is %d", part.Name, denied, want.denied)
		}
		if !slices.IsSorted(part.Indices) || part.Digest != IndicesDigest(part.Indices) {
			t.Errorf("%s: indices are unsorted or the digest is not theirs", part.Name)
		}
	}
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("row %d is in %d parts", i, n)
		}
	}
	again, _ := table.Split(spec)
	if again.Digest != split.Digest {
		t.Error("the same seed gave another split")
	}
	spec.Seed++
	if other, _ := table.Split(spec); other.Digest == split.Digest || other.Parts[0].Digest == split.Parts[0].Digest {
		t.Error("another seed gave the same split")
	}
}

// The documented recipe, done again the plain way for one stratum and two parts.
func TestSplitCanBeRecomputed(t *testing.T) {
	var text strings.Builder
	text.WriteString("x\n")
	for i := range 20 {
		fmt.Fprintf(&text, "%d\n", i)
	}
	split, err := read(t, text.String()).Split(SplitSpec{Seed: 42, Parts: []Part{{"a", .75}, {"b", .25}}})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		key   string
		index int
	}
	rows := make([]row, 20)
	for i := range rows {
		msg := binary.BigEndian.AppendUint64([]byte("affidavit split\n"), 42)
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(msg, uint64(i)))
		rows[i] = row{string(sum[:]), i}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.key, b.key) })
	type place struct {
		at   float64
		part int
	}
	var order []place
	for p, size := range []int{15, 5} {
		for k := range size {
			order = append(order, place{(float64(k) + .5) / float64(size), p})
		}
	}
	slices.SortStableFunc(order, func(a, b place) int {
		if math.Abs(a.at-b.at) < 1e-12 {
			return a.part - b.part
		}
		if a.at < b.at {
			return -1
		}
		return 1
	})
	var want [2][]int
	for k, r := range rows {
		want[order[k].part] = append(want[order[k].part], r.index)
	}
	for p := range want {
		slices.Sort(want[p])
		if !slices.Equal(want[p], split.Parts[p].Indices) {
			t.Errorf("part %d: %v, recomputed %v", p, split.Parts[p].Indices, want[p])
		}
	}
}

func TestSplitStrataStayWithinTwo(t *testing.T) {
	for _, shares := range [][]float64{{.5, .5}, {.7, .3}, {.6, .15, .25}, {.01, .29, .3, .4}} {
		for strata := 1; strata < 40; strata += 3 {
			var text strings.Builder
			text.WriteString("s\n")
			counts := make(map[string]int)
			for i := range 1000 {
				s := fmt.Sprintf("s%02d", i*i%strata)
				counts[s]++
				text.WriteString(s + "\n")
			}
			table := read(t, text.String())
			var parts []Part
			for p, share := range shares {
				parts = append(parts, Part{fmt.Sprint("part", p), share})
			}
			split, err := table.Split(SplitSpec{Seed: uint64(strata), Parts: parts, Stratify: "s"})
			if err != nil {
				t.Fatal(err)
			}
			col, _ := table.Text("s")
			for p, part := range split.Parts {
				if want := int(math.Round(1000 * shares[p])); part.Rows != want {
					t.Errorf("%v: part %d has %d rows, want %d", shares, p, part.Rows, want)
				}
				got := make(map[string]int)
				for _, i := range part.Indices {
					got[col[i]]++
				}
				for s, n := range counts {
					if d := math.Abs(float64(got[s]) - float64(n)*shares[p]); d > 2 {
						t.Errorf("%v, %d strata: part %d has %d of %d of %s", shares, strata, p, got[s], n, s)
					}
				}
			}
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	table := read(t, "x,s\n1,a\n2,b\n3,a\n")
	for _, c := range []struct {
		spec SplitSpec
		want string
	}{
		{SplitSpec{Parts: []Part{{"a", 1}}}, "at least two"},
		{SplitSpec{Parts: []Part{{"a", .5}, {"a", .5}}}, "named twice"},
		{SplitSpec{Parts: []Part{{"a", .5}, {"b", .4}}}, "sum to 0.9"},
		{SplitSpec{Parts: []Part{{"a", 1.5}, {"b", -.5}}}, "outside (0, 1]"},
		{SplitSpec{Parts: []Part{{"a", math.NaN()}, {"b", .5}}}, "outside (0, 1]"},
		{SplitSpec{Parts: []Part{{"a", .5}, {"", .5}}}, "name is empty"},
		{SplitSpec{Parts: []Part{{"a", .5}, {"b", .5}}, Stratify: "x"}, "no categorical column"},
		{SplitSpec{Parts: []Part{{"a", .99}, {"b", .01}}}, `part "b" would get none`},
	} {
		if _, err := table.Split(c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.spec, err, c.want)
		}
	}
}
