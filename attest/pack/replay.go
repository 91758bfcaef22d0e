package pack

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// replay rebuilds from the entries alone who could do what, and holds every
// entry against it. False means that there is nothing to judge duties by.
func (c *checker) replay(context.Context) bool {
	if c.broken > 0 {
		// Judged on what is left, others would be blamed for what is missing.
		c.report.Checks = append(c.report.Checks, Check{Name: "duties", Words: fmt.Sprintf("not judged: %d attestations were refused", c.broken)})
		return false
	}
	mark := len(c.report.Refusals)
	c.checkGenesis()
	list := make([]sod.Entry, len(c.entries))
	for i, p := range c.entries {
		list[i] = p.entry
	}
	h, err := sod.NewHistory(list)
	if err != nil {
		c.report.add(refuse(CodeGovernance, "", "%v", err))
		c.report.check("governance", mark, "")
		return false
	}
	c.history = h
	grants := 0
	for _, p := range c.entries {
		if GovernanceKind(p.entry.Kind) {
			grants++
		}
	}
	for _, v := range h.Refusals() {
		if v.Code == sod.CodeCompromised || v.Code == sod.CodeErased {
			// Right when it was logged, void since: an honest log holds such entries.
			c.report.NotProven = append(c.report.NotProven, v.Words+".")
			continue
		}
		c.report.Refusals = append(c.report.Refusals, Refusal{Code: CodeGovernance, Index: v.Entry, Kind: kindAt(c.at(v.Entry)), Words: v.Words})
	}
	c.report.check("governance", mark, "%d grants, keys, accounts, policies and ownerships replayed, each within its own rules", grants)

	mark = len(c.report.Refusals)
	c.checkKeyFiles()
	emails := c.emails()
	voided := 0
	for _, p := range c.entries {
		voided += c.checkSigner(p, emails)
	}
	if e := c.export; e != nil {
		c.checkExporter(e, emails)
	}
	c.report.check("signers", mark, "the key of each of %d entries was its actor's at its index", len(c.entries))
	if voided > 0 {
		c.report.NotProven = append(c.report.NotProven, fmt.Sprintf(
			"%d entries were signed by keys that were later declared compromised as of an earlier time: they stood when logged and are void since.", voided))
	}
	mark = len(c.report.Refusals)
	for _, p := range c.entries {
		c.checkPlace(p)
	}
	c.report.check("roles", mark, "the actor of each entry could submit its kind at its index")
	return true
}

// checkKeyFiles: a key file holds the key that its name says.
func (c *checker) checkKeyFiles() {
	for _, name := range c.archive.names {
		if class, _, _ := classify(name); class != classKey {
			continue
		}
		b, err := c.archive.Read(name)
		if err != nil {
			c.report.add(err)
			continue
		}
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 || keyPath(attest.KeyID(block.Bytes)) != name {
			c.report.add(refuse(CodeKey, name, "it is not the public key that its name says"))
		}
	}
}

// address is an e-mail address with which an actor was enrolled.
type address struct {
	index int64
	email string
}

// emails returns the addresses of each person, in log order.
func (c *checker) emails() map[string][]address {
	out := map[string][]address{}
	for _, p := range c.entries {
		switch p.entry.Kind {
		case attest.KindGenesis:
			var g attest.Genesis
			if json.Unmarshal(p.entry.Predicate, &g) == nil {
				out[g.Admin.Actor] = append(out[g.Admin.Actor], address{-1, g.Admin.Email})
			}
		case attest.KindKeyEvent:
			var k attest.KeyEvent
			if json.Unmarshal(p.entry.Predicate, &k) == nil && k.Action == attest.ActionEnrol && k.Email != "" {
				out[k.Actor] = append(out[k.Actor], address{p.entry.Index, k.Email})
			}
		}
	}
	return out
}

// checkSigner holds the key or certificate of an entry against its actor. It
// returns 1 when the entry stood but is void since.
func (c *checker) checkSigner(p *proven, emails map[string][]address) int {
	e := &p.entry
	if p.notBefore.Size > e.Index {
		c.refuseEntry(CodeReference, p, "it claims to have seen a tree of size %d, which did not exist yet", p.notBefore.Size)
	}
	if p.identity != "" {
		if words := identityOf(e, p.identity, emails); words != "" {
			c.refuseEntry(CodeIdentity, p, "%s", words)
		}
		return 0
	}
	if err := c.history.KeyHeld(e.KeyID, e.Actor, e.Index); err != nil {
		c.refuseEntry(CodeKey, p, "%v", err)
		return 0
	}
	if c.history.KeyValid(e.KeyID, e.Actor, e.Index) != nil && e.Kind != attest.KindWithdrawal {
		return 1
	}
	return 0
}

// identityOf compares a certificate's address with those of the actor.
func identityOf(e *sod.Entry, identity string, emails map[string][]address) string {
	for _, a := range emails[e.Actor] {
		if a.index < e.Index && a.email == identity {
			return ""
		}
	}
	return fmt.Sprintf("its certificate is for %s, which is not an address of %s", clip(identity), clip(e.Actor))
}

// checkExporter is checkSigner for the export: what happened between the
// pack's checkpoint and the export is not in the pack.
func (c *checker) checkExporter(e *exported, emails map[string][]address) {
	words := ""
	if e.identity != "" {
		words = identityOf(&e.entry, e.identity, emails)
	} else if err := c.history.KeyHeld(e.entry.KeyID, e.entry.Actor, c.cp.Size); err != nil {
		words = err.Error()
	}
	if words != "" {
		c.report.add(refuse(CodeKey, ExportFile, "%s", words))
	}
}

// checkPlace holds an entry's actor against the table of roles.
func (c *checker) checkPlace(p *proven) {
	e := &p.entry
	if e.OnBehalfOf != "" && (!c.history.IsAccount(e.Actor) || !c.history.IsPerson(e.OnBehalfOf, e.Index)) {
		c.refuseEntry(CodeRole, p, "only a service account acts for a person; %s acted for %s", clip(e.Actor), clip(e.OnBehalfOf))
	}
	if e.Kind == attest.KindGenesis || GovernanceKind(e.Kind) {
		return // sod judged it by its own rules
	}
	roles := rolesFor(e.Kind)
	for _, role := range roles {
		if c.history.HasRole(e.Actor, e.Project, role, e.Index) {
			return
		}
	}
	c.refuseEntry(CodeRole, p, "%s held none of the roles that may log it in project %q then: %v", clip(e.Actor), clip(e.Project), roles)
}

func kindAt(p *proven) string {
	if p == nil {
		return ""
	}
	return p.entry.Kind
}
