package pack_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"affidavit/attest"
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
		var text strings.Builder
		check(t, r.WriteText(&text))
		want := map[int]string{pack.ExitVerified: "VERIFIED: 35 attestations", pack.ExitUnanchored: "CONSISTENT, but UNANCHORED"}[tc.exit]
		if !strings.Contains(text.String(), want) || len(r.Checks) < 18 {
			t.Errorf("%s: the text does not say %q:\n%s", tc.name, want, text.String())
		}
	}
}

// TestLaterCompromise: a key declared compromised as of an earlier time voids
// what it signed since, but the log that let it in was honest.
func TestLaterCompromise(t *testing.T) {
	w := standard(t)
	since := epoch
	w.revoke("vera", &since)
	w.enrol("victor")
	w.grant("victor", "validator")
	packed := w.export()
	r := w.verify(packed)
	if r.Exit() != pack.ExitVerified {
		t.Fatalf("exit %d:\n%s", r.Exit(), refusals(r))
	}
	if notes := strings.Join(r.NotProven, "\n"); !strings.Contains(notes, "1 entries were signed by keys that were later declared compromised") {
		t.Errorf("the void entry is not noted:\n%s", notes)
	}
	for _, j := range r.Judged {
		if !j.Holds {
			t.Errorf("entry %d does not hold: %s", j.Index, j.Words)
		}
		if j.Kind == "deployment" && !strings.Contains(j.Since, "declared compromised") {
			t.Errorf("what speaks against the deployment since is not said: %q", j.Since)
		}
	}
}

// TestCompromisedAdmin: the admin's key is lost; grants signed with it fall,
// but neither the grants nor what was done under them make the log dishonest.
func TestCompromisedAdmin(t *testing.T) {
	w := standard(t)
	w.enrol("eve")
	w.add(attest.KindRoleGrant, "", "adam", "", nil, nil, attest.RoleGrant{Action: attest.ActionGrant, Actor: "eve", Role: "admin"})
	first := w.signers["adam"].PublicKey()
	since := w.now.Add(-3 * time.Second) // before eve's enrolment
	w.add(attest.KindKeyEvent, "", "adam", "", nil, nil, attest.KeyEvent{Action: attest.ActionRevoke, Reason: "stolen", CompromisedSince: &since,
		Enrolment: attest.Enrolment{Actor: "adam", KeyID: attest.KeyID(first), PublicKey: first}})
	w.state(project)
	w.state("")
	packed := w.write(w.input(pack.QueryProject), "audrey")
	r := w.verify(packed)
	if r.Exit() != pack.ExitVerified {
		t.Fatalf("exit %d:\n%s", r.Exit(), refusals(r))
	}
	if notes := strings.Join(r.NotProven, "\n"); strings.Count(notes, "Void since: ") != 2 {
		t.Errorf("eve's enrolment and grant should be void since:\n%s", notes)
	}
}

// TestPartOfAProject: a query that is no whole project claims no completeness.
func TestPartOfAProject(t *testing.T) {
	w := standard(t)
	in := w.input("version lending 1")
	kept := in.Items[:0]
	for _, item := range in.Items {
		if item.Kind != attest.KindOutcomes {
			kept = append(kept, item)
		}
	}
	in.Items = kept
	r := w.verify(w.write(in, "audrey"))
	if r.Exit() != pack.ExitVerified || r.Absent != 1 {
		t.Fatalf("exit %d, %d absent:\n%s", r.Exit(), r.Absent, refusals(r))
	}
	if !strings.Contains(strings.Join(r.NotProven, "\n"), "exporter's signed word") {
		t.Error("the report does not say that completeness is the exporter's word")
	}
}

