package pack

import (
	"errors"
	"fmt"
	"sort"
	"time"

	"affidavit/attest"
)

// Code says why a pack was refused. The codes of single bundles (payload,
// signature, certificate, body, index, proof, checkpoint, timestamp,
// statement) are attest's.
type Code = string

// Codes of refusals, in the order in which they are looked for.
const (
	CodeArchiveSize   Code = "archive-size"     // too many or too large files
	CodeBomb          Code = "zip-bomb"         // unpacks to far more than it is
	CodeName          Code = "file-name"        // outside the layout: traversal, link, unknown
	CodeDuplicateName Code = "duplicate-name"   // one name, two files
	CodeManifest      Code = "manifest"         // malformed, or not the one that the export signed
	CodeMissingFile   Code = "missing-file"     // listed, not there
	CodeUnlistedFile  Code = "unlisted-file"    // there, not listed
	CodeFileDigest    Code = "file-digest"      // other bytes than listed
	CodeTrustedRoot   Code = "trusted-root"     // the pack's root contradicts the one from outside
	CodeLogKey        Code = "log-key"          // not the log that was asked for
	CodeGenesis       Code = "genesis"          // entry 0 is missing or names other keys
	CodeCheckpoint    Code = "checkpoint"       // of the pack, or of one bundle
	CodeConsistency   Code = "consistency"      // the export's tree does not continue the pack's
	CodeExport        Code = "export"           // the export attestation does not cover this pack
	CodeDropped       Code = "dropped-bundle"   // signed list and bundles differ
	CodeBundle        Code = "bundle"           // a bundle is not the entry that its name says
	CodeKey           Code = "key"              // not enrolled, revoked or another's at that index
	CodeIdentity      Code = "identity"         // certificate and actor differ
	CodeRole          Code = "role"             // the actor had no role for this step
	CodeGovernance    Code = "governance"       // a grant, key event or the like broke its own rules
	CodeReference     Code = "reference"        // an entry rests on one that the pack lacks or that differs
	CodePolicy        Code = "policy"           // policy file and published policy differ
	CodeDecision      Code = "decision"         // a decision does not bind its request
	CodeDuty          Code = "duty"             // somebody decided on own work
	CodeVerdict       Code = "verdict"          // a gate verdict that does not hold
	CodeDeployment    Code = "deployment"       // deployed without a verdict that holds
	CodePermit        Code = "permit"           // one permit used twice
	CodeDocument      Code = "document"         // not the document that was attested
	CodePDF           Code = "document-signing" // a PDF whose signature does not hold
	CodeState         Code = "project-state"    // entries of the project are missing or added
	CodeLineage       Code = "lineage"          // not the graph of the statements
)

// Refusal is one reason to refuse a pack.
type Refusal struct {
	Code  Code   `json:"code"`
	File  string `json:"file,omitempty"`
	Index int64  `json:"index"`          // log index, -1 when it is about no entry
	Kind  string `json:"kind,omitempty"` // of the entry
	Words string `json:"words"`
}

// Error makes a Refusal an error.
func (r *Refusal) Error() string {
	switch {
	case r.File != "":
		return r.Code + ": " + r.File + ": " + r.Words
	case r.Index >= 0:
		return fmt.Sprintf("%s: entry %d (%s): %s", r.Code, r.Index, r.Kind, r.Words)
	}
	return r.Code + ": " + r.Words
}

func refuse(code Code, file, format string, args ...any) *Refusal {
	r := &Refusal{Code: code, File: file, Index: -1, Words: fmt.Sprintf(format, args...)}
	if index, kind, _, ok := splitBundlePath(file); ok {
		r.Index, r.Kind = index, kind
	}
	return r
}

// Check is one line of what was verified.
type Check struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Words string `json:"words"`
}

// Decision is one decision or acceptance, as judged again from the entries.
type Decision struct {
	Index    int64     `json:"index"`
	Kind     string    `json:"kind"`
	Actor    string    `json:"actor"`
	Role     string    `json:"role"`
	Outcome  string    `json:"outcome"`
	Model    string    `json:"model"`
	Version  string    `json:"version"`
	Stage    string    `json:"stage"`
	Logged   time.Time `json:"logged"`
	Expires  time.Time `json:"expires"`
	Holds    bool      `json:"holds"` // bound to its request, and no contributor's
	Contends string    `json:"contends,omitempty"`
}

