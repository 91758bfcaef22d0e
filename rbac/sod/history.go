package sod

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"time"

	"affidavit/attest"
)

// Entry is what this package needs to know of one entry of the log. Index,
// PAE, KeyID and Stamp come from the log, the rest from the signed statement.
type Entry struct {
	Index      int64
	PAE        string // hex SHA-256 of the PAE
	Kind       string
	Project    string
	Actor      string
	OnBehalfOf string
	KeyID      string // hex SHA-256 of the signer's SPKI
	// Identity is the verified e-mail address of the certificate that it was
	// signed with; empty when it was signed with an enrolled key.
	Identity  string
	Stamp     time.Time // the log's timestamp
	Relations []attest.Relation
	Predicate json.RawMessage // nil when erased
}

// Ref names e the way predicates do.
func (e Entry) Ref() attest.EntryRef {
	return attest.EntryRef{Index: e.Index, PAE: e.PAE, Kind: e.Kind}
}

// Governs reports whether entries of a kind decide about people, keys, rules
// or ownership. A History must be given every such entry below the size at
// which it is asked: a missing revocation would be a right that still stands.
func Governs(kind string) bool {
	switch kind {
	case attest.KindGenesis, attest.KindProject, attest.KindKeyEvent, attest.KindServiceAccount,
		attest.KindRoleGrant, attest.KindPolicy, attest.KindInventory:
		return true
	}
	return false
}

// never is an index that no entry has.
const never = int64(math.MaxInt64)

type node struct{ kind, digest string }

// maker is an entry with an Output relation to a node.
type maker struct {
	pos int // position in History.entries
	rel attest.RelationType
}

type grantKey struct{ actor, role, project string }

type change struct {
	index int64
	on    bool
}

type ownership struct {
	index  int64
	owner  string // "" when nobody valid answers for the account
	active bool
}

type keyRecord struct {
	actor       string
	enrolled    int64
	revoked     int64
	compromised *time.Time
}

// address is an e-mail address with which a person was enrolled.
type address struct {
	index int64
	email string
}

type publication struct {
	pos    int
	digest string
	key    policyKey
}

type policyKey struct{ project, name string }

type inventoryKey struct{ project, model string }

// History answers questions about an ordered set of entries. It is immutable
// after NewHistory and safe for concurrent use.
type History struct {
	entries  []Entry
	byPAE    map[string][]int
	makers   map[node][]maker
	origin   map[node]int64 // lowest index that made the node, not merely worked on it
	state    *state
	refusals []Violation
}

// state is what governance entries add up to.
type state struct {
	genesis   bool
	service   string
	people    map[string]int64 // person → index of the first enrolment
	emails    map[string][]address
	keys      map[string]*keyRecord
	accounts  map[string][]ownership
	owned     map[string][]string // person → accounts ever owned, in order
	grants    map[grantKey][]change
	policies  []publication
	inventory map[inventoryKey][]int
}

func newState() *state {
	return &state{people: map[string]int64{}, emails: map[string][]address{}, keys: map[string]*keyRecord{}, accounts: map[string][]ownership{},
		owned: map[string][]string{}, grants: map[grantKey][]change{}, inventory: map[inventoryKey][]int{}}
}

// NewHistory reads entries in log order. Gaps are allowed among entries that
// do not govern (see Governs); what is missing is unknown, never assumed. It
// fails on entries out of order, on time that runs backwards, on relations
// outside the vocabulary and on governance predicates that do not parse.
//
// A governance entry that broke a rule when it was logged has no effect and is
// listed by Refusals. An entry that gives a right (a grant, an enrolment, an
// account, a policy) also falls when its signer's key is later declared
// compromised as of an earlier moment; one that takes a right away stands.
func NewHistory(entries []Entry) (*History, error) {
	h := &History{entries: entries, byPAE: make(map[string][]int, len(entries)),
		makers: make(map[node][]maker, len(entries)), origin: make(map[node]int64, len(entries))}
	for i := range entries {
		if err := h.index(i); err != nil {
			return nil, err
		}
	}
	// The first pass sees each entry with what was known when it was logged,
	// as the sequencer did; the second knows of compromises declared later.
	first := &builder{h: h, st: newState()}
	if err := first.run(); err != nil {
		return nil, err
	}
	second := &builder{h: h, st: newState(), windows: first.st.compromises(), stands: first.taken}
	if err := second.run(); err != nil {
		return nil, err
	}
	h.state, h.refusals = second.st, second.refusals
	return h, nil
}

