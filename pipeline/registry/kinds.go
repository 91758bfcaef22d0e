package registry

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"affidavit/attest"
	"affidavit/lineage"
	"affidavit/rbac/sod"
)

// Kinds returns this package's rows of the table of Kinds.
func Kinds() []lineage.Kind {
	return []lineage.Kind{
		{Name: attest.KindInventory, Check: checkInventory, Project: projectInventory},
		{Name: attest.KindModelSignature, Check: checkSignature, Project: projectNothing},
		{Name: attest.KindRegistration, Check: checkRegistration, Project: projectRegistration},
	}
}

// InventoryRow is a row of cur_inventory.
type InventoryRow struct {
	Project   string `gorm:"primaryKey"`
	Model     string `gorm:"primaryKey"`
	Tier      string
	Owner     string
	Developer string
	Entry     int64
}

// TableName implements gorm's Tabler.
func (InventoryRow) TableName() string { return "cur_inventory" }

// VersionRow is a row of versions.
type VersionRow struct {
	Entry    int64 `gorm:"primaryKey;autoIncrement:false"`
	Project  string
	Model    string
	Version  string
	Root     string
	Artefact string
	RunEntry int64
}

// TableName implements gorm's Tabler.
func (VersionRow) TableName() string { return "versions" }

func checkInventory(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.InventoryEntry
	if err := e.Decode(&p); err != nil {
		return err
	}
	if !isTerm(p.Model) {
		return lineage.Errf(lineage.CodeInvalid, "model", "%q is no model name", p.Model).WithRemedy("use 1–64 lower-case letters, digits and hyphens")
	}
	for _, f := range []struct{ field, value string }{{"exposure", p.Exposure}, {"riskTier", p.RiskTier}} {
		if f.value != "low" && f.value != "medium" && f.value != "high" {
			return lineage.Errf(lineage.CodeInvalid, f.field, "%q is not one of low, medium, high", f.value)
		}
	}
	digest, err := attest.PredicateDigest(e.Predicate())
	if err != nil {
		return err
	}
	if !e.Has(attest.RelGenerated, attest.ArtefactInventory, digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say: generated inventory %s", digest)
	}
	owns, err := r.HasRole(p.Owner, e.Project, sod.RoleModelOwner)
	if err != nil {
		return err
	}
	if !owns {
		return lineage.Errf(lineage.CodeRefused, "owner", "%q does not hold the role %s in project %q", p.Owner, sod.RoleModelOwner, e.Project).WithRemedy("an admin grants it")
	}
	dev, err := r.Actor(p.Developer)
	if lineage.CodeOf(err) == lineage.CodeNotFound || err == nil && dev.Type != lineage.ActorPerson {
		return lineage.Errf(lineage.CodeInvalid, "developer", "no person %q is enrolled", p.Developer)
	}
	if err != nil {
		return err
	}
	return checkTakeover(r, e, p.Model)
}

// checkTakeover: while a model's owner holds the role, only they change the
// entry; else any model owner could make themselves the one who accepts.
func checkTakeover(r *lineage.ReadTx, e *lineage.Entry, model string) error {
	var old InventoryRow
	err := r.First(&old, "project = ? AND model = ?", e.Project, model)
	if lineage.CodeOf(err) == lineage.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	owns, err := r.HasRole(old.Owner, e.Project, sod.RoleModelOwner)
	if err != nil || !owns || old.Owner == e.Actor {
		return err
	}
	return lineage.Errf(lineage.CodeForbidden, "model", "%q is owned by %s, who alone changes its inventory entry", model, old.Owner).
		WithRemedy("ask the owner to name another owner")
}

func projectInventory(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.InventoryEntry
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Save(&InventoryRow{Project: e.Project, Model: p.Model, Tier: p.RiskTier, Owner: p.Owner, Developer: p.Developer, Entry: e.Index})
}

// checkSignature recomputes the root from the files listed.
func checkSignature(_ context.Context, _ *lineage.ReadTx, e *lineage.Entry) error {
	var p attest.OMS
	if err := e.Decode(&p); err != nil {
		return err
	}
	files := make(map[string][32]byte, len(p.Resources))
	for i, res := range p.Resources {
		field := fmt.Sprintf("resources[%d]", i)
		raw, err := hex.DecodeString(res.Digest)
		if err != nil || len(raw) != 32 || res.Algorithm != "sha256" {
			return lineage.Errf(lineage.CodeInvalid, field, "needs a SHA-256 in lower-case hex")
		}
		if _, dup := files[res.Name]; dup || !cleanPath(res.Name) {
			return lineage.Errf(lineage.CodeInvalid, field, "%q is listed twice or is no clean relative path", res.Name)
		}
		files[res.Name] = [32]byte(raw)
	}
	want, root := attest.OMSPredicate(files)
	if len(files) == 0 || !slices.Equal(want.Resources, p.Resources) {
		return lineage.Errf(lineage.CodeInvalid, "resources", "must list the files ordered by path, component by component")
	}
	if s := p.Serialization; s.Method != want.Serialization.Method || s.HashType != want.Serialization.HashType || s.AllowSymlinks || len(s.IgnorePaths) > 0 {
		return lineage.Errf(lineage.CodeInvalid, "serialization", "must be method files, hash_type sha256, no symbolic links, nothing ignored")
	}
	digest := hex.EncodeToString(root[:])
	if len(e.Statement.Subject) != 1 || e.Statement.Subject[0].Digest["sha256"] != digest || !e.Has(attest.RelGenerated, attest.ArtefactVersion, digest) {
		return lineage.Errf(lineage.CodeInvalid, "subject", "must be the root of the files alone, %s, and the relations say: generated version", digest)
	}
	served := e.Related(attest.RelUsed)
	if len(served) != 1 || served[0].Kind != attest.ArtefactModel || !lists(p, served[0].Digest) {
		return lineage.Errf(lineage.CodeInvalid, "relations", "must say of one of the files, which is served: used model")
	}
	return nil
}

func lists(p attest.OMS, digest string) bool {
	return slices.ContainsFunc(p.Resources, func(r attest.OMSResource) bool { return r.Digest == digest })
}

// projectNothing: a signature is read through the registration that cites it.
func projectNothing(context.Context, *lineage.WriteTx, *lineage.Entry) error { return nil }

func projectRegistration(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var p attest.Registration
	if err := e.Decode(&p); err != nil {
		return err
	}
	return w.Insert(&VersionRow{Entry: e.Index, Project: e.Project, Model: p.Model, Version: p.Version, Root: p.Root, Artefact: p.Artefact, RunEntry: p.Run.Index})
}

// isTerm: models are named in addresses.
func isTerm(s string) bool {
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
