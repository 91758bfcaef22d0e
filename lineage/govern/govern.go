// Package govern holds the Kinds by which the ledger governs itself: genesis,
// projects, people's and machines' keys, accounts, role grants, policies,
// erasures, abandoned steps, and the documents and exports that cite the log.
package govern

import (
	"context"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac/sod"
)

// Kinds returns this package's rows of the table.
func Kinds() []lineage.Kind {
	return []lineage.Kind{
		{Name: attest.KindGenesis, Global: true, Check: checkGenesis, Project: projectGenesis},
		{Name: attest.KindProject, Global: true, Check: checkProject, Project: projectProject, Erasable: []string{"description"}},
		{Name: attest.KindKeyEvent, Global: true, Check: checkKeyEvent, Project: projectKeyEvent, Erasable: []string{"name", "email", "reason"}},
		{Name: attest.KindServiceAccount, Global: true, Check: checkAccount, Project: projectAccount, Erasable: []string{"purpose"}},
		{Name: attest.KindRoleGrant, Global: true, Check: checkGrant, Project: projectGrant, Erasable: []string{"reason"}},
		{Name: attest.KindPolicy, Check: checkPolicy, Project: projectPolicy},
		{Name: attest.KindErasure, Global: true, Check: checkErasure, Project: projectErasure},
		{Name: attest.KindAbandoned, Either: true, Check: checkAbandoned, Project: projectAbandoned, Erasable: []string{"error"}},
		{Name: attest.KindDocument, Check: checkDocument, Project: projectDocument},
		{Name: attest.KindProjectState, Either: true, Check: checkProjectState, Project: projectProjectState},
		{Name: attest.KindExport, Check: checkExport, Project: projectExport},
	}
}

// duties asks rbac/sod with every governing entry below e.
func duties(r *lineage.ReadTx, e *lineage.Entry) (*sod.History, error) {
	return r.History(e.Project, nil, e.Index)
}

// refusal turns a violation of a duty into the ledger's error.
func refusal(field string, v *sod.Violation) error {
	if v == nil {
		return nil
	}
	return lineage.Errf(lineage.CodeForbidden, field, "%s", v.Words)
}

func checkGenesis(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var g attest.Genesis
	if err := e.Decode(&g); err != nil {
		return err
	}
	for field, in := range map[string]attest.Enrolment{"service": g.Service, "admin": g.Admin} {
		if in.Actor == "" || attest.KeyID(in.PublicKey) != in.KeyID {
			return lineage.Errf(lineage.CodeInvalid, field, "names no actor, or a key id that is not its key's")
		}
	}
	if g.Service.Actor == g.Admin.Actor || g.Service.KeyID == g.Admin.KeyID {
		return lineage.Errf(lineage.CodeInvalid, "admin", "the first person and the service must differ in name and key")
	}
	return nil
}

func projectGenesis(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var g attest.Genesis
	if err := e.Decode(&g); err != nil {
		return err
	}
	// The admin answers for the server's own account.
	rows := []any{
		&lineage.Actor{Actor: g.Admin.Actor, Type: lineage.ActorPerson, Active: 1, Entry: e.Index},
		&lineage.Actor{Actor: g.Service.Actor, Type: lineage.ActorService, Owner: g.Admin.Actor, Active: 1, Entry: e.Index},
		&lineage.Key{KeyID: g.Admin.KeyID, Actor: g.Admin.Actor, Enrolled: e.Index, SPKI: g.Admin.PublicKey, Entry: e.Index},
		&lineage.Key{KeyID: g.Service.KeyID, Actor: g.Service.Actor, Enrolled: e.Index, SPKI: g.Service.PublicKey, Entry: e.Index},
		&lineage.Membership{Actor: g.Admin.Actor, Role: sod.RoleAdmin, Active: 1, Entry: e.Index},
		&lineage.Membership{Actor: g.Service.Actor, Role: sod.RoleMachine, Active: 1, Entry: e.Index},
	}
	return insertAll(w, rows)
}

func insertAll(w *lineage.WriteTx, rows []any) error {
	for _, row := range rows {
		if err := w.Insert(row); err != nil {
			return err
		}
	}
	return nil
}

// ProjectRow is a row of projects.
type ProjectRow struct {
	Entry int64 `gorm:"primaryKey;autoIncrement:false"`
	ID    string
}

// TableName implements gorm's Tabler.
func (ProjectRow) TableName() string { return "projects" }

func checkProject(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.Project
	if err := e.Decode(&p); err != nil {
		return err
	}
	if !isName(p.ID) {
		return lineage.Errf(lineage.CodeInvalid, "id", "%q is no project id", p.ID).WithRemedy("use 1–64 lower-case letters, digits and hyphens")
	}
	return unique(r, &ProjectRow{}, "id", "id = ?", p.ID)
}

func projectProject(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.Project
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&ProjectRow{Entry: e.Index, ID: p.ID})
}

// unique refuses when a row of that form is there already.
func unique(r *lineage.ReadTx, row any, field, cond string, args ...any) error {
	switch err := r.First(row, cond, args...); lineage.CodeOf(err) {
	case lineage.CodeNotFound:
		return nil
	case "":
		return lineage.Errf(lineage.CodeConflict, field, "is taken").WithRemedy("choose another; nothing logged is ever replaced")
	default:
		return err
	}
}

// isName: ids are fixed terms, not prose, and appear in addresses.
func isName(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] == '-' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