// Judged is one gate verdict or deployment, judged again.
type Judged struct {
	Index  int64  `json:"index"`
	Kind   string `json:"kind"`
	Model  string `json:"model"`
	Stage  string `json:"stage"`
	Claims string `json:"claims"` // what the entry says
	Holds  bool   `json:"holds"`  // what the entries below it say
	Words  string `json:"words"`
	// Since says, for a deployment that held, what would speak against it at
	// the pack's checkpoint: a later withdrawal, revocation or expiry.
	Since string `json:"since,omitempty"`
}

// Report is the outcome of Verify.
type Report struct {
	// Anchored is true when a trust root or log key from outside says whose log it is.
	Anchored bool   `json:"anchored"`
	Anchor   string `json:"anchor"` // in words
	Project  string `json:"project"`
	Query    string `json:"query"`
	Origin   string `json:"origin"`
	TreeSize int64  `json:"treeSize"`
	Root     string `json:"root"`
	// Files and Entries count what was verified; Absent counts the entries
	// of the log below TreeSize that the pack does not hold.
	Files    int   `json:"files"`
	Entries  int   `json:"entries"`
	Absent   int64 `json:"absent"`
	ExportAt int64 `json:"exportIndex"`
	// Exporter is who signed the export.
	Exporter  string     `json:"exporter"`
	Checks    []Check    `json:"checks"`
	Refusals  []Refusal  `json:"refusals"`
	Decisions []Decision `json:"decisions"`
	Judged    []Judged   `json:"judged"`
	// NotProven says, one sentence each, what this verification leaves open.
	NotProven []string `json:"notProven"`
}

// Verified reports whether nothing was refused; an unanchored pack can be
// verified in itself and still be somebody else's.
func (r *Report) Verified() bool { return len(r.Refusals) == 0 }

// Exit codes of the verify command.
const (
	ExitVerified   = 0
	ExitRefused    = 1
	ExitUnreadable = 2
	ExitUnanchored = 3
)

// Exit maps the report to the exit code of the verify command.
func (r *Report) Exit() int {
	switch {
	case !r.Verified():
		return ExitRefused
	case !r.Anchored:
		return ExitUnanchored
	}
	return ExitVerified
}

// check records one line; it holds when no refusal was added since mark.
func (r *Report) check(name string, mark int, format string, args ...any) {
	n := len(r.Refusals) - mark
	words := fmt.Sprintf(format, args...)
	if n == 1 {
		words = r.Refusals[mark].Error()
	} else if n > 1 {
		words = fmt.Sprintf("%d refusals, the first: %s", n, r.Refusals[mark].Error())
	}
	r.Checks = append(r.Checks, Check{Name: name, OK: n == 0, Words: words})
}

// add records refusals; other errors must be returned as unreadable.
func (r *Report) add(err error) {
	if err == nil {
		return
	}
	var own *Refusal
	if errors.As(err, &own) {
		r.Refusals = append(r.Refusals, *own)
		return
	}
	r.Refusals = append(r.Refusals, Refusal{Code: CodeManifest, Index: -1, Words: err.Error()})
}

// addBundle records what the verifier of single bundles said about one.
func (r *Report) addBundle(file string, index int64, err error) {
	var own *Refusal
	if errors.As(err, &own) {
		r.Refusals = append(r.Refusals, *own)
		return
	}
	out := refuse(CodeBundle, file, "%v", err)
	out.Index = index
	var single *attest.Refusal
	if errors.As(err, &single) {
		out.Code, out.Words = single.Code, single.Where+": "+single.Words
	}
	r.Refusals = append(r.Refusals, *out)
}

// sortRefusals orders refusals of bundles that were verified in parallel.
func sortRefusals(list []Refusal) {
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].Index != list[j].Index {
			return list[i].Index < list[j].Index
		}
		return list[i].Code < list[j].Code
	})
}
