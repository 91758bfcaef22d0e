package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"affidavit/attest"
	"affidavit/server/rest"
)

var (
	hrefs   = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	ids     = regexp.MustCompile(`\sid="([^"]*)"`)
	inline  = regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+="`)
	spaces  = regexp.MustCompile(`\s+`)
	tagForm = regexp.MustCompile(`<[^>]*>`)
)

// text is what a reader sees.
func text(body []byte) string {
	return spaces.ReplaceAllString(html.UnescapeString(tagForm.ReplaceAllString(string(body), " ")), " ")
}

// checkPage demands what holds of every page, whatever it shows.
func checkPage(t *testing.T, w *world, path string, header http.Header, body []byte) {
	t.Helper()
	page := string(body)
	if got := header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("%s: %s", path, got)
	}
	if header.Get("Cache-Control") != "no-store" || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s: headers %v", path, header)
	}
	if found := inline.FindString(page); found != "" {
		t.Errorf("%s: %q is inline", path, found)
	}
	for _, once := range []string{"<h1>", "<main ", "<footer ", `<html lang="en">`, `href="#main"`, "<title>"} {
		if strings.Count(page, once) != 1 {
			t.Errorf("%s: %d × %s", path, strings.Count(page, once), once)
		}
	}
	seen := map[string]bool{}
	for _, m := range ids.FindAllStringSubmatch(page, -1) {
		if seen[m[1]] {
			t.Errorf("%s: id %s twice", path, m[1])
		}
		seen[m[1]] = true
	}
	if strings.Contains(page, "ZgotmplZ") || strings.Contains(page, "<no value>") || strings.Contains(page, "%!") {
		t.Errorf("%s: a value did not render", path)
	}
	_, zipped, raw := w.do("GET", path, "", "Accept-Encoding", "gzip")
	if zipped.Get("Content-Encoding") != "gzip" || len(raw) > 40<<10 {
		t.Errorf("%s: %d bytes compressed", path, len(raw))
	}
}

// TestEveryLinkLeadsSomewhere crawls from the first page.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	w := newWorld(t)
	live(w)
	keepServing(w)
	queue, done := []string{"/"}, map[string]bool{"/": true}
	pages := 0
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		code, header, body := w.get(path)
		if code == http.StatusFound {
			body = []byte(`href="` + header.Get("Location") + `"`)
		} else if code != 200 {
			t.Errorf("%s: %d", path, code)
			continue
		}
		media := header.Get("Content-Type")
		if strings.HasPrefix(media, "text/html") && code == 200 {
			pages++
			checkPage(t, w, path, header, body)
			if !strings.Contains(text(body), "This page reads the log at size ") {
				t.Errorf("%s: no log size in the footer", path)
			}
		}
		if !strings.HasPrefix(media, "text/html") && code == 200 {
			continue
		}
		for _, m := range hrefs.FindAllStringSubmatch(string(body), -1) {
			to, _, _ := strings.Cut(html.UnescapeString(m[1]), "#")
			if to != "" && !strings.HasPrefix(to, "/") {
				t.Errorf("%s: link to %s leaves the server", path, to)
			}
			if to != "" && !done[to] {
				done[to] = true
				queue = append(queue, to)
			}
		}
	}
	if pages < 40 || !done["/models/lending/mortgage-denial/2/lineage"] || !done["/api/v1/log/entries/3/bundle"] {
		t.Errorf("only %d pages were reached", pages)
	}
}

