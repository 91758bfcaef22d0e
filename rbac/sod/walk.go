package sod

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"affidavit/attest"
)

// Hop is one step upstream: Entry stands in Relation to Node, and was reached
// because the previous hop's entry used Node, or because Node is what is
// decided.
type Hop struct {
	Node     attest.Ref
	Relation attest.RelationType // "" when Node is the entry itself
	Entry    attest.EntryRef
	// Configures is set when Node is the trigger that started the previous
	// hop's entry, or one of the trigger's settings.
	Configures bool
}

// Contributor is a person who worked on a node, by the shortest path.
type Contributor struct {
	Person string
	Entry  attest.EntryRef
	Path   []Hop
}

// UnknownNode is something upstream that cannot be traced to a person.
type UnknownNode struct {
	Node attest.Ref
	// UsedBy is the entry that led here; nil when Node is what was asked for.
	UsedBy *attest.EntryRef
	Words  string
}

// Contributors is the answer of a walk upstream.
type Contributors struct {
	People  []Contributor // sorted by person
	Unknown []UnknownNode // sorted by kind and digest of the node
	Entries []int64       // every entry upstream, ascending
	nodes   map[node]bool
}

// Find returns the contribution of a person, or nil.
func (c *Contributors) Find(person string) *Contributor {
	i := sort.Search(len(c.People), func(i int) bool { return c.People[i].Person >= person })
	if i < len(c.People) && c.People[i].Person == person {
		return &c.People[i]
	}
	return nil
}

// Touches reports whether a node is among those that were walked.
func (c *Contributors) Touches(ref attest.Ref) bool { return c.nodes[node{ref.Kind, ref.Digest}] }

// Includes reports whether an entry is upstream.
func (c *Contributors) Includes(index int64) bool {
	i := sort.Search(len(c.Entries), func(i int) bool { return c.Entries[i] >= index })
	return i < len(c.Entries) && c.Entries[i] == index
}

// visit is an entry that the walk reached.
type visit struct {
	pos    int
	parent int // index in walker.queue; -1 for the start
	hop    Hop
	// trigger visits look only for who configured the trigger: that an alert
	// started a run does not make the watcher a contributor.
	trigger bool
}

type walker struct {
	h       *History
	queue   []visit
	next    map[node]int // makers of a node that are queued already
	full    map[int]bool
	trigger map[int]bool
	unknown map[node]UnknownNode
	nodes   map[node]bool
}

// Contributors walks upstream of a node as the log stood below an index. An
// entry below it with an Output relation to the node contributes; each node that
// it used resolves to the entries with an Output relation to that node below
// the entry, and so on. A node of kind "entry" is that entry. An entry that
// was triggered leads to whoever configured the trigger. Each entry is visited
// once, so the time is linear in what is upstream.
//
// The answer is deterministic: breadth first, in the order of relations.
func (h *History) Contributors(ref attest.Ref, below int64) (Contributors, error) {
	return h.ContributorsOf(below, ref)
}

// ContributorsOf is Contributors to any of several nodes.
func (h *History) ContributorsOf(below int64, refs ...attest.Ref) (Contributors, error) {
	if len(refs) == 0 {
		return Contributors{}, fmt.Errorf("no node to walk from")
	}
	w := &walker{h: h, next: map[node]int{}, full: map[int]bool{}, trigger: map[int]bool{},
		unknown: map[node]UnknownNode{}, nodes: map[node]bool{}}
	for _, ref := range refs {
		if ref.Kind == "" || ref.Digest == "" {
			return Contributors{}, fmt.Errorf("ref %q: kind and digest must not be empty", ref.Name)
		}
		w.expand(ref, below, -1, false)
	}
	for i := 0; i < len(w.queue); i++ {
		if w.queue[i].trigger {
			w.visitTrigger(i)
		} else {
			w.visitFull(i)
		}
	}
	return w.answer(), nil
}

// expand queues the entries behind a node, as seen from an index.
func (w *walker) expand(ref attest.Ref, below int64, parent int, configures bool) {
	n := node{ref.Kind, ref.Digest}
	w.nodes[n] = true
	if ref.Kind == attest.ArtefactEntry {
		if !w.entries(ref, below, parent, false) {
			w.unknownNode(n, ref, parent, "the log at hand has no such entry before it")
		}
		return
	}
	makers := w.h.makers[n]
	i := w.next[n]
	for ; i < len(makers); i++ {
		m := makers[i]
		e := &w.h.entries[m.pos]
		if e.Index >= below {
			break
		}
		w.push(visit{pos: m.pos, parent: parent, hop: Hop{Node: ref, Relation: m.rel, Entry: e.Ref(), Configures: configures}})
	}
	w.next[n] = i
	if first, ok := w.h.origin[n]; !ok || first >= below {
		w.unknownNode(n, ref, parent, "no entry before it says who made it")
	}
}

