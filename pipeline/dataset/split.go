package dataset

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Part asks for a named share of the rows.
type Part struct {
	Name  string  `json:"name" yaml:"name"`
	Share float64 `json:"share" yaml:"share"` // in (0, 1]; the shares of all parts sum to 1
}

// SplitSpec describes a seeded split.
type SplitSpec struct {
	Seed     uint64 `json:"seed" yaml:"seed"`
	Parts    []Part `json:"parts" yaml:"parts"`
	Stratify string `json:"stratify,omitempty" yaml:"stratify,omitempty"` // categorical column whose mix every part keeps
}

// SplitPart is one part of a split: zero-based row indices in ascending order and their IndicesDigest. Its JSON form
// leaves the indices out; IndicesText is the form in which to keep them.
type SplitPart struct {
	Name    string `json:"name"`
	Rows    int    `json:"rows"`
	Digest  string `json:"digest"`
	Indices []int  `json:"-"`
}

// Split is the result of Table.Split. Every row is in exactly one part.
type Split struct {
	Spec   SplitSpec   `json:"spec"`
	Rows   int         `json:"rows"`
	Parts  []SplitPart `json:"parts"`
	Digest string      `json:"digest"` // hex SHA-256 of the JSON of spec, rows and parts
}

// Part returns the part of that name.
func (s *Split) Part(name string) (SplitPart, bool) {
	for _, p := range s.Parts {
		if p.Name == name {
			return p, true
		}
	}
	return SplitPart{}, false
}

// Split divides the rows at random, as the seed says. The size of each part is its share of the rows, rounded by largest
// remainder (ties to the earlier part). With Stratify, each part's count of every stratum is within 2 of its share.
//
// It uses no random generator, so that anyone can recompute it: rows are ordered by stratum and then by
// SHA-256("affidavit split\n" ‖ seed ‖ row), both as 8 big-endian bytes; the t-th of a part's T places lies at (t+½)/T on
// the unit interval, and the k-th row takes the k-th place (ties to the earlier part).
func (t *Table) Split(spec SplitSpec) (*Split, error) {
	if err := spec.validate(t); err != nil {
		return nil, err
	}
	sizes := apportion(t.rows, spec.Parts)
	for p, size := range sizes {
		if size == 0 {
			return nil, fmt.Errorf("split: part %q would get none of the %d rows; raise its share", spec.Parts[p].Name, t.rows)
		}
	}
	order := t.splitOrder(spec)
	out := &Split{Spec: spec, Rows: t.rows, Parts: make([]SplitPart, len(spec.Parts))}
	for p, part := range spec.Parts {
		out.Parts[p] = SplitPart{Name: part.Name, Rows: sizes[p], Indices: make([]int, 0, sizes[p])}
	}
	for k, p := range places(sizes) {
		out.Parts[p].Indices = append(out.Parts[p].Indices, order[k])
	}
	for p := range out.Parts {
		slices.Sort(out.Parts[p].Indices)
		out.Parts[p].Digest = IndicesDigest(out.Parts[p].Indices)
	}
	out.Digest = jsonDigest(struct {
		Spec  SplitSpec   `json:"spec"`
		Rows  int         `json:"rows"`
		Parts []SplitPart `json:"parts"`
	}{out.Spec, out.Rows, out.Parts})
	return out, nil
}

func (spec *SplitSpec) validate(t *Table) error {
	if len(spec.Parts) < 2 {
		return errors.New("split: parts: give at least two")
	}
	seen := make(map[string]bool)
	sum := 0.0
	for i, p := range spec.Parts {
		if err := checkName(p.Name); err != nil {
			return fmt.Errorf("split: parts[%d].name: %w", i, err)
		}
		if seen[p.Name] {
			return fmt.Errorf("split: part %q is named twice", p.Name)
		}
		seen[p.Name] = true
		if !(p.Share > 0 && p.Share <= 1) {
			return fmt.Errorf("split: part %q: share %v is outside (0, 1]", p.Name, p.Share)
		}
		sum += p.Share
	}
	if math.Abs(sum-1) > 1e-9 {
		return fmt.Errorf("split: the shares sum to %s; they must sum to 1", formatNumber(sum))
	}
	if spec.Stratify != "" {
		if _, ok := t.Text(spec.Stratify); !ok {
			return fmt.Errorf("split: stratify: there is no categorical column %q", spec.Stratify)
		}
	}
	return nil
}

// apportion rounds n × share to integers that sum to n, by largest remainder.
func apportion(n int, parts []Part) []int {
	sizes := make([]int, len(parts))
	remainders := make([]float64, len(parts))
	left := n
	for p, part := range parts {
		quota := float64(n) * part.Share
		// A quota that is a whole number but for rounding (0.7 × 10) must not lose one.
		if r := math.Round(quota); math.Abs(quota-r) < 1e-6 {
			quota = r
		}
		sizes[p] = int(math.Floor(quota))
		remainders[p] = quota - math.Floor(quota)
		left -= sizes[p]
	}
	rank := make([]int, len(parts))
	for p := range rank {
		rank[p] = p
	}
	slices.SortStableFunc(rank, func(a, b int) int { return cmp.Compare(remainders[b], remainders[a]) })
	for k := range left {
		sizes[rank[k%len(rank)]]++
	}
	return sizes
}

// splitOrder returns the row indices ordered by stratum (text order) and then by keyed hash.
func (t *Table) splitOrder(spec SplitSpec) []int {
	const prefix = "affidavit split\n"
	keys := make([][sha256.Size]byte, t.rows)
	order := make([]int, t.rows)
	buf := append([]byte(prefix), make([]byte, 16)...)
	binary.BigEndian.PutUint64(buf[len(prefix):], spec.Seed)
	for i := range order {
		order[i] = i
		binary.BigEndian.PutUint64(buf[len(prefix)+8:], uint64(i))
		keys[i] = sha256.Sum256(buf)
	}
	var strata []string
	if spec.Stratify != "" {
		strata, _ = t.Text(spec.Stratify) // validate has found the column
	}
	slices.SortFunc(order, func(a, b int) int {
		if strata != nil {
			if c := cmp.Compare(strata[a], strata[b]); c != 0 {
				return c
			}
		}
		return bytes.Compare(keys[a][:], keys[b][:])
	})
	return order
}

// places returns the part of the k-th place, for every k, with the parts interleaved evenly.
func places(sizes []int) []int {
	total := 0
	for _, s := range sizes {
		total += s
	}
	taken := make([]int, len(sizes))
	out := make([]int, total)
	for k := range out {
		best := -1
		for p, size := range sizes {
			if taken[p] == size {
				continue
			}
			// (2·taken+1)/size, compared as fractions of integers: exact.
			if best < 0 || (2*taken[p]+1)*sizes[best] < (2*taken[best]+1)*size {
				best = p
			}
		}
		out[k] = best
		taken[best]++
	}
	return out
}