func TestPagesSayWhatTheLogSays(t *testing.T) {
	w := newWorld(t)
	l := live(w)
	ev := func(i int64) string { return fmt.Sprintf("#%d", i) }
	for path, want := range map[string][]string{
		"/models": {"mortgage-denial", "high", "Olivia Owner", "2 as champion at lending " + ev(l.deployment.Index), "Not met " + ev(l.verdict.Index), "Alert " + ev(l.window.Index), ev(l.inventory.Index)},
		"/models/lending/mortgage-denial": {"Version 2 is champion at endpoint lending", "Automatic denial.", "0.8306", "0.0790", "2,500",
			"No evidence recorded: no canary was judged.", "No evidence recorded: no document was rendered."},
		"/models/lending/mortgage-denial/2": {"1 of 2 conditions of the gate are not met", "Not met: risk officer.", "no risk officer approves; ask one to decide", "verdict " + ev(l.verdict.Index),
			"Approved Olivia Owner", "Model owner, 1st line", "Conditionally approved Vera Validator", "Withdrawn Rita Risk <b>", "2 of 3 · Request " + ev(l.request.Index), "Waiting Nobody yet Risk officer, 2nd line asked for by policy credit-high-risk 1 " + ev(l.policy.Index), "31 May 2027", "sha256:" + l.root, "0.8306", "Policy",
			"Emil Engineer", "champion 95", "Passed", "auc, calibration"},
		"/models/lending/mortgage-denial/2/lineage": {"Where it came from, and what rests on it", "Data version · " + ev(l.data.Index), "Training run · " + ev(l.run.Index), "hmda_boston_1990",
			"this item", "Monitoring window"},
		"/log":                               {"Decision", "approved mortgage-denial 2", "affidavit (this server)", "Genesis", "log.bank.example"},
		"/log?kind=decision":                 {ev(l.validation.Index), ev(l.refusal.Index)},
		fmt.Sprint("/log/", l.refusal.Index): {"<script>alert(1)</script>", "Signature, proof, checkpoint and timestamp hold", "rejected mortgage-denial 2", l.refusal.PAE, "decided", "governs", "cosign verify-blob-attestation", "--key entry-" + fmt.Sprint(l.refusal.Index) + ".pub"},
		"/lineage/data/" + digestOf("hmda_boston_1990"): {"Training run", "this item"},
		"/lineage/entry/" + l.run.PAE:                   {"model.onnx", "this item"},
	} {
		code, _, body := w.get(path)
		got := text(body)
		if code != 200 {
			t.Errorf("%s: %d", path, code)
			continue
		}
		for _, words := range want {
			if !strings.Contains(got, words) {
				t.Errorf("%s lacks %q in %s", path, words, got)
			}
		}
		if strings.Contains(string(body), "<script") || strings.Contains(string(body), "Risk <b>") {
			t.Errorf("%s: text of a statement became markup", path)
		}
	}
	if _, _, body := w.get("/log?kind=decision"); strings.Contains(text(body), ev(l.acceptance.Index)+" ") {
		t.Error("the filter shows an acceptance")
	}
}

// TestDecidersAreNotAmongTheContributors: the block of contributors walks
// contributing relations only.
func TestDecidersAreNotAmongTheContributors(t *testing.T) {
	w := newWorld(t)
	live(w)
	_, _, body := w.get("/models/lending/mortgage-denial/2")
	block := text(body)
	block = block[strings.Index(block, "Who worked on this version"):strings.Index(block, "Deployments")]
	if !strings.Contains(block, "Emil Engineer") || strings.Contains(block, "Rita") || strings.Contains(block, "Olivia") {
		t.Errorf("contributors: %s", block)
	}
}

func TestEmptyLogHasPages(t *testing.T) {
	w := newWorld(t)
	for path, words := range map[string]string{"/models": "No evidence recorded: no model has an inventory entry.", "/log": "Genesis", "/log?actor=nobody": "No entry matches."} {
		code, header, body := w.get(path)
		checkPage(t, w, path, header, body)
		if code != 200 || !strings.Contains(text(body), words) {
			t.Errorf("%s: %d %s", path, code, text(body))
		}
	}
}

func TestMissingPagesSayWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]int{"/models/lending/nothing": 404, "/models/lending/nothing/1": 404, "/models/lending/nothing/1/lineage": 404, "/log/999": 404,
		"/log/abc": 404, "/log/-1": 404, "/log?before=x": 400, "/lineage/data/" + digestOf("d") + "?depth=0": 400,
		"/lineage/planet/" + digestOf("d"): 404, "/lineage/data/xyz": 404} {
		code, header, body := w.get(path)
		if code != want {
			t.Errorf("%s: %d, want %d: %s", path, code, want, text(body))
			continue
		}
		checkPage(t, w, path, header, body)
	}
	if code, header, body := w.do("GET", "/no/such/page", "", "Accept", "text/html,*/*"); code != 404 || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
		t.Errorf("a browser gets %d %s", code, body)
	}
	if code, header, body := w.get("/api/v1/no/such"); code != 404 || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a program gets %d %s", code, body)
	}
	if code, _, _ := w.get("/assets/nothing.css"); code != 404 {
		t.Errorf("asset: %d", code)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		if code, _, _ := w.do(method, "/models", ""); code != 405 {
			t.Errorf("%s /models: %d", method, code)
		}
	}
}