// entries queues the entries with a PAE digest below an index.
func (w *walker) entries(ref attest.Ref, below int64, parent int, trigger bool) bool {
	found := false
	for _, pos := range w.h.byPAE[ref.Digest] {
		if e := &w.h.entries[pos]; e.Index < below {
			found = true
			w.push(visit{pos: pos, parent: parent, trigger: trigger, hop: Hop{Node: ref, Entry: e.Ref(), Configures: trigger}})
		}
	}
	return found
}

func (w *walker) push(v visit) {
	seen := w.full
	if v.trigger {
		seen = w.trigger
	}
	if !seen[v.pos] {
		seen[v.pos] = true
		w.queue = append(w.queue, v)
	}
}

func (w *walker) unknownNode(n node, ref attest.Ref, parent int, words string) {
	if _, ok := w.unknown[n]; ok {
		return
	}
	u := UnknownNode{Node: ref, Words: describe(ref) + ": " + words}
	if parent >= 0 {
		by := w.h.entries[w.queue[parent].pos].Ref()
		u.UsedBy = &by
		u.Words = fmt.Sprintf("%s, used by entry %d (%s): %s", describe(ref), by.Index, by.Kind, words)
	}
	w.unknown[n] = u
}

func (w *walker) visitFull(i int) {
	e := &w.h.entries[w.queue[i].pos]
	for _, r := range e.Relations {
		switch {
		case r.Type.Class() == attest.Input:
			w.expand(r.Ref, e.Index, i, false)
		case r.Type == attest.RelTriggeredBy:
			w.triggeredBy(r.Ref, e.Index, i)
		}
	}
}

// triggeredBy follows what started an entry, to those who configured it.
func (w *walker) triggeredBy(ref attest.Ref, below int64, parent int) {
	switch ref.Kind {
	case attest.ArtefactTrigger, attest.ArtefactPipeline:
		w.expand(ref, below, parent, true)
	case attest.ArtefactEntry:
		if !w.entries(ref, below, parent, true) {
			n := node{ref.Kind, ref.Digest}
			w.unknownNode(n, ref, parent, "the log at hand has no such entry before it, so nobody knows who configured the trigger")
		}
	}
}

func (w *walker) visitTrigger(i int) {
	e := &w.h.entries[w.queue[i].pos]
	for _, r := range e.Relations {
		setting := r.Kind == attest.ArtefactTrigger || r.Kind == attest.ArtefactPipeline
		switch {
		case r.Type == attest.RelTriggeredBy:
			w.triggeredBy(r.Ref, e.Index, i)
		case setting && r.Type.Class() == attest.Input:
			w.expand(r.Ref, e.Index, i, true)
		}
	}
	if e.Kind != attest.KindRetrainTrigger {
		return
	}
	var t attest.RetrainTrigger
	if json.Unmarshal(e.Predicate, &t) != nil {
		ref := attest.Ref{Kind: attest.ArtefactEntry, Digest: e.PAE}
		w.unknownNode(node{ref.Kind, ref.Digest}, ref, i, "its content was erased, so nobody knows who configured the trigger")
		return
	}
	for _, digest := range []string{t.Trigger, t.Pipeline} {
		if digest == "" {
			continue
		}
		// The digest may be recorded under either kind.
		ref := attest.Ref{Kind: attest.ArtefactTrigger, Digest: digest}
		if _, ok := w.h.origin[node{attest.ArtefactPipeline, digest}]; ok {
			ref.Kind = attest.ArtefactPipeline
		}
		w.expand(ref, e.Index, i, true)
	}
}

func (w *walker) answer() Contributors {
	c := Contributors{nodes: w.nodes}
	seen := map[string]bool{}
	for i, v := range w.queue {
		if v.trigger {
			continue
		}
		e := &w.h.entries[v.pos]
		c.Entries = append(c.Entries, e.Index)
		people, unknown := w.h.humans(e)
		for _, p := range people {
			if !seen[p] {
				seen[p] = true
				c.People = append(c.People, Contributor{Person: p, Entry: e.Ref(), Path: w.path(i)})
			}
		}
		for _, a := range unknown {
			ref := attest.Ref{Kind: attest.ArtefactEntry, Digest: e.PAE}
			n := node{"actor", a}
			if _, ok := w.unknown[n]; !ok {
				by := e.Ref()
				w.unknown[n] = UnknownNode{Node: ref, UsedBy: &by,
					Words: fmt.Sprintf("entry %d (%s): no person is known to answer for %s", e.Index, e.Kind, a)}
			}
		}
	}
	keys := make([]node, 0, len(w.unknown))
	for n := range w.unknown {
		keys = append(keys, n)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].kind < keys[j].kind || keys[i].kind == keys[j].kind && keys[i].digest < keys[j].digest
	})
	for _, n := range keys {
		c.Unknown = append(c.Unknown, w.unknown[n])
	}
	sort.Slice(c.People, func(i, j int) bool { return c.People[i].Person < c.People[j].Person })
	sort.Slice(c.Entries, func(i, j int) bool { return c.Entries[i] < c.Entries[j] })
	return c
}

