package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"affidavit/attest"
	"affidavit/lineage"
)

// maxProfile bounds the profile that a data version carries; a statement has
// a limit, and a very wide table's profile is left out rather than refused.
const maxProfile = 256 << 10

// Register makes the result of a data-version step: t as read from content,
// the bytes of its file, which are kept as a blob.
func Register(t *Table, content []byte, name, version, origin, licence string) (lineage.Result, error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	if digest != t.FileDigest() {
		return lineage.Result{}, lineage.Errf(lineage.CodeInvalid, "content", "has digest %s, the table was read from %q", digest, t.FileDigest()).
			WithRemedy("register the very bytes that were read")
	}
	profile := t.Profile()
	p := attest.DataVersion{
		Name: name, Version: version, MediaType: "text/csv", Digest: digest, RowDigest: profile.RowsDigest, Rows: int64(t.Rows()),
		Origin: origin, Licence: licence,
	}
	for _, c := range profile.Columns {
		p.Columns = append(p.Columns, attest.Column{Name: c.Name, Type: string(c.Type), Role: string(c.Role), Missing: int64(c.Missing)})
	}
	raw, err := attest.CanonicalJSON(profile)
	if err != nil {
		return lineage.Result{}, &lineage.Error{Code: lineage.CodeInvalid, Field: "profile", Message: "has no canonical form", Err: err}
	}
	if len(raw) <= maxProfile {
		p.Profile = raw
	}
	return lineage.Result{
		Predicate: p,
		Subjects:  []attest.Subject{{Name: name + ".csv", Digest: map[string]string{"sha256": digest}}},
		Relations: []attest.Relation{{Type: attest.RelGenerated, Ref: DataRef(p)}},
		Blobs:     []lineage.Blob{{MediaType: p.MediaType, Content: content}},
	}, nil
}

// DataRef names a data version's file as a node of the graph.
func DataRef(p attest.DataVersion) lineage.Ref {
	return lineage.Ref{Kind: attest.ArtefactData, Digest: p.Digest, Name: p.Name + " " + p.Version}
}

// ValidationResult makes the result of a data-validation step from the report
// of a suite on data: FAILED when an expectation of severity error broke,
// WARNED when only warnings did. The step uses data; it need not be pinned.
func ValidationResult(report *Report, data lineage.Ref) (lineage.Result, error) {
	if report.FileDigest != data.Digest {
		return lineage.Result{}, lineage.Errf(lineage.CodeInvalid, "report", "is about file %q, not about data %s", report.FileDigest, data.Digest).
			WithRemedy("validate the table as it was read from the registered file")
	}
	details, err := attest.CanonicalJSON(report)
	if err != nil {
		return lineage.Result{}, &lineage.Error{Code: lineage.CodeInvalid, Field: "report", Message: "has no canonical form", Err: err}
	}
	sum := sha256.Sum256(details)
	digest := hex.EncodeToString(sum[:])
	p := attest.TestResult{
		Result: report.result(), Details: json.RawMessage(details),
		Configuration: []attest.ResourceDescriptor{
			{Name: "data", Digest: map[string]string{"sha256": data.Digest}},
			{Name: "expectations", Digest: map[string]string{"sha256": report.SuiteDigest}},
		},
	}
	for _, c := range report.Checks {
		switch {
		case c.Passed:
			p.PassedTests = append(p.PassedTests, c.Name)
		case c.Severity == SeverityWarn:
			p.WarnedTests = append(p.WarnedTests, c.Name)
		default:
			p.FailedTests = append(p.FailedTests, c.Name)
		}
	}
	return lineage.Result{
		Predicate: p,
		Subjects:  []attest.Subject{{Name: data.Name, Digest: map[string]string{"sha256": data.Digest}}},
		Relations: []attest.Relation{
			{Type: attest.RelUsed, Ref: data},
			{Type: attest.RelPrepared, Ref: data},
			{Type: attest.RelGenerated, Ref: lineage.Ref{Kind: attest.ArtefactReport, Digest: digest, Name: "validation of " + data.Name}},
		},
		Blobs: []lineage.Blob{{MediaType: "application/json", Content: details}},
	}, nil
}

func (r *Report) result() string {
	switch {
	case r.Errors > 0 || !r.Passed:
		return attest.ResultFailed
	case r.Warnings > 0:
		return attest.ResultWarned
	}
	return attest.ResultPassed
}
