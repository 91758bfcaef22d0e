package pack_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"affidavit/attest/pack"
)

func refusals(r *pack.Report) string {
	var lines []string
	for i := range r.Refusals {
		lines = append(lines, r.Refusals[i].Error())
	}
	return strings.Join(lines, "\n")
}

func TestVerifyStandard(t *testing.T) {
	w := standard(t)
	zip := w.export()
	for _, tc := range []struct {
		name string
		opt  pack.Options
		exit int
	}{
		{"trusted root", pack.Options{TrustedRoot: w.root()}, pack.ExitVerified},
		{"log key", pack.Options{LogKeyFingerprint: w.set.Log.Fingerprint()}, pack.ExitVerified},
		{"both", pack.Options{TrustedRoot: w.root(), LogKeyFingerprint: strings.ToUpper(w.set.Log.Fingerprint())}, pack.ExitVerified},
		{"unanchored", pack.Options{}, pack.ExitUnanchored},
	} {
		r, err := pack.Verify(context.Background(), bytes.NewReader(zip), int64(len(zip)), tc.opt)
		check(t, err)
		if r.Exit() != tc.exit {
			t.Errorf("%s: exit %d, want %d\n%s", tc.name, r.Exit(), tc.exit, refusals(r))
		}
		for _, c := range r.Checks {
			t.Logf("%s: %v %s: %s", tc.name, c.OK, c.Name, c.Words)
		}
	}
}