// TestCertificateExport: the export may be signed with an identity certificate.
func TestCertificateExport(t *testing.T) {
	w := standard(t)
	w.state(project)
	w.state("")
	in := w.input(pack.QueryProject)
	w.signers["audrey"] = w.certified("audrey@bank.example")
	r := w.verify(w.write(in, "audrey"))
	if r.Exit() != pack.ExitVerified {
		t.Fatalf("exit %d:\n%s", r.Exit(), refusals(r))
	}
	// In the next pack that export is an entry like others, listed with
	// identity and issuer in place of a key.
	packed := w.export()
	if r = w.verify(packed); r.Exit() != pack.ExitVerified {
		t.Fatalf("exit %d:\n%s", r.Exit(), refusals(r))
	}
	var m pack.Manifest
	check(t, json.Unmarshal(files(t, packed)[pack.ManifestFile], &m))
	found := false
	for _, b := range m.Bundles {
		if b.Kind == attest.KindExport {
			found = b.Key == "" && b.Identity == "audrey@bank.example" && b.Issuer == "https://idp.bank.example"
		}
	}
	if !found {
		t.Error("the manifest does not list the certificate's identity and issuer")
	}
	if page := string(files(t, packed)[pack.VerifyFile]); !strings.Contains(page, "--certificate-identity audrey@bank.example --certificate-oidc-issuer https://idp.bank.example") {
		t.Error("VERIFY.md gives no command for bundles signed with a certificate")
	}
}

// TestSecondPackStillVerifies: earlier packs verify after the log went on (I10).
func TestSecondPackStillVerifies(t *testing.T) {
	w := standard(t)
	first := w.export()
	v := w.develop("2")
	w.promote(v)
	w.revoke("rick", nil)
	second := w.export()
	for i, packed := range [][]byte{first, second} {
		if r := w.verify(packed); r.Exit() != pack.ExitVerified {
			t.Errorf("pack %d: exit %d:\n%s", i+1, r.Exit(), refusals(r))
		}
	}
}

// TestDeterministic: the same input gives the same bytes.
func TestDeterministic(t *testing.T) {
	w := standard(t)
	in := w.input(pack.QueryProject)
	_, a, digest, err := pack.BuildManifest(context.Background(), in)
	check(t, err)
	for i := range in.Items[:len(in.Items)/2] {
		j := len(in.Items) - 1 - i
		in.Items[i], in.Items[j] = in.Items[j], in.Items[i]
	}
	_, b, again, err := pack.BuildManifest(context.Background(), in)
	check(t, err)
	if !bytes.Equal(a, b) || digest != again {
		t.Error("the order of the items changed the manifest")
	}
}

// TestWriterRefuses: a pack that would not verify is not written.
func TestWriterRefuses(t *testing.T) {
	w := standard(t)
	n := w.log.Size()
	for _, tc := range []struct {
		name, words string
		change      func(in *pack.Input)
	}{
		{"bundle proved to another size", "re-prove it", func(in *pack.Input) { in.Items[3].Bundle = w.bundle(3, n-1) }},
		{"bundle of another entry", "its bundle is entry", func(in *pack.Input) { in.Items[3].Bundle = in.Items[4].Bundle }},
		{"entry twice", "occurs twice", func(in *pack.Input) { in.Items = append(in.Items, in.Items[5]) }},
		{"policy under another digest", "is not the SHA-256", func(in *pack.Input) { in.Policies = map[string][]byte{digestOf("x"): []byte("y")} }},
		{"document with a path", "use letters", func(in *pack.Input) { in.Documents = map[string][]byte{"../x": nil} }},
		{"key under another id", "is not the id", func(in *pack.Input) { in.Keys = map[string][]byte{digestOf("x"): []byte("y")} }},
		{"no query", "query must not be empty", func(in *pack.Input) { in.Query = "" }},
		{"checkpoint of another log", "not signed by the log", func(in *pack.Input) {
			_, in.Checkpoint = newWorld(t).checkpoint(1)
		}},
	} {
		in := w.input(pack.QueryProject)
		tc.change(&in)
		_, _, _, err := pack.BuildManifest(context.Background(), in)
		if err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.words)
		}
	}
	draft, _, _, err := pack.BuildManifest(context.Background(), w.input(pack.QueryProject))
	check(t, err)
	if err := draft.Finish(io.Discard, w.bundle(3, n), nil); err == nil || !strings.Contains(err.Error(), "not an export") {
		t.Errorf("finished with a bundle that is no export: %v", err)
	}
}

