package lineage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"affidavit/attest"
	"affidavit/attest/tlog"
)

// querier is the part of *sql.Tx that reading needs.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ReadTx reads one consistent state of the ledger.
type ReadTx struct {
	ctx   context.Context
	d     *Database
	q     querier
	g     *gorm.DB
	size  int64
	root  tlog.Hash
	stamp time.Time
	scope Scope
	// pending holds entries of the group under way, whose payload rows come last.
	pending map[int64]*Entry
	// kinds is the table that judges; nil outside the sequencer and audit.
	kinds Kinds
}

// View is the only read door: a read-only transaction on a read-only pool
// (SQLite) or under a role with SELECT only (PostgreSQL).
func (l *Ledger) View(ctx context.Context, scope Scope, fn func(*ReadTx) error) error {
	return view(ctx, l.db, scope, fn)
}

func view(ctx context.Context, d *Database, scope Scope, fn func(*ReadTx) error) error {
	if !scope.All && scope.Project == "" {
		return Errf(CodeInternal, "scope", "a view names a project or asks for all")
	}
	opts := &sql.TxOptions{ReadOnly: true}
	if d.dialect == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	tx, err := d.read.BeginTx(ctx, opts)
	if err != nil {
		return &Error{Code: CodeUnavailable, Message: "the database does not answer", Err: err}
	}
	defer tx.Rollback() //nolint:errcheck // read-only: nothing to lose
	if d.dialect == Postgres {
		if _, err := tx.ExecContext(ctx, "SET LOCAL ROLE affidavit_reader"); err != nil {
			return &Error{Code: CodeUnavailable, Message: "the reader role is missing", Remedy: "run affidavit migrate", Err: err}
		}
		if _, err := tx.ExecContext(ctx, "SELECT set_config('affidavit.project', $1, true)", scope.Project); err != nil {
			return &Error{Code: CodeUnavailable, Message: "the database does not answer", Err: err}
		}
	}
	r := &ReadTx{ctx: ctx, d: d, q: tx, g: session(d.wgorm, ctx, tx), scope: scope}
	if err := r.readHead(); err != nil {
		return err
	}
	return fn(r)
}

func (r *ReadTx) readHead() error {
	var root []byte
	var stamp int64
	// The table holds one row. Its key is not asked for, so that an audit can
	// still read, and then name, a head whose key was edited.
	if err := r.q.QueryRowContext(r.ctx, "SELECT size, root, stamp FROM cur_head").Scan(&r.size, &root, &stamp); err != nil {
		return &Error{Code: CodeUnavailable, Message: "the head cannot be read", Err: err}
	}
	copy(r.root[:], root)
	r.stamp = time.Unix(stamp, 0).UTC()
	return nil
}

// Size is the number of entries visible here.
func (r *ReadTx) Size() int64 { return r.size }

// Context is the transaction's.
func (r *ReadTx) Context() context.Context { return r.ctx }

// DB is gorm on this transaction, for reading projections.
func (r *ReadTx) DB() *gorm.DB { return r.g.Session(&gorm.Session{NewDB: false}) }

// First reads the first row that fits the condition into dest; CodeNotFound if none does.
func (r *ReadTx) First(dest any, cond string, args ...any) error {
	err := r.g.Where(cond, args...).Take(dest).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Errf(CodeNotFound, "", "nothing fits")
	}
	return err
}

// Find reads all rows that fit the condition, in the order given ("" for none).
func (r *ReadTx) Find(dest any, order, cond string, args ...any) error {
	q := r.g.Where(cond, args...)
	if order != "" {
		q = q.Order(order)
	}
	return q.Find(dest).Error
}

func (r *ReadTx) exists(query string, args ...any) (bool, error) {
	var n int64
	err := r.q.QueryRowContext(r.ctx, r.d.bind(query), args...).Scan(&n)
	return n > 0, err
}

// visible says whether the scope covers a project; entries above projects
// (keys, accounts, genesis) are visible to all.
func (r *ReadTx) visible(project string) bool {
	return r.scope.All || project == "" || project == r.scope.Project
}

const entryColumns = "e.idx, e.pae, e.key_id, e.kind, e.project, e.actor, e.on_behalf_of, e.stamp, p.payload FROM entries e LEFT JOIN payloads p ON p.idx = e.idx"

type scanner interface{ Scan(dest ...any) error }

// scanEntry reads one row of entryColumns.
func (r *ReadTx) scanEntry(s scanner) (*Entry, []byte, error) {
	var e Entry
	var stamp int64
	var payload []byte
	if err := s.Scan(&e.Index, &e.PAE, &e.KeyID, &e.Kind, &e.Project, &e.Actor, &e.OnBehalfOf, &stamp, &payload); err != nil {
		return nil, nil, err
	}
	e.Stamp = time.Unix(stamp, 0).UTC()
	return &e, payload, nil
}

