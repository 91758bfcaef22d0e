package ledgertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
)

// Open makes a fresh database for one test, which goes when the test ends.
// Again opens another handle on it, as a second server would.
type Open func(t *testing.T) (db *lineage.Database, again func() *lineage.Database)

// Run is the conformance suite: what a ledger promises, on any database.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"Acknowledged", acknowledged},
		{"TwoServers", twoServers},
		{"Again", again},
		{"CulpritFailsAlone", culprit},
		{"CancelledCaller", cancelled},
		{"Refusals", refusals},
		{"Clock", clock},
		{"Intents", intents},
		{"Sweep", sweep},
		{"Queue", queue},
		{"Shutdown", shutdown},
		{"Open", opening},
		{"AppendOnly", appendOnly},
		{"ReadersCannotWrite", readersCannotWrite},
		{"Erasure", erasure},
		{"Graph", graph},
		{"AuditEveryColumn", auditEveryColumn},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// Fact is a Kind for tests: an evaluation with any relations. Its details say
// how it behaves, and its row stands in evaluations.
func Fact() lineage.Kind {
	return lineage.Kind{Name: attest.KindEvaluation, Check: checkFact, Project: projectFact}
}

// FactDetails steer a Fact.
type FactDetails struct {
	N int `json:"n"`
	// Do is "" (stand), "refuse" (Check says no), "error" (Project fails) or
	// "break" (Project violates a constraint of the database).
	Do string `json:"do"`
}

// FactRow is a row of evaluations.
type FactRow struct {
	Entry   int64 `gorm:"primaryKey;autoIncrement:false"`
	Project string
	Kind    string
	Subject string
	Result  string
}

// TableName implements gorm's Tabler.
func (FactRow) TableName() string { return "evaluations" }

func factOf(e *lineage.Entry) (FactDetails, error) {
	var r attest.TestResult
	var d FactDetails
	if err := e.Decode(&r); err != nil {
		return d, err
	}
	return d, json.Unmarshal(r.Details, &d)
}

func checkFact(_ context.Context, _ *lineage.ReadTx, e *lineage.Entry) error {
	d, err := factOf(e)
	if err != nil {
		return err
	}
	if d.Do == "refuse" {
		return lineage.Errf(lineage.CodeRefused, "details", "asks to be refused")
	}
	return nil
}

func projectFact(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	d, err := factOf(e)
	if err != nil {
		return err
	}
	switch d.Do {
	case "error":
		return errors.New("asks to fail")
	case "break": // the row of entry 0's head is there: a primary key twice
		return w.DB().Exec("INSERT INTO projects (entry, id) SELECT entry, id FROM projects").Error
	}
	return w.Insert(&FactRow{Entry: e.Index, Project: e.Project, Kind: e.Kind, Subject: fmt.Sprint(d.N), Result: "PASSED"})
}

// FactStep and FactResult make a Fact.
func FactStep() lineage.Step { return lineage.Step{Kind: attest.KindEvaluation, Project: Project} }

// FactResult makes the result of a Fact.
func FactResult(n int, do string, relations ...attest.Relation) lineage.Result {
	details, _ := json.Marshal(FactDetails{n, do})
	return lineage.Result{Predicate: attest.TestResult{Result: attest.ResultPassed, Details: details}, Relations: relations}
}

// Data is an artefact for tests.
func Data(name string) lineage.Ref {
	sum := sha256.Sum256([]byte(name))
	return lineage.Ref{Kind: attest.ArtefactData, Digest: hex.EncodeToString(sum[:])}
}

// world is the suite's: Facts, an engineer, a validator, a machine.
func world(t *testing.T, open Open, opts ...Option) (*World, func() *lineage.Database) {
	t.Helper()
	db, again := open(t)
	w := New(t, []lineage.Kind{Fact()}, append([]Option{WithDB(db)}, opts...)...)
	w.Person("erin-engineer", "engineer")
	w.Person("vera-validator", "validator")
	w.Account("trainer", "erin-engineer")
	return w, again
}

// craft signs a statement without asking the ledger anything: what a client
// with its own tools could send.
func (w *World) craft(signer keys.Signer, edit func(*attest.Step)) *attest.Signed {
	w.T.Helper()
	step := attest.Step{Kind: attest.KindEvaluation, Project: Project, Nonce: nonce(fmt.Sprint(w.T.Name(), time.Now().UnixNano())), Actor: "erin-engineer", Claimed: time.Now().UTC().Truncate(time.Second)}
	edit(&step)
	st, err := attest.NewStatement(step, nil, FactResult(0, "").Predicate)
	if err != nil {
		w.T.Fatal(err)
	}
	signed, err := attest.Sign(context.Background(), st, signer)
	if err != nil {
		w.T.Fatal(err)
	}
	return signed
}

func nonce(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// fieldOf is the field that an error names.
func fieldOf(err error) string {
	var e *lineage.Error
	if errors.As(err, &e) {
		return e.Field
	}
	return ""
}

func size(w *World) (n int64) {
	w.View(func(r *lineage.ReadTx) error { n = r.Size(); return nil })
	return n
}

// audited runs an audit that must find nothing.
func audited(w *World) {
	w.T.Helper()
	rep, err := lineage.Audit(context.Background(), lineage.AuditConfig{DB: w.DB, Kinds: w.Config.Kinds, Root: w.Keys.TrustedRoot()})
	if err != nil {
		w.T.Fatal(err)
	}
	for _, d := range rep.Differences {
		w.T.Error(d)
	}
}
