package gateway

import (
	"context"
	"testing"

	"affidavit/attest/tlog"
)

// TestPlaces: a record opens at its own place, in its own file and for its own purpose only.
func TestPlaces(t *testing.T) {
	ctx := context.Background()
	keys, err := OpenKeyDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := sealFile(ctx, keys, "p", purposeSealed, "deployment", []sealable{{content: Outcome{PredictionID: "a"}}, {content: Outcome{PredictionID: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	records, root, err := splitFile(f.Content)
	if err != nil || len(records) != 2 || root != f.Root || root != tlog.RootOf([]tlog.Hash{tlog.LeafHash(records[0]), tlog.LeafHash(records[1])}) {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, c := range []struct {
		purpose, of string
		at, record  int
		opens       bool
	}{
		{purposeSealed, "deployment", 0, 0, true}, {purposeSealed, "deployment", 1, 1, true},
		{purposeSealed, "deployment", 1, 0, false}, {purposeSealed, "another", 0, 0, false}, {purposeLabels, "deployment", 0, 0, false},
	} {
		var o Outcome
		op := opener{keys: keys, cached: map[KeyID][]byte{}}
		closed, err := op.open(ctx, c.purpose, c.of, c.at, records[c.record], &o)
		if err != nil || closed == c.opens {
			t.Errorf("%+v: closed %v, %v", c, closed, err)
		}
	}
}

// FuzzSplitFile: no bytes make it panic, and what splits is exactly what was given.
func FuzzSplitFile(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 1, 0})
	f.Add(append([]byte{0, 0, 0, recordHead}, make([]byte, recordHead)...))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		records, _, err := splitFile(b)
		if err != nil {
			return
		}
		n := 0
		for _, r := range records {
			n += 4 + len(r)
		}
		if n != len(b) {
			t.Errorf("%d bytes in records of %d", n, len(b))
		}
	})
}
