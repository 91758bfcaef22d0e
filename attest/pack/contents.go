package pack

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/attest/pack/pdfsig"
)

// checkReferences resolves every entry that an entry names: it lies before,
// is of the kind that it must be, and has the digest that was signed. A pack
// of a whole project must hold all of them.
func (c *checker) checkReferences() {
	mark, n := len(c.report.Refusals), 0
	for _, p := range c.entries {
		for _, r := range p.refs {
			n++
			c.checkReference(p, r)
		}
		c.checkServed(p)
	}
	c.report.check("references", mark, "%d references between entries resolved", n)
}

func (c *checker) checkReference(p *proven, r reference) {
	if r.ref.Index >= p.entry.Index || r.ref.Index < 0 {
		c.refuseEntry(CodeReference, p, "%s names entry %d, which does not lie before it", r.field, r.ref.Index)
		return
	}
	target := c.at(r.ref.Index)
	switch {
	case target == nil && c.erased[r.ref.Index] == r.ref.PAE:
		// Its content was erased under an attested reason; its digest stays.
	case target == nil && c.manifest.Query == QueryProject:
		c.refuseEntry(CodeReference, p, "%s names entry %d (%s), which the pack of the whole project lacks", r.field, r.ref.Index, clip(r.ref.Kind))
	case target == nil:
		// A part of a project may rest on what lies outside it.
	case target.entry.PAE != r.ref.PAE || target.entry.Kind != r.ref.Kind:
		c.refuseEntry(CodeReference, p, "%s names entry %d as another statement than the one logged there", r.field, r.ref.Index)
	case len(r.kinds) > 0 && !slices.Contains(r.kinds, target.entry.Kind):
		c.refuseEntry(CodeReference, p, "%s names entry %d, a %s, and must name a %s", r.field, r.ref.Index, target.entry.Kind, strings.Join(r.kinds, " or "))
	case target.entry.Project != p.entry.Project && target.entry.Project != "" && len(r.kinds) > 0:
		c.refuseEntry(CodeReference, p, "%s names entry %d of project %q", r.field, r.ref.Index, clip(target.entry.Project))
	}
}

// checkServed: predictions come from the deployment that they name, and a
// canary compared deployments of its own endpoint.
func (c *checker) checkServed(p *proven) {
	if s := facts[attest.Segment](p); s != nil {
		if d := facts[attest.Deployment](c.at(s.Deployment.Index)); d != nil &&
			(d.Endpoint != s.Endpoint || d.Model != s.Model || d.Version != s.Version || d.Action == actionRetire) {
			c.refuseEntry(CodeReference, p, "its predictions are said to be of model %q version %q at %q, the deployment that it names is of another", clip(s.Model), clip(s.Version), clip(s.Endpoint))
		}
	}
	if v := facts[attest.CanaryVerdict](p); v != nil {
		for _, ref := range []attest.EntryRef{v.Champion, v.Challenger} {
			if d := facts[attest.Deployment](c.at(ref.Index)); d != nil && d.Endpoint != v.Endpoint {
				c.refuseEntry(CodeReference, p, "it compares a deployment at %q with traffic at %q", clip(d.Endpoint), clip(v.Endpoint))
			}
		}
	}
}

// checkPolicies: each policy file is the text that was published under its
// digest, and each published policy is there.
func (c *checker) checkPolicies() {
	mark := len(c.report.Refusals)
	published := map[string]bool{}
	for _, p := range c.entries {
		v := facts[attest.PolicyPublication](p)
		if v == nil {
			continue
		}
		name := policyDir + v.Digest + ".yaml"
		published[name] = true
		if sum := sha256.Sum256([]byte(v.YAML)); hex.EncodeToString(sum[:]) != v.Digest {
			c.refuseEntry(CodePolicy, p, "the digest that it names is not that of its text")
			continue
		}
		b, err := c.archive.Read(name)
		switch {
		case err != nil:
			c.refuseEntry(CodePolicy, p, "the pack lacks its text, %s", clip(name))
		case !bytes.Equal(b, []byte(v.YAML)):
			c.report.add(refuse(CodePolicy, name, "it is not the text that entry %d published", p.entry.Index))
		}
	}
	for _, name := range c.archive.names {
		if class, _, _ := classify(name); class == classPolicy && !published[name] {
			c.report.add(refuse(CodePolicy, name, "no entry published it"))
		}
	}
	c.report.check("policies", mark, "%d published policies, each with its text", len(published))
}