func TestLogPagerVisitsEachEntryOnce(t *testing.T) {
	w := filledWorld(t, 120)
	var seen []string
	path := "/log?actor=emil"
	for range 10 {
		_, _, body := w.get(path)
		for _, m := range regexp.MustCompile(`<th scope="row"><a class="ev" href="/log/(\d+)"`).FindAllStringSubmatch(string(body), -1) {
			seen = append(seen, m[1])
		}
		next := regexp.MustCompile(`href="([^"]*)" rel="next"`).FindStringSubmatch(string(body))
		if next == nil {
			break
		}
		path = html.UnescapeString(next[1])
	}
	slices.Sort(seen)
	if got := len(slices.Compact(seen)); got != 120 || len(seen) != 120 {
		t.Errorf("%d entries, %d of them different", len(seen), got)
	}
}

func TestAssetsAreImmutable(t *testing.T) {
	w := newWorld(t)
	_, _, body := w.get("/models")
	for _, name := range []string{"style", "source-sans-3", "icon"} {
		m := regexp.MustCompile(`/assets/` + name + `\.[0-9a-f]{12}\.[a-z0-9]+`).FindString(string(body))
		code, header, content := w.get(m)
		if m == "" || code != 200 || !strings.Contains(header.Get("Cache-Control"), "immutable") || len(content) == 0 {
			t.Errorf("%s: %q %d %v", name, m, code, header)
		}
		if name == "style" && !strings.Contains(string(content), `url("/assets/source-sans-3.`) {
			t.Error("the style does not name the font")
		}
	}
}

// TestErasedPayload: the entry keeps its place; what it said is gone from
// pages and API, and nothing breaks that named it.
func TestErasedPayload(t *testing.T) {
	w := newWorld(t)
	l := live(w)
	redact := func(ref attest.EntryRef, field string) json.RawMessage {
		_, _, body := w.get(fmt.Sprint("/api/v1/log/entries/", ref.Index))
		var e rest.Entry
		var predicate map[string]any
		if err := errors.Join(json.Unmarshal(body, &e), json.Unmarshal(e.Predicate, &predicate)); err != nil {
			t.Fatal(err)
		}
		predicate[field] = "erased"
		b, err := json.Marshal(predicate)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	_, _, body := w.get("/api/v1/log/entries?kind=key-event&limit=1")
	var list rest.EntryList
	if err := json.Unmarshal(body, &list); err != nil || len(list.Entries) != 1 {
		t.Fatal(err, string(body))
	}
	emil := attest.EntryRef{Index: list.Entries[0].Index, PAE: list.Entries[0].PAE, Kind: attest.KindKeyEvent}
	erasure := attest.Erasure{Reason: "request of the person", Basis: "GDPR Art. 17", Entries: []attest.EntryRef{emil, l.refusal},
		Redacted: []json.RawMessage{redact(emil, "name"), redact(l.refusal, "reason")}}
	w.submit(w.sign(attest.KindErasure, "", "ada", "ada", erasure, nil))
	for _, ref := range []attest.EntryRef{emil, l.refusal} {
		at := fmt.Sprint("/log/", ref.Index)
		code, header, page := w.get(at)
		checkPage(t, w, at, header, page)
		if code != 200 || !strings.Contains(text(page), "The payload was erased") || !strings.Contains(text(page), ref.PAE) ||
			!strings.Contains(text(page), "No evidence recorded: no bundle, the payload was erased.") {
			t.Errorf("%s: %d %s", at, code, text(page))
		}
		code, _, body := w.get("/api/v1" + strings.Replace(at, "/log/", "/log/entries/", 1))
		var e rest.Entry
		if err := json.Unmarshal(body, &e); code != 200 || err != nil || !e.Erased || e.Bundle != nil || e.PAE != ref.PAE {
			t.Errorf("%s: %d %s", at, code, body)
		}
		if code, _, _ := w.get("/api/v1" + strings.Replace(at, "/log/", "/log/entries/", 1) + "/bundle"); code != 404 {
			t.Errorf("bundle of %d: %d", ref.Index, code)
		}
	}
	for _, path := range []string{"/log", "/models", "/models/lending/mortgage-denial", "/models/lending/mortgage-denial/2", "/models/lending/mortgage-denial/2/lineage?depth=all"} {
		code, _, page := w.get(path)
		if got := text(page); code != 200 || strings.Contains(got, "Emil Engineer") || strings.Contains(got, "alert(1)") {
			t.Errorf("%s: %d shows what was erased: %s", path, code, got)
		}
	}
}