func TestUnreadable(t *testing.T) {
	w := standard(t)
	var plain bytes.Buffer
	z := zip.NewWriter(&plain)
	_, err := z.Create("notes.txt")
	check(t, err)
	check(t, z.Close())
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("not a zip"), "another zip": plain.Bytes(), "cut": w.export()[:500]} {
		if _, err := pack.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), pack.Options{}); !errors.Is(err, pack.ErrUnreadable) {
			t.Errorf("%s: %v, want ErrUnreadable", name, err)
		}
	}
	packed := w.export()
	_, err = pack.Verify(context.Background(), bytes.NewReader(packed), int64(len(packed)), pack.Options{TrustedRoot: []byte("{}")})
	if !errors.Is(err, pack.ErrUnreadable) {
		t.Errorf("a trusted root that does not parse: %v, want ErrUnreadable", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = pack.Verify(ctx, bytes.NewReader(packed), int64(len(packed)), pack.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled verification: %v", err)
	}
}

func TestLoneBundle(t *testing.T) {
	w := standard(t)
	good := w.bundle(20, w.log.Size())
	r, err := pack.VerifyBundle(good, w.root())
	check(t, err)
	if r.Exit() != pack.ExitVerified || r.Index != 20 || r.Kind != w.entries[20].kind || !strings.Contains(r.NotJudged, "not judged") {
		t.Errorf("lone bundle: %+v", r)
	}
	r, err = pack.VerifyBundle(good, newWorld(t).root())
	check(t, err)
	if r.Exit() != pack.ExitRefused || r.Refusal.Code != attest.CodeCheckpoint {
		t.Errorf("under another log's root: %+v", r.Refusal)
	}
	for name, in := range map[string][2][]byte{"no root": {good, nil}, "bad root": {good, []byte("x")}, "no bundle": {[]byte("{}"), w.root()}} {
		if _, err := pack.VerifyBundle(in[0], in[1]); !errors.Is(err, pack.ErrUnreadable) {
			t.Errorf("%s: %v, want ErrUnreadable", name, err)
		}
	}
}

// TestPage: VERIFY.md names files that are in the pack.
func TestPage(t *testing.T) {
	f := files(t, standard(t).export())
	page := string(f[pack.VerifyFile])
	for _, want := range []string{"cosign verify-blob-attestation --bundle bundles/", "model_signing verify key MODEL --signature bundles/", "pdfsig documents/model-card.pdf", "does not prove"} {
		if !strings.Contains(page, want) {
			t.Errorf("VERIFY.md lacks %q", want)
		}
	}
	for _, word := range strings.Fields(page) {
		for _, dir := range []string{"bundles/", "keys/", "documents/", "governance/"} {
			if strings.HasPrefix(word, dir) && strings.Contains(word, ".") && !strings.Contains(word, "EXPORTER") && f[word] == nil {
				t.Errorf("VERIFY.md names %s, which is not in the pack", word)
			}
		}
	}
}

// TestGraph compares the graph with edges counted straight from the statements.
func TestGraph(t *testing.T) {
	w := standard(t)
	var g pack.Lineage
	check(t, json.Unmarshal(files(t, w.export())[pack.LineageFile], &g))
	want := map[string]int{}
	total := 0
	for i, e := range w.entries[:len(w.entries)-1] { // the export itself is not in the pack
		_, step, err := attest.ParseStatement(e.signed.Payload)
		check(t, err)
		for _, r := range step.Relations {
			want[fmt.Sprintf("entry:%d %s %s:%s", i, r.Type, r.Kind, r.Digest)]++
			total++
		}
	}
	if len(g.Edges) != total {
		t.Errorf("%d edges, the statements have %d relations", len(g.Edges), total)
	}
	nodes := map[string]bool{}
	for _, n := range g.Nodes {
		if nodes[n.ID] {
			t.Errorf("node %s occurs twice", n.ID)
		}
		nodes[n.ID] = true
	}
	for _, e := range g.Edges {
		if !nodes[e.From] || !nodes[e.To] {
			t.Errorf("edge %s → %s leads nowhere", e.From, e.To)
		}
		if key := e.From + " " + e.Relation + " " + e.To; want[key] == 0 {
			t.Errorf("edge %s is no relation of a statement", key)
		} else {
			want[key]--
		}
	}
}