// checkDocuments: each document is the one that was attested, and each PDF
// carries a signature that holds.
func (c *checker) checkDocuments() {
	mark := len(c.report.Refusals)
	type attested struct {
		name string
		size int64
	}
	known := map[string]attested{}
	for _, p := range c.entries {
		if v := facts[attest.Document](p); v != nil {
			known[v.Digest] = attested{v.Name, v.Size}
		}
	}
	n, pdfs := 0, 0
	pdfMark := mark
	var pdfRefusals []error
	for _, name := range c.archive.names {
		if class, _, _ := classify(name); class != classDocument {
			continue
		}
		b, err := c.archive.Read(name)
		if err != nil {
			c.report.add(err)
			continue
		}
		n++
		sum := sha256.Sum256(b)
		doc, ok := known[hex.EncodeToString(sum[:])]
		if !ok || doc.size != int64(len(b)) || documentDir+doc.name != name {
			c.report.add(refuse(CodeDocument, name, "no entry attests a document of that name with these bytes"))
		}
		if strings.HasSuffix(strings.ToLower(name), ".pdf") || bytes.HasPrefix(b, []byte("%PDF-")) {
			pdfs++
			pdfRefusals = append(pdfRefusals, c.checkPDF(name, b))
		}
	}
	c.report.check("documents", mark, "%d documents, each with the bytes that an entry attests", n)
	pdfMark = len(c.report.Refusals)
	for _, err := range pdfRefusals {
		c.report.add(err)
	}
	if pdfs > 0 {
		c.report.check("document signatures", pdfMark, "%d PDFs signed under the log's certificate authority", pdfs)
	}
	if len(known) > n {
		c.report.NotProven = append(c.report.NotProven, "Some attested documents are not in the pack: only their digests are.")
	}
}

// checkPDF wants every signature of a PDF to hold, and both its certificate
// and its timestamp to come from authorities in the trust root.
func (c *checker) checkPDF(name string, b []byte) error {
	infos, err := pdfsig.Verify(b)
	if err != nil {
		return refuse(CodePDF, name, "%v", err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, chain := range c.root.CAs {
		for i, der := range chain {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return refuse(CodeTrustedRoot, RootFile, "certificate authority: %v", err)
			}
			if i == len(chain)-1 {
				roots.AddCert(cert)
			} else {
				between.AddCert(cert)
			}
		}
	}
	for i := range infos {
		if err := c.checkPDFSignature(&infos[i], roots, between); err != nil {
			return refuse(CodePDF, name, "signature %q: %v", clip(infos[i].Field), err)
		}
	}
	return nil
}

func (c *checker) checkPDFSignature(info *pdfsig.SignatureInfo, roots, between *x509.CertPool) error {
	at := info.ClaimedTime
	if info.TimestampToken != nil {
		var err error
		if at, err = c.checkToken(info.TimestampToken, info.SignatureValue); err != nil {
			return err
		}
	}
	if info.Signer == nil {
		return errors.New("it names no certificate")
	}
	if _, err := info.Signer.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("its certificate is not of the log's authority: %w", err)
	}
	return nil
}

// checkToken verifies an RFC 3161 token over message under an authority of the
// trust root, and returns its time.
func (c *checker) checkToken(token, message []byte) (time.Time, error) {
	// A response is a status (0: granted) and the token.
	response, err := asn1.Marshal(struct {
		Status struct{ Code int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: token}})
	if err != nil {
		return time.Time{}, fmt.Errorf("its timestamp token: %w", err)
	}
	last := errors.New("the trusted root names no timestamp authority")
	for _, chain := range c.root.TSAs {
		at, err := keys.VerifyTimestamp(response, message, chain)
		if err == nil {
			return at, nil
		}
		last = err
	}
	return time.Time{}, fmt.Errorf("its timestamp token: %w", last)
}

