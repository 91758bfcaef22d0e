package pack

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math"

	"affidavit/attest"
	"affidavit/rbac"
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
		if err := c.addView(p); err != nil {
			c.report.add(refuse(CodeGovernance, "", "%v", err))
			c.report.check("governance", mark, "")
			return false
		}
	}
	c.checkGovernance()
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

// view is what a judge knew up to an entry that declared a compromise.
type view struct {
	until   int64
	history *sod.History
}

// addView keeps the history below an entry that declares a key compromised as
// of an earlier time. Entries up to it were logged without that knowledge and
// are judged without it: a compromise must not make an honest log look forged.
func (c *checker) addView(p *proven) error {
	if p.entry.Kind != attest.KindKeyEvent {
		return nil
	}
	var k attest.KeyEvent
	if json.Unmarshal(p.entry.Predicate, &k) != nil || k.CompromisedSince == nil {
		return nil
	}
	h, err := c.history.Before(p.entry.Index)
	if err != nil {
		return err
	}
	c.views = append(c.views, view{p.entry.Index, h})
	return nil
}

// asOf returns the history by which an entry at an index is judged: it holds
// every entry below, and no compromise declared at or above.
func (c *checker) asOf(index int64) *sod.History {
	for _, v := range c.views {
		if index <= v.until {
			return v.history
		}
	}
	return c.history
}

// checkGovernance refuses grants, keys and the like that had no effect when
// they were logged: a server would not have let them in. Those that lost
// their effect by a compromise declared later are an honest log's, and noted.
func (c *checker) checkGovernance() {
	then := map[int64]bool{}
	from := int64(0)
	for _, v := range append(c.views[:len(c.views):len(c.views)], view{until: math.MaxInt64, history: c.history}) {
		for _, bad := range v.history.Refusals() {
			// Each entry is judged by the first view that holds it.
			if bad.Entry < from || then[bad.Entry] || bad.Code == sod.CodeErased {
				continue
			}
			then[bad.Entry] = true
			c.report.Refusals = append(c.report.Refusals, Refusal{Code: CodeGovernance, Index: bad.Entry, Kind: kindAt(c.at(bad.Entry)), Words: bad.Words})
		}
		from = v.until
	}
	for _, bad := range c.history.Refusals() {
		if !then[bad.Entry] {
			c.report.NotProven = append(c.report.NotProven, "Void since: "+bad.Words+".")
		}
	}
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
	if err := c.asOf(e.Index).KeyHeld(e.KeyID, e.Actor, e.Index); err != nil {
		c.refuseEntry(CodeKey, p, "%v", err)
		return 0
	}
	if c.history.Signed(*e) != nil && e.Kind != attest.KindWithdrawal {
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
	if err := rbac.MaySubmit(c.history, e.entry.Actor, e.entry.Project, e.entry.Kind, c.cp.Size); err != nil {
		c.report.add(refuse(CodeRole, ExportFile, "%v", err))
	}
}

// checkPlace holds an entry's actor against the table of roles.
func (c *checker) checkPlace(p *proven) {
	e := &p.entry
	h := c.asOf(e.Index)
	if e.OnBehalfOf != "" && (!h.IsAccount(e.Actor) || !h.IsPerson(e.OnBehalfOf, e.Index)) {
		c.refuseEntry(CodeRole, p, "only a service account acts for a person; %s acted for %s", clip(e.Actor), clip(e.OnBehalfOf))
	}
	if e.Kind == attest.KindGenesis || GovernanceKind(e.Kind) {
		return // sod judged it by its own rules
	}
	if err := rbac.MaySubmit(h, e.Actor, e.Project, e.Kind, e.Index); err != nil {
		c.refuseEntry(CodeRole, p, "%v, as the log stood then", err)
	}
}

func kindAt(p *proven) string {
	if p == nil {
		return ""
	}
	return p.entry.Kind
}
