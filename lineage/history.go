package lineage

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/rbac/sod"
)

// History loads what duties are judged by as the log stood below an index:
// every governing entry (keys, accounts, grants, policies, inventory) and all
// that is upstream of roots by contributing relations.
func (r *ReadTx) History(project string, roots []Ref, below int64) (*sod.History, error) {
	below = r.clamp(below)
	up, err := r.UpstreamEntries(roots, below, ContributesOnly)
	if err != nil {
		return nil, err
	}
	governing, err := r.governing(project, below)
	if err != nil {
		return nil, err
	}
	entries, err := r.SODEntries(append(up, governing...))
	if err != nil {
		return nil, err
	}
	h, err := sod.NewHistory(entries)
	if err != nil {
		return nil, &Error{Code: CodeInternal, Message: "the history of duties does not parse", Err: err}
	}
	return h, nil
}

func (r *ReadTx) governing(project string, below int64) ([]int64, error) {
	var kinds []string
	for _, k := range attest.Kinds() {
		if sod.Governs(k) {
			kinds = append(kinds, "'"+k+"'") // constants of ours, no input
		}
	}
	return r.indexes("SELECT idx FROM entries WHERE kind IN ("+strings.Join(kinds, ",")+") AND (project = ? OR project = '') AND idx < ?", project, below)
}

// SODEntries loads entries as rbac/sod wants them: ascending, once each.
func (r *ReadTx) SODEntries(idx []int64) ([]sod.Entry, error) {
	slices.Sort(idx)
	idx = slices.Compact(idx)
	out := make([]sod.Entry, 0, len(idx))
	for part := range slices.Chunk(idx, chunk) {
		list, err := r.entries("SELECT " + entryColumns + " WHERE e.idx IN " + inList(part) + " ORDER BY e.idx")
		if err != nil {
			return nil, err
		}
		// An entry of the group under way has no payload row yet, but stands in pending.
		ids, err := r.identities(part)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			s := e.SOD()
			if id, ok := ids[e.Index]; ok {
				s.Identity = id
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// SOD is the entry as rbac/sod and rbac/policy read it.
func (e *Entry) SOD() sod.Entry {
	s := sod.Entry{
		Index: e.Index, PAE: e.PAE, Kind: e.Kind, Project: e.Project, Actor: e.Actor, OnBehalfOf: e.OnBehalfOf,
		KeyID: e.KeyID, Stamp: e.Stamp, Relations: e.Step.Relations, Predicate: e.predicate, Identity: e.Identity,
	}
	return s
}

// identities reads the e-mail addresses of entries that a certificate signed:
// their key is in no enrolment.
func (r *ReadTx) identities(idx []int64) (map[int64]string, error) {
	rows, err := r.q.QueryContext(r.ctx, "SELECT l.idx, l.body FROM leaves l JOIN entries e ON e.idx = l.idx LEFT JOIN cur_keys k ON k.key_id = e.key_id WHERE k.key_id IS NULL AND l.idx IN "+inList(idx))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[int64]string{}
	for rows.Next() {
		var index int64
		var body []byte
		if err := rows.Scan(&index, &body); err != nil {
			return nil, err
		}
		der, err := attest.CertificateOfLeaf(body)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", index, err)
		}
		if der == nil {
			continue
		}
		_, id, err := keys.ParseIdentity(der)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", index, err)
		}
		out[index] = id.Email
	}
	return out, errors.Join(rows.Err())
}