// checkStates recomputes every project-state from the entries at hand. A pack
// of a whole project must hold one, and the entries must be all of its own.
func (c *checker) checkStates() {
	mark := len(c.report.Refusals)
	judged := map[string]int64{} // project → size of its last state
	for _, p := range c.entries {
		s := facts[attest.ProjectState](p)
		if s == nil {
			continue
		}
		if s.Project != p.entry.Project {
			c.refuseEntry(CodeState, p, "it is about project %q and was logged in %q", clip(s.Project), clip(p.entry.Project))
			continue
		}
		if c.manifest.Query != QueryProject || (s.Project != c.manifest.Project && s.Project != "") {
			continue // the pack does not claim that project's entries
		}
		if s.Size > p.entry.Index {
			c.refuseEntry(CodeState, p, "it covers a tree of size %d, which did not exist yet", s.Size)
			continue
		}
		if held, ok := c.stateHolds(s); !ok {
			c.refuseEntry(CodeState, p, "it counts %d entries of project %q below %d, the pack holds %d, or their digests differ: something was left out or added", s.Count, s.Project, s.Size, held)
		}
		judged[s.Project] = max(judged[s.Project], s.Size)
	}
	if c.manifest.Query != QueryProject {
		c.report.check("completeness", mark, "not claimed: the query is a part of the project (%s)", clip(c.manifest.Query))
		return
	}
	size, ok := judged[c.manifest.Project]
	if !ok {
		c.report.add(refuse(CodeState, "", "no project-state of %q is in the pack, so nothing bounds what it may have left out", clip(c.manifest.Project)))
	}
	c.report.check("completeness", mark, "every entry of the project below %d, by the count and Merkle root of its project-state", size)
	if _, platform := judged[""]; !platform && c.manifest.Project != "" && c.report.Absent > 0 {
		c.report.NotProven = append(c.report.NotProven,
			"No project-state covers the entries above projects (keys, accounts): that none of them was left out is the exporter's word.")
	}
}

// stateHolds recomputes count and root of a project-state. An erased entry has
// no bundle any more, but its erasure names its digest. An erasure above
// projects does not say whose entries it erased, so both readings are tried:
// none of them, or all, were of this project.
func (c *checker) stateHolds(s *attest.ProjectState) (held int, ok bool) {
	for _, above := range []bool{false, true} {
		paes := c.projectPAEs(s.Project, s.Size, above)
		root, err := StateRoot(paes)
		if err == nil && int64(len(paes)) == s.Count && hex.EncodeToString(root[:]) == s.Root {
			return len(paes), true
		}
		held = max(held, len(paes))
	}
	return held, false
}

// projectPAEs are the PAE digests of a project's entries below size, in log
// order, with those that were erased by erasures of the project and, if above,
// by erasures above projects.
func (c *checker) projectPAEs(project string, size int64, above bool) []string {
	paes := map[int64]string{}
	for _, p := range c.entries {
		if p.entry.Project == project {
			paes[p.entry.Index] = p.entry.PAE
		}
		v := facts[attest.Erasure](p)
		counts := p.entry.Project == project
		if p.entry.Project == "" {
			counts = above
		}
		if v == nil || !counts {
			continue
		}
		for _, ref := range v.Entries {
			if c.at(ref.Index) == nil {
				paes[ref.Index] = ref.PAE
			}
		}
	}
	indexes := make([]int64, 0, len(paes))
	for index := range paes {
		if index < size {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	out := make([]string, len(indexes))
	for i, index := range indexes {
		out[i] = paes[index]
	}
	return out
}

// checkLineage recomputes lineage.json.
func (c *checker) checkLineage() {
	mark := len(c.report.Refusals)
	graph := make([]GraphEntry, len(c.entries))
	for i, p := range c.entries {
		graph[i] = p.graphEntry()
	}
	want, err := Graph(c.manifest.Project, c.cp.Size, graph)
	if err != nil || !bytes.Equal(want, c.fixed[LineageFile]) {
		c.report.add(refuse(CodeLineage, LineageFile, "it is not the graph that the statements give"))
	}
	c.report.check("lineage", mark, "the graph is the one that the signed relations give")
}