// index checks the entry at a position and adds it to the graph.
func (h *History) index(pos int) error {
	e := &h.entries[pos]
	if e.Index < 0 || e.PAE == "" {
		return fmt.Errorf("entry at position %d: index must not be negative and pae must not be empty", pos)
	}
	if pos > 0 {
		last := &h.entries[pos-1]
		if e.Index <= last.Index {
			return fmt.Errorf("entry %d follows entry %d: entries must be in log order, each once", e.Index, last.Index)
		}
		if e.Stamp.Before(last.Stamp) {
			return fmt.Errorf("entry %d is stamped before entry %d: the log's time never runs backwards", e.Index, last.Index)
		}
	}
	h.byPAE[e.PAE] = append(h.byPAE[e.PAE], pos)
	for _, r := range e.Relations {
		switch r.Type.Class() {
		case attest.Unknown:
			return fmt.Errorf("entry %d: relation %q is not in the vocabulary", e.Index, r.Type)
		case attest.Output:
			n := node{r.Kind, r.Digest}
			list := h.makers[n]
			if len(list) == 0 || list[len(list)-1].pos != pos {
				h.makers[n] = append(list, maker{pos, r.Type})
			}
			if _, ok := h.origin[n]; !ok && makes(r.Type) {
				h.origin[n] = e.Index
			}
		}
	}
	return nil
}

// makes tells relations that bring a node into being from those that only
// work on it: evaluating a file of unknown origin does not give it an origin.
func makes(r attest.RelationType) bool {
	switch r {
	case attest.RelGenerated, attest.RelPrepared, attest.RelTrained, attest.RelConfigured, attest.RelRegistered:
		return true
	}
	return false
}

// Before returns the history of the entries below index: what a judge at that
// log size knew. Later revocations and compromises are not in it.
func (h *History) Before(index int64) (*History, error) {
	n := h.search(index)
	if n == len(h.entries) {
		return h, nil
	}
	return NewHistory(h.entries[:n:n])
}

// search returns the position of the first entry at or above index.
func (h *History) search(index int64) int {
	return sort.Search(len(h.entries), func(i int) bool { return h.entries[i].Index >= index })
}

// Entry returns the entry at an index, if it is part of the history.
func (h *History) Entry(index int64) (Entry, bool) {
	i := h.search(index)
	if i == len(h.entries) || h.entries[i].Index != index {
		return Entry{}, false
	}
	return h.entries[i], true
}

// Refusals lists governance entries that have no effect, in log order, each
// with the rule that it broke.
func (h *History) Refusals() []Violation { return append([]Violation(nil), h.refusals...) }

// Policy returns the latest effective publication of a policy name in a
// project below an index: signed by a risk officer with a valid key. That is
// the policy in force; earlier digests of the name are superseded.
func (h *History) Policy(project, name string, below int64) (attest.PolicyPublication, Entry, bool) {
	for i := len(h.state.policies) - 1; i >= 0; i-- {
		p := h.state.policies[i]
		e := h.entries[p.pos]
		if p.key != (policyKey{project, name}) || e.Index >= below {
			continue
		}
		var pub attest.PolicyPublication
		if json.Unmarshal(e.Predicate, &pub) != nil {
			return attest.PolicyPublication{}, Entry{}, false
		}
		return pub, e, true
	}
	return attest.PolicyPublication{}, Entry{}, false
}

// OfKinds returns the entries of some kinds below an index, in log order.
func (h *History) OfKinds(below int64, kinds ...string) []Entry {
	var out []Entry
	for i := 0; i < len(h.entries) && h.entries[i].Index < below; i++ {
		for _, k := range kinds {
			if h.entries[i].Kind == k {
				out = append(out, h.entries[i])
			}
		}
	}
	return out
}

// Inventory returns the latest effective inventory entry of a model below an
// index, and its predicate.
func (h *History) Inventory(project, model string, below int64) (attest.InventoryEntry, Entry, bool) {
	list := h.state.inventory[inventoryKey{project, model}]
	for i := len(list) - 1; i >= 0; i-- {
		e := h.entries[list[i]]
		if e.Index >= below {
			continue
		}
		var inv attest.InventoryEntry
		if json.Unmarshal(e.Predicate, &inv) != nil {
			return attest.InventoryEntry{}, Entry{}, false
		}
		return inv, e, true
	}
	return attest.InventoryEntry{}, Entry{}, false
}
