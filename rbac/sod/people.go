package sod

import (
	"fmt"
	"sort"
	"time"

	"affidavit/attest"
)

// KeyValid returns nil when a key could sign for an actor at an index:
// enrolled before it, not revoked before it, not declared compromised as of a
// moment at or before it, and not of a service account that is switched off.
// It knows of every revocation in the history, also those logged later; ask
// Before(n) for what was known at a size.
func (h *History) KeyValid(keyID, actor string, at int64) error {
	if err := h.state.keyHeld(keyID, actor, at); err != nil {
		return err
	}
	// An entry that is not loaded was stamped no later than the next one; the
	// revocation itself is loaded and above it, so there is a next one.
	if i := h.search(at); i < len(h.entries) {
		return h.compromised(keyID, actor, at, h.entries[i].Stamp)
	}
	return nil
}

// Signed is KeyValid for an entry with its own stamp, loaded or not.
func (h *History) Signed(e Entry) error {
	if err := h.state.signer(&e); err != nil || e.Identity != "" {
		return err
	}
	return h.compromised(e.KeyID, e.Actor, e.Index, e.Stamp)
}

// Held is KeyHeld for an entry, which may be signed with a certificate.
func (h *History) Held(e Entry) error { return h.state.signer(&e) }

// signer checks the key of an entry, or that the address in its certificate is
// one with which the actor was enrolled before it.
func (s *state) signer(e *Entry) error {
	if e.Identity == "" {
		return s.keyHeld(e.KeyID, e.Actor, e.Index)
	}
	for _, a := range s.emails[e.Actor] {
		if a.index < e.Index && a.email == e.Identity {
			return nil
		}
	}
	return fmt.Errorf("the certificate names %q, which is no address of %s", e.Identity, e.Actor)
}

func (h *History) compromised(keyID, actor string, at int64, stamp time.Time) error {
	rec := h.state.keys[keyID]
	if rec.compromised == nil || stamp.Before(*rec.compromised) || at == rec.revoked {
		return nil
	}
	return fmt.Errorf("key %s of %s was declared compromised as of %s, before entry %d was logged",
		short(keyID), actor, rec.compromised.UTC().Format(time.RFC3339), at)
}

// KeyHeld is KeyValid without regard to compromises declared later. It is the
// test for what takes rights away (a withdrawal, a rejection): that stands.
func (h *History) KeyHeld(keyID, actor string, at int64) error {
	return h.state.keyHeld(keyID, actor, at)
}

func (s *state) keyHeld(keyID, actor string, at int64) error {
	rec := s.keys[keyID]
	switch {
	case rec == nil:
		return fmt.Errorf("key %s is not enrolled; an admin enrols it", short(keyID))
	case rec.actor != actor:
		return fmt.Errorf("key %s belongs to %s, not to %s", short(keyID), rec.actor, actor)
	case rec.enrolled >= at:
		return fmt.Errorf("key %s of %s was enrolled at entry %d, after entry %d", short(keyID), actor, rec.enrolled, at)
	case rec.revoked < at: // the revocation may be signed by the key itself
		return fmt.Errorf("key %s of %s was revoked at entry %d, before entry %d", short(keyID), actor, rec.revoked, at)
	}
	if list := s.accounts[actor]; len(list) > 0 {
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].index < at {
				if !list[i].active {
					return fmt.Errorf("service account %s is switched off since entry %d", actor, list[i].index)
				}
				return nil
			}
		}
	}
	return nil
}

// CheckEnrol judges the enrolment of a key: nil, or the rule that it breaks.
func (h *History) CheckEnrol(k attest.KeyEvent) *Violation { return h.state.checkEnrol(k) }

func (s *state) checkEnrol(k attest.KeyEvent) *Violation {
	bad := func(format string, args ...any) *Violation {
		return &Violation{Code: CodeKey, Person: k.Actor, Words: fmt.Sprintf(format, args...)}
	}
	if rec := s.keys[k.KeyID]; rec != nil {
		return bad("key %s is enrolled already, for %s; a key is enrolled once and never comes back", short(k.KeyID), rec.actor)
	}
	switch {
	case k.Actor == "" || k.KeyID == "":
		return bad("actor and keyId must not be empty")
	case len(k.PublicKey) > 0 && attest.KeyID(k.PublicKey) != k.KeyID:
		return bad("keyId is not the SHA-256 of publicKey")
	}
	if _, account := s.accounts[k.Actor]; account && (k.Name != "" || k.Email != "") {
		return bad("%s is a service account; leave name and email empty", k.Actor)
	}
	return nil
}

// KeyHolder returns the actor for whom a key was ever enrolled.
func (h *History) KeyHolder(keyID string) (string, bool) {
	if rec := h.state.keys[keyID]; rec != nil {
		return rec.actor, true
	}
	return "", false
}

// owner returns who answers for a service account at an index ("" when nobody
// does) and whether the actor is a service account at all. Ownership counts
// from the entry after the one that says it.
func (s *state) owner(actor string, at int64) (string, bool) {
	list := s.accounts[actor]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].index < at {
			return list[i].owner, true
		}
	}
	return "", len(list) > 0
}

// person returns the person behind an actor, or the actor.
func (s *state) person(actor string, at int64) string {
	if owner, account := s.owner(actor, at); account && owner != "" {
		return owner
	}
	return actor
}

// IsPerson reports whether an actor was enrolled as a person before an index.
func (h *History) IsPerson(actor string, at int64) bool { return h.state.isPerson(actor, at) }

func (s *state) isPerson(actor string, at int64) bool {
	first, ok := s.people[actor]
	if !ok || first >= at {
		return false
	}
	_, account := s.accounts[actor]
	return !account
}

// IsAccount reports whether an actor is a service account.
func (h *History) IsAccount(actor string) bool { _, ok := h.state.accounts[actor]; return ok }

// Humans returns the people behind the entry at an index, sorted: its signer,
// the person on whose behalf it was signed, the holder of its key, and for
// each of them that is a service account its owner at that index. unknown
// lists, sorted, actors that no person answers for; an entry that is not
// loaded yields one unknown.
func (h *History) Humans(index int64) (people []string, unknown []string) {
	e, ok := h.Entry(index)
	if !ok {
		return nil, []string{fmt.Sprintf("entry %d, which is not at hand", index)}
	}
	return h.humans(&e)
}

// HumansOf is Humans for an entry that need not be loaded.
func (h *History) HumansOf(e Entry) (people []string, unknown []string) { return h.humans(&e) }

func (h *History) humans(e *Entry) (people []string, unknown []string) {
	actors := []string{e.Actor}
	if e.OnBehalfOf != "" {
		actors = appendOnce(actors, e.OnBehalfOf)
	}
	if holder, ok := h.KeyHolder(e.KeyID); ok {
		actors = appendOnce(actors, holder)
	}
	for _, a := range actors {
		if owner, account := h.state.owner(a, e.Index); account {
			if owner == "" || !h.state.isPerson(owner, e.Index) {
				unknown = appendOnce(unknown, a)
			}
			if owner != "" {
				people = appendOnce(people, owner)
			}
			continue
		}
		if !h.state.isPerson(a, e.Index) {
			unknown = appendOnce(unknown, a)
			continue
		}
		people = appendOnce(people, a)
	}
	sort.Strings(people)
	sort.Strings(unknown)
	return people, unknown
}

func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12] + "…"
	}
	return digest
}
