package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/rbac/sod"
	"affidavit/server"
	"affidavit/server/rest"
)

func dataVersion(name string) (attest.DataVersion, []attest.Subject, attest.Relation) {
	d := digestOf(name)
	return attest.DataVersion{Name: name, Version: "1", MediaType: "text/csv", Digest: d, RowDigest: d, Rows: 1, Origin: "test", Licence: "CC0-1.0",
			Columns: []attest.Column{{Name: "x", Type: "numeric", Role: "input"}}},
		[]attest.Subject{{Name: name, Digest: map[string]string{"sha256": d}}},
		attest.Relation{Type: attest.RelGenerated, Ref: attest.Ref{Kind: attest.ArtefactData, Digest: d, Name: name}}
}

func (w *world) signData(name, actor, signer string) *attest.Signed {
	p, s, r := dataVersion(name)
	return w.sign(attest.KindDataVersion, "lending", actor, signer, p, s, r)
}

// edit changes the submission's JSON as a map, so that a case says only what
// is wrong with it.
func edit(t *testing.T, s *attest.Signed, change func(map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(attest.MarshalSubmission(s), &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func envelope(m map[string]any) map[string]any { return m["envelope"].(map[string]any) }

// TestRefusedSubmissionsChangeNothing: each is refused with its own 4xx, the
// problem names what is wrong, and no table has a row more or less.
func TestRefusedSubmissionsChangeNothing(t *testing.T) {
	w := newWorld(t)
	w.openProject()
	w.enrol("emil", "Emil Engineer", sod.RoleEngineer)
	w.enrol("vera", "Vera Validator", sod.RoleValidator)
	w.enrol("rudi", "Rudi Revoked", sod.RoleEngineer)
	revoked := attest.KeyID(w.people["rudi"].PublicKey())
	w.submit(w.sign(attest.KindKeyEvent, "", "ada", "ada", attest.KeyEvent{Action: attest.ActionRevoke, Reason: "left",
		Enrolment: attest.Enrolment{Actor: "rudi", KeyID: revoked, PublicKey: w.people["rudi"].PublicKey()}}, nil))
	stranger, err := keys.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	w.people["stranger"] = stranger
	mark := w.nonces
	used := w.signData("used", "emil", "emil")
	w.submit(used)
	good := w.signData("good", "emil", "emil")
	text := string(attest.MarshalSubmission(good))
	mark, w.nonces = w.nonces, mark
	sameNonce := w.signData("another statement", "emil", "emil")
	w.nonces = mark

	rewritten := func(change func(map[string]any)) []byte {
		var st map[string]any
		if err := json.Unmarshal(good.Payload, &st); err != nil {
			t.Fatal(err)
		}
		change(st)
		payload, err := attest.CanonicalJSON(st)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := w.people["emil"].Sign(t.Context(), attest.PAE(attest.PayloadType, payload))
		if err != nil {
			t.Fatal(err)
		}
		return attest.MarshalSubmission(&attest.Signed{Payload: payload, Signature: sig, PublicKey: w.people["emil"].PublicKey()})
	}
	cases := []struct {
		name   string
		body   []byte
		header []string
		status int
		code   string
		words  string // somewhere in field, detail or remedy
	}{
		{"malformed", []byte(text[:len(text)/2]), nil, 400, "invalid", "JSON"},
		{"not JSON", []byte("hello"), nil, 400, "invalid", "JSON"},
		{"empty", nil, nil, 400, "invalid", "empty"},
		{"trailing bytes", []byte(text + "{}"), nil, 400, "invalid", "JSON"},
		{"duplicate key", []byte(`{"publicKey":"x",` + text[1:]), nil, 400, "invalid", "publicKey"},
		{"case-folded key", []byte(`{"PublicKey":"x",` + text[1:]), nil, 400, "invalid", "ublicKey"},
		{"unknown field", []byte(`{"extra":1,` + text[1:]), nil, 400, "invalid", "extra"},
		{"deep", []byte(strings.Repeat("[", 5000)), nil, 400, "invalid", "JSON"},
		{"oversized", append([]byte(text), bytes.Repeat([]byte(" "), rest.MaxSubmission)...), nil, 413, "too-large", "bytes"},
		{"wrong media type", []byte(text), []string{"Content-Type", "text/plain"}, 415, "unsupported-media-type", "application/json"},
		{"parameter in the query", []byte(text), []string{"?", "dry-run=1"}, 400, "invalid", "dry-run"},
		{"wrong payload type", edit(t, good, func(m map[string]any) { envelope(m)["payloadType"] = "application/json" }), nil, 400, "invalid", "payloadType"},
		{"wrong type of a field", edit(t, good, func(m map[string]any) { envelope(m)["payload"] = 5 }), nil, 400, "invalid", "payload"},
		{"unknown predicate type", rewritten(func(m map[string]any) { m["predicateType"] = "https://example.com/x" }), nil, 400, "invalid", "predicateType"},
		{"predicate off its schema", rewritten(func(m map[string]any) { m["predicate"].(map[string]any)["rows"] = "many" }), nil, 400, "invalid", "rows"},
		{"unsigned", edit(t, good, func(m map[string]any) { envelope(m)["signatures"] = []any{} }), nil, 401, "unauthenticated", "signatures"},
		{"two signatures", edit(t, good, func(m map[string]any) {
			s := envelope(m)["signatures"].([]any)
			envelope(m)["signatures"] = append(s, s[0])
		}), nil, 401, "unauthenticated", "signatures"},
		{"no key", edit(t, good, func(m map[string]any) { delete(m, "publicKey") }), nil, 401, "unauthenticated", "publicKey"},
		{"wrong signature", edit(t, good, func(m map[string]any) {
			envelope(m)["signatures"].([]any)[0].(map[string]any)["sig"] = base64.StdEncoding.EncodeToString(used.Signature)
		}), nil, 401, "unauthenticated", "signature"},
		{"changed payload", edit(t, good, func(m map[string]any) {
			envelope(m)["payload"] = base64.StdEncoding.EncodeToString(bytes.Replace(good.Payload, []byte("good"), []byte("evil"), 1))
		}), nil, 401, "unauthenticated", "signature"},
		{"unknown key", attest.MarshalSubmission(w.signData("a", "emil", "stranger")), nil, 401, "unauthenticated", "not enrolled"},
		{"revoked key", attest.MarshalSubmission(w.signData("b", "rudi", "rudi")), nil, 401, "unauthenticated", "revoked"},
		{"somebody else's key", attest.MarshalSubmission(w.signData("c", "emil", "vera")), nil, 401, "unauthenticated", "actor"},
		{"without the role", attest.MarshalSubmission(w.signData("d", "vera", "vera")), nil, 403, "forbidden", "vera"},
		{"unknown project", attest.MarshalSubmission(w.sign(attest.KindDataVersion, "nowhere", "emil", "emil", predicateOf(dataVersion("e")), nil)), nil, 404, "not-found", "nowhere"},
		{"conflicting nonce", attest.MarshalSubmission(sameNonce), nil, 409, "conflict", "nonce"},
		{"from another site", []byte(text), []string{"Sec-Fetch-Site", "cross-site"}, 403, "forbidden", "Origin"},
	}
	before := w.rows()
	_, _, checkpoint := w.get("/checkpoint")
	for _, c := range cases {
		path := "/api/v1/attestations"
		if len(c.header) == 2 && c.header[0] == "?" {
			path, c.header = path+"?"+c.header[1], nil
		}
		code, header, body := w.do("POST", path, string(c.body), append([]string{"Content-Type", "application/json"}, c.header...)...)
		var p server.Problem
		if err := json.Unmarshal(body, &p); err != nil || header.Get("Content-Type") != server.MediaProblem {
			t.Errorf("%s: no problem document: %d %s", c.name, code, body)
			continue
		}
		if code != c.status || p.Status != c.status || p.Code != c.code || p.Type != server.ProblemBase+c.code {
			t.Errorf("%s: %d %s, want %d %s (%s)", c.name, code, p.Code, c.status, c.code, p.Detail)
		}
		if !strings.Contains(p.Field+" "+p.Detail+" "+p.Remedy, c.words) {
			t.Errorf("%s: the problem does not speak of %q: %s", c.name, c.words, body)
		}
		if after := w.rows(); !maps.Equal(before, after) {
			t.Fatalf("%s: rows changed from %v to %v", c.name, before, after)
		}
	}
	if _, _, after := w.get("/checkpoint"); !bytes.Equal(checkpoint, after) {
		t.Fatal("the checkpoint changed")
	}
	if r := w.submit(good); r.Duplicate {
		t.Fatal("a statement that was only ever refused in other forms counts as logged")
	}
}

func predicateOf(p attest.DataVersion, _ []attest.Subject, _ attest.Relation) attest.DataVersion {
	return p
}

// TestSameSubmissionGetsItsFirstReceipt also when the envelope differs: the
// signature is made anew, the statement and the key are the same.
func TestSameSubmissionGetsItsFirstReceipt(t *testing.T) {
	w := newWorld(t)
	w.openProject()
	w.enrol("emil", "Emil Engineer", sod.RoleEngineer)
	s := w.signData("once", "emil", "emil")
	first := w.submit(s)
	w.submit(w.signData("in between", "emil", "emil"))
	before := w.rows()
	again := w.submit(s)
	sig, err := w.people["emil"].Sign(t.Context(), attest.PAE(attest.PayloadType, s.Payload))
	if err != nil {
		t.Fatal(err)
	}
	resigned := w.submit(&attest.Signed{Payload: s.Payload, Signature: sig, PublicKey: s.PublicKey})
	for _, r := range []rest.Receipt{again, resigned} {
		if !r.Duplicate || r.Index != first.Index || r.PAE != first.PAE || !r.Stamp.Equal(first.Stamp) ||
			r.Checkpoint != first.Checkpoint || !bytes.Equal(r.Bundle, first.Bundle) {
			t.Errorf("not the first receipt: %+v", r)
		}
	}
	if after := w.rows(); !maps.Equal(before, after) {
		t.Fatalf("rows changed: %v %v", before, after)
	}
	if first.Duplicate || !strings.Contains(first.Checkpoint, "\n— log.bank.example ") {
		t.Errorf("first receipt: %+v", first)
	}
	_, _, metrics := w.get("/metrics")
	for _, line := range []string{`affidavit_submissions_total{result="duplicate"} 2`, `affidavit_submissions_total{result="logged"} 5`} {
		if !strings.Contains(string(metrics), line) {
			t.Errorf("metrics lack %s", line)
		}
	}
}