func (w *walker) path(i int) []Hop {
	var rev []Hop
	for ; i >= 0; i = w.queue[i].parent {
		rev = append(rev, w.queue[i].hop)
	}
	for a, b := 0, len(rev)-1; a < b; a, b = a+1, b-1 {
		rev[a], rev[b] = rev[b], rev[a]
	}
	return rev
}

// MayDecide returns nil when a person may decide on a node as the log stood
// below an index, or the reason why not: they are not known as a person, they
// worked on the node or on something upstream of it, or something upstream
// cannot be traced. accepted names kinds of artefacts that a policy accepts
// without a known maker (such as "code" kept in another system).
func (h *History) MayDecide(person string, ref attest.Ref, below int64, accepted ...string) *Violation {
	c, err := h.Contributors(ref, below)
	if err != nil {
		return &Violation{Code: CodeUnknown, Person: person, Words: err.Error()}
	}
	if v := h.Independent(person, &c, below); v != nil {
		return v
	}
	if open := c.Open(accepted...); len(open) > 0 {
		v := &Violation{Code: CodeUnknown, Person: person, Entry: -1,
			Words: fmt.Sprintf("nobody can decide while a contributor is unknown: %s", open[0].Words)}
		if by := open[0].UsedBy; by != nil {
			v.Entry = by.Index
		}
		return v
	}
	return nil
}

// Open returns the unknown nodes that no accepted kind covers.
func (c *Contributors) Open(accepted ...string) []UnknownNode {
	var out []UnknownNode
next:
	for _, u := range c.Unknown {
		for _, kind := range accepted {
			if kind == u.Node.Kind && kind != attest.ArtefactEntry {
				continue next
			}
		}
		out = append(out, u)
	}
	return out
}

// Independent is the part of MayDecide that is about the person only.
func (h *History) Independent(person string, c *Contributors, below int64) *Violation {
	if !h.IsPerson(person, below) {
		return &Violation{Code: CodeNotPerson, Person: person, Entry: -1,
			Words: fmt.Sprintf("%s is not an enrolled person, and only people decide", person)}
	}
	if found := c.Find(person); found != nil {
		return &Violation{Code: CodeContributor, Person: person, Entry: found.Entry.Index, Path: found.Path,
			Words: fmt.Sprintf("%s took part in what is decided: %s", person, h.Explain(*found))}
	}
	return nil
}

// Explain tells a contribution in words, from what is decided upstream.
func (h *History) Explain(c Contributor) string {
	var b strings.Builder
	for i, hop := range c.Path {
		if i > 0 {
			b.WriteString(", ")
		}
		link := "which used "
		if hop.Configures {
			link = "which acts on "
		}
		entry := fmt.Sprintf("entry %d (%s)", hop.Entry.Index, hop.Entry.Kind)
		switch {
		case i > 0 && hop.Relation == "" && hop.Configures:
			b.WriteString("which was triggered by " + entry)
		case i > 0 && hop.Relation == "":
			b.WriteString("which rests on " + entry)
		case hop.Relation == "":
			b.WriteString(entry)
		case i > 0:
			fmt.Fprintf(&b, "%s%s, %s by %s", link, describe(hop.Node), hop.Relation, entry)
		default:
			fmt.Fprintf(&b, "%s was %s by %s", describe(hop.Node), hop.Relation, entry)
		}
	}
	if e, ok := h.Entry(c.Entry.Index); ok {
		switch {
		case e.Actor == c.Person:
			b.WriteString(", signed by " + c.Person)
		case e.OnBehalfOf == c.Person:
			fmt.Fprintf(&b, ", signed by %s on behalf of %s", e.Actor, c.Person)
		default:
			fmt.Fprintf(&b, ", signed by %s, for which %s answers", e.Actor, c.Person)
		}
	}
	return b.String()
}

func describe(ref attest.Ref) string {
	if ref.Name != "" {
		return fmt.Sprintf("%s %q (%s)", ref.Kind, printable(ref.Name), short(ref.Digest))
	}
	return ref.Kind + " " + short(ref.Digest)
}

// printable keeps names, which identify nothing, from breaking a sentence.
func printable(s string) string {
	r := []rune(s)
	if len(r) > 60 {
		r = append(r[:60:60], '…')
	}
	return string(r)
}
