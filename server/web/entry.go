package web

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/attest"
	"affidavit/attest/tlog"
	"affidavit/lineage"
)

// maxPredicate is how much of a predicate a page shows, in bytes of pretty JSON.
const maxPredicate = 48 << 10

type subjectLine struct{ Name, Digest string }

type relationLine struct{ Type, Class, Kind, Name, Digest, URL string }

type proofBlock struct {
	Index, Size int64
	Leaf, Root  string
	Hashes      []string
	Checkpoint  string
}

type commandBlock struct{ Own, Cosign string }

type entryBody struct {
	Check                                     banner
	Index                                     int64
	Kind, Actor, Who, For, KeyID, Identity    string
	Project, Gap, Nonce, PAE                  string
	Claimed, Stamp                            time.Time
	NotBefore                                 attest.Position
	Subjects                                  []subjectLine
	Relations                                 []relationLine
	PredicateType, Predicate                  string
	Cut                                       int64
	Erased                                    bool
	Proof                                     *proofBlock
	Commands                                  *commandBlock
	File, KeyFile, Previous, Next, LineageURL string
}

func (s *Site) getEntry(c *gin.Context) error {
	index, err := strconv.ParseInt(c.Param("index"), 10, 64)
	if err != nil || index < 0 {
		return lineage.Errf(lineage.CodeNotFound, "index", "%q is not the index of an entry", c.Param("index"))
	}
	body := &entryBody{}
	number := strconv.FormatInt(index, 10)
	p := &page{Title: "Entry #" + number, Section: "log", Body: body, Crumbs: []link{{"Log", "/log"}, {"#" + number, ""}}}
	err = s.view(c, p, func(r *reader) error {
		e, err := r.Entry(index)
		if err != nil {
			return err
		}
		p.Lead, p.Project = title(e), e.Project
		r.fillEntry(body, e)
		body.neighbours(index, r.Size())
		if e.Erased {
			body.Check = banner{"warn", "The payload was erased", "The entry keeps its place, digest and leaf in the log; what it said is gone."}
			return nil
		}
		return s.fillProof(body, r, e)
	})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "entry", p)
}

func (b *entryBody) neighbours(index, size int64) {
	if index > 0 {
		b.Previous = "/log/" + strconv.FormatInt(index-1, 10)
	}
	if index+1 < size {
		b.Next = "/log/" + strconv.FormatInt(index+1, 10)
	}
}

func (r *reader) fillEntry(b *entryBody, e *lineage.Entry) {
	b.Index, b.Kind, b.Actor, b.Who, b.For = e.Index, e.Kind, e.Actor, r.name(e.Actor), r.name(e.OnBehalfOf)
	b.KeyID, b.Project, b.PAE, b.Stamp, b.Erased = e.KeyID, e.Project, e.PAE, e.Stamp, e.Erased
	b.PredicateType = attest.PredicateTypeOf(e.Kind)
	b.Predicate, b.Cut = pretty(e.Predicate())
	b.LineageURL = "/lineage/" + attest.ArtefactEntry + "/" + e.PAE
	b.Claimed, b.Nonce, b.NotBefore = e.Step.Claimed, e.Step.Nonce, e.Step.NotBefore
	b.Gap = gap(e.Step.Claimed, e.Stamp)
	for _, x := range e.Step.Relations {
		b.Relations = append(b.Relations, relationLine{Type: string(x.Type), Class: classWords(x.Type), Kind: x.Kind,
			Name: x.Name, Digest: x.Digest, URL: "/lineage/" + x.Kind + "/" + x.Digest})
	}
	if e.Statement == nil {
		return
	}
	for _, s := range e.Statement.Subject {
		b.Subjects = append(b.Subjects, subjectLine{Name: s.Name, Digest: s.Digest["sha256"]})
	}
}

func classWords(t attest.RelationType) string {
	if t.Contributes() {
		return "contributes"
	}
	return "governs"
}

// pretty indents JSON for reading; cut is the limit in bytes when it was cut.
func pretty(raw json.RawMessage) (text string, cut int64) {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return "", 0
	}
	if b.Len() > maxPredicate {
		return strings.ToValidUTF8(b.String()[:maxPredicate], "") + "\n…", maxPredicate
	}
	return b.String(), 0
}

// fillProof re-proves the entry to the head and lets the verifier judge it, so
// that the page says what holds now, not what was true when it was logged.
func (s *Site) fillProof(b *entryBody, r *reader, e *lineage.Entry) error {
	raw, err := r.Bundle(e.Index, r.Size())
	if err != nil {
		return err
	}
	bundle, err := attest.ParseBundle(raw)
	if err != nil {
		return fmt.Errorf("own bundle of entry %d: %w", e.Index, err)
	}
	leaf := tlog.LeafHash(bundle.Body)
	b.Proof = &proofBlock{Index: bundle.Proof.Index, Size: bundle.Proof.Size, Leaf: hex.EncodeToString(leaf[:]),
		Root: hex.EncodeToString(bundle.Proof.Root[:]), Checkpoint: bundle.Proof.Checkpoint}
	for _, h := range bundle.Proof.Hashes {
		b.Proof.Hashes = append(b.Proof.Hashes, hex.EncodeToString(h[:]))
	}
	verified, err := s.verifier.Verify(bundle)
	var no *attest.Refusal
	switch {
	case errors.As(err, &no):
		b.Check = banner{"bad", "This server cannot verify the entry", no.Where + ": " + no.Words}
	case err != nil:
		return err
	default:
		b.Identity = identity(verified)
		b.Check = banner{"ok", "Signature, proof, checkpoint and timestamp hold",
			"Checked by this server while it made this page. Do not take its word for it: check it yourself."}
	}
	b.commands(bundle, e, verified)
	return nil
}

func identity(v *attest.Verified) string {
	if v.Identity == "" {
		return ""
	}
	return v.Identity + ", vouched for by " + v.Issuer
}

func (b *entryBody) commands(bundle *attest.Bundle, e *lineage.Entry, v *attest.Verified) {
	b.File, b.KeyFile = fmt.Sprintf("entry-%d.sigstore.json", e.Index), fmt.Sprintf("entry-%d.pub", e.Index)
	b.Commands = &commandBlock{Own: "affidavit verify " + b.File + " \\\n  --trusted-root trusted_root.json"}
	signer := "--key " + b.KeyFile
	if v != nil && v.Identity != "" {
		signer = "--certificate-identity " + shell(v.Identity) + " \\\n  --certificate-oidc-issuer " + shell(v.Issuer)
	}
	digest, algorithm := "", ""
	if subjects := e.Statement.Subject; len(subjects) > 0 {
		names := make([]string, 0, len(subjects[0].Digest))
		for name := range subjects[0].Digest {
			names = append(names, name)
		}
		sort.Strings(names)
		if len(names) > 0 {
			algorithm, digest = names[0], subjects[0].Digest[names[0]]
		}
	}
	b.Commands.Cosign = "cosign verify-blob-attestation --bundle " + b.File + " \\\n  --trusted-root trusted_root.json \\\n  " + signer +
		" \\\n  --use-signed-timestamps \\\n  --type " + e.Statement.PredicateType + " \\\n  --digest " + digest + " --digestAlg " + algorithm
}

// shell quotes a word for a POSIX shell: it is shown to be pasted.
func shell(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