// complete parses what was signed, or finds what an erasure left.
func (r *ReadTx) complete(e *Entry, payload []byte) error {
	if p, ok := r.pending[e.Index]; ok {
		*e = *p
		return nil
	}
	if payload == nil {
		return r.completeErased(e)
	}
	st, step, err := attest.DecodeStatement(payload)
	if err != nil {
		return &Error{Code: CodeInternal, Message: fmt.Sprintf("payload of entry %d", e.Index), Err: err}
	}
	e.Statement, e.Step, e.predicate = st, step, st.Predicate
	return nil
}

// Entry returns the entry at index.
func (r *ReadTx) Entry(index int64) (*Entry, error) {
	return r.entryWhere(fmt.Sprintf("entry %d", index), "e.idx = ?", index)
}

// EntryByPAE returns the entry whose PAE has this digest (hex).
func (r *ReadTx) EntryByPAE(pae string) (*Entry, error) {
	return r.entryWhere("entry "+pae, "e.pae = ?", pae)
}

// EntryByNonce returns the entry of a nonce.
func (r *ReadTx) EntryByNonce(nonce string) (*Entry, error) {
	return r.entryWhere("entry with nonce "+nonce, "e.nonce = ?", nonce)
}

func (r *ReadTx) entryWhere(what, cond string, arg any) (*Entry, error) {
	if index, ok := arg.(int64); ok && r.pending[index] != nil {
		return r.pending[index], nil
	}
	e, payload, err := r.scanEntry(r.q.QueryRowContext(r.ctx, r.d.bind("SELECT "+entryColumns+" WHERE "+cond), arg))
	if errors.Is(err, sql.ErrNoRows) || err == nil && !r.visible(e.Project) {
		return nil, Errf(CodeNotFound, "", "no %s", what)
	}
	if err != nil {
		return nil, err
	}
	return e, r.complete(e, payload)
}

// Cited returns the entry that a predicate cites, or an error that names the
// field when index, PAE digest and kind do not belong together.
func (r *ReadTx) Cited(field string, ref attest.EntryRef, kind string) (*Entry, error) {
	e, err := r.Entry(ref.Index)
	if CodeOf(err) == CodeNotFound || err == nil && (e.PAE != ref.PAE || e.Kind != kind || ref.Kind != kind) {
		return nil, Errf(CodeInvalid, field, "entry %d is not a %s with PAE digest %s", ref.Index, kind, ref.PAE).
			WithRemedy("cite index, digest and kind as the receipt gave them")
	}
	return e, err
}

// EntryFilter selects entries; zero fields do not filter.
type EntryFilter struct {
	Project string
	Kind    string
	Actor   string
	From    int64 // first index
	To      int64 // last index + 1; 0: the head
	Limit   int   // 0: 100, at most 10000
	Newest  bool  // newest first
}

// Entries returns the entries that fit, in index order.
func (r *ReadTx) Entries(f EntryFilter) ([]*Entry, error) {
	cond, args := []string{"e.idx >= ?"}, []any{f.From}
	add := func(c string, a any) { cond, args = append(cond, c), append(args, a) }
	if f.To > 0 {
		add("e.idx < ?", f.To)
	}
	if f.Project != "" {
		add("e.project = ?", f.Project)
	}
	if f.Kind != "" {
		add("e.kind = ?", f.Kind)
	}
	if f.Actor != "" {
		add("e.actor = ?", f.Actor)
	}
	if !r.scope.All {
		cond, args = append(cond, "(e.project = ? OR e.project = '')"), append(args, r.scope.Project)
	}
	order, limit := "ASC", f.Limit
	if f.Newest {
		order = "DESC"
	}
	if limit <= 0 {
		limit = 100
	}
	q := "SELECT " + entryColumns + " WHERE " + strings.Join(cond, " AND ") + " ORDER BY e.idx " + order + " LIMIT ?"
	return r.entries(q, append(args, min(limit, 10000))...)
}

// entries runs a query over entryColumns. Rows are read first: a second query
// on the same connection must wait until the first is closed.
func (r *ReadTx) entries(query string, args ...any) ([]*Entry, error) {
	rows, err := r.q.QueryContext(r.ctx, r.d.bind(query), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*Entry
	var payloads [][]byte
	for rows.Next() {
		e, payload, err := r.scanEntry(rows)
		if err != nil {
			return nil, err
		}
		out, payloads = append(out, e), append(payloads, payload)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for i, e := range out {
		if err := r.complete(e, payloads[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
