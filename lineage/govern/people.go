package govern

import (
	"context"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/lineage"
)

func checkKeyEvent(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var k attest.KeyEvent
	if err := e.Decode(&k); err != nil {
		return err
	}
	switch k.Action {
	case attest.ActionEnrol:
		return checkEnrol(r, e, k)
	case attest.ActionRevoke:
		return checkRevoke(r, e, k)
	}
	return lineage.Errf(lineage.CodeInvalid, "action", "%q is neither enrol nor revoke", k.Action)
}

func checkEnrol(r *lineage.ReadTx, e *lineage.Entry, k attest.KeyEvent) error {
	if !isName(k.Actor) {
		return lineage.Errf(lineage.CodeInvalid, "actor", "%q is no actor id", k.Actor).WithRemedy("use 1–64 lower-case letters, digits and hyphens")
	}
	if _, err := keys.ParsePublicKey(k.PublicKey); err != nil {
		return &lineage.Error{Code: lineage.CodeInvalid, Field: "publicKey", Message: "is no P-256 key", Remedy: "enrol an ECDSA P-256 key", Err: err}
	}
	if attest.KeyID(k.PublicKey) != k.KeyID {
		return lineage.Errf(lineage.CodeInvalid, "keyId", "is not the SHA-256 of publicKey")
	}
	if err := unique(r, &lineage.Key{}, "keyId", "key_id = ?", k.KeyID); err != nil {
		return err
	}
	h, err := duties(r, e)
	if err != nil {
		return err
	}
	return refusal("keyId", h.CheckEnrol(k))
}

func checkRevoke(r *lineage.ReadTx, e *lineage.Entry, k attest.KeyEvent) error {
	var key lineage.Key
	if err := r.First(&key, "key_id = ? AND actor = ?", k.KeyID, k.Actor); err != nil {
		if lineage.CodeOf(err) == lineage.CodeNotFound {
			return lineage.Errf(lineage.CodeNotFound, "keyId", "no key %s of %q is enrolled", k.KeyID, k.Actor)
		}
		return err
	}
	if key.Revoked != nil {
		return lineage.Errf(lineage.CodeConflict, "keyId", "was revoked by entry %d", *key.Revoked)
	}
	if k.CompromisedSince != nil && k.CompromisedSince.After(e.Stamp) {
		return lineage.Errf(lineage.CodeInvalid, "compromisedSince", "lies in the future")
	}
	return nil
}

func projectKeyEvent(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var k attest.KeyEvent
	if err := e.Decode(&k); err != nil {
		return err
	}
	if k.Action == attest.ActionRevoke {
		return revoke(w, e, k)
	}
	if _, err := w.Actor(k.Actor); lineage.CodeOf(err) == lineage.CodeNotFound {
		// A first enrolment registers the person; accounts are registered before.
		if err := w.Insert(&lineage.Actor{Actor: k.Actor, Type: lineage.ActorPerson, Active: 1, Entry: e.Index}); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return w.Insert(&lineage.Key{KeyID: k.KeyID, Actor: k.Actor, Enrolled: e.Index, SPKI: k.PublicKey, Entry: e.Index})
}

func revoke(w *lineage.WriteTx, e *lineage.Entry, k attest.KeyEvent) error {
	var key lineage.Key
	if err := w.First(&key, "key_id = ?", k.KeyID); err != nil {
		return err
	}
	key.Revoked, key.Entry = &e.Index, e.Index
	if k.CompromisedSince != nil {
		from, err := w.FirstAtOrAfter(*k.CompromisedSince)
		if err != nil {
			return err
		}
		key.VoidFrom = &from
	}
	return w.Save(&key)
}

func checkAccount(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var a attest.ServiceAccount
	if err := e.Decode(&a); err != nil {
		return err
	}
	if !isName(a.Account) {
		return lineage.Errf(lineage.CodeInvalid, "account", "%q is no account id", a.Account).WithRemedy("use 1–64 lower-case letters, digits and hyphens")
	}
	owner, err := r.Actor(a.Owner)
	if lineage.CodeOf(err) == lineage.CodeNotFound || err == nil && owner.Type != lineage.ActorPerson {
		return lineage.Errf(lineage.CodeInvalid, "owner", "no person %q is enrolled", a.Owner).WithRemedy("an account answers to a person: enrol the owner first")
	}
	if err != nil {
		return err
	}
	if old, err := r.Actor(a.Account); err == nil && old.Type == lineage.ActorPerson {
		return lineage.Errf(lineage.CodeConflict, "account", "%q is a person", a.Account)
	}
	h, err := duties(r, e)
	if err != nil {
		return err
	}
	return refusal("account", h.CheckAccount(a, e.Index))
}

func projectAccount(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var a attest.ServiceAccount
	if err := e.Decode(&a); err != nil {
		return err
	}
	row := lineage.Actor{Actor: a.Account, Type: lineage.ActorService, Owner: a.Owner, Entry: e.Index}
	if a.Active {
		row.Active = 1
	}
	return w.Save(&row)
}

func checkGrant(_ context.Context, r *lineage.ReadTx, e *lineage.Entry) error {
	var g attest.RoleGrant
	if err := e.Decode(&g); err != nil {
		return err
	}
	if g.Action != attest.ActionGrant && g.Action != attest.ActionRevoke {
		return lineage.Errf(lineage.CodeInvalid, "action", "%q is neither grant nor revoke", g.Action)
	}
	if _, err := r.Actor(g.Actor); err != nil {
		if lineage.CodeOf(err) == lineage.CodeNotFound {
			return lineage.Errf(lineage.CodeInvalid, "actor", "no actor %q is enrolled", g.Actor).WithRemedy("enrol a key or register the account first")
		}
		return err
	}
	if g.Project != "" {
		if err := r.First(&ProjectRow{}, "id = ?", g.Project); err != nil {
			if lineage.CodeOf(err) == lineage.CodeNotFound {
				return lineage.Errf(lineage.CodeNotFound, "project", "no project %q", g.Project)
			}
			return err
		}
	}
	held, err := r.HasRole(g.Actor, g.Project, g.Role)
	if err != nil {
		return err
	}
	if held == (g.Action == attest.ActionGrant) {
		return lineage.Errf(lineage.CodeConflict, "role", "%q already stands so for %q", g.Role, g.Actor)
	}
	if g.Action == attest.ActionRevoke {
		return nil
	}
	h, err := duties(r, e)
	if err != nil {
		return err
	}
	return refusal("role", h.CheckGrant(g, e.Actor, e.Index))
}

func projectGrant(_ context.Context, w *lineage.WriteTx, e *lineage.Entry) error {
	var g attest.RoleGrant
	if err := e.Decode(&g); err != nil {
		return err
	}
	row := lineage.Membership{Actor: g.Actor, Project: g.Project, Role: g.Role, Entry: e.Index}
	if g.Action == attest.ActionGrant {
		row.Active = 1
	}
	return w.Save(&row)
}
