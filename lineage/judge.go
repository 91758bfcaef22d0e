package lineage

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"affidavit/attest"
)

// judge decides whether the candidate may stand at e.Index. It reads only.
func (a *appender) judge(ctx context.Context, c *candidate, e *Entry) error {
	kind, ok := a.kinds[e.Kind]
	if !ok {
		return Errf(CodeInvalid, "kind", "%q is not a kind of this server", e.Kind)
	}
	if e.Kind == attest.KindGenesis || e.Index == 0 {
		return a.judgeGenesis(ctx, kind, c, e)
	}
	if err := a.judgeSigner(ctx, c, e); err != nil {
		return err
	}
	if err := a.judgePlace(kind, e); err != nil {
		return err
	}
	if err := a.auth.allow(a.w.ReadTx, e.Actor, e.Project, kind.Operation()); err != nil {
		return err
	}
	if err := a.judgeOnBehalf(e); err != nil {
		return err
	}
	if err := a.judgeRelations(ctx, e); err != nil {
		return err
	}
	if e.Kind == attest.KindAbandoned && c.intent == nil && !a.replay {
		return Errf(CodeForbidden, "kind", "only the server that holds an intent abandons it")
	}
	if c.intent != nil {
		if err := c.intent.holds(ctx, a.db, a.tx); err != nil {
			return err
		}
	}
	return kind.Check(ctx, a.w.ReadTx, e)
}

func (a *appender) judgeGenesis(ctx context.Context, kind Kind, c *candidate, e *Entry) error {
	if e.Kind != attest.KindGenesis {
		return Errf(CodeUnavailable, "database", "it holds no log yet").WithRemedy("initialise it first")
	}
	if e.Index != 0 {
		return Errf(CodeConflict, "kind", "this log has its genesis already")
	}
	var g attest.Genesis
	if err := e.Decode(&g); err != nil {
		return err
	}
	if g.Service.KeyID != c.keyID || g.Service.Actor != e.Actor {
		return Errf(CodeUnauthenticated, "signature", "genesis is signed by the service key that it names")
	}
	return kind.Check(ctx, a.w.ReadTx, e)
}

// judgeSigner: a key is valid for index i iff enrolled < i < revoked, and it
// signs for its own actor only.
func (a *appender) judgeSigner(ctx context.Context, c *candidate, e *Entry) error {
	if len(c.signed.Certificate) > 0 {
		return a.judgeCertificate(ctx, c, e)
	}
	var actor string
	var enrolled int64
	var revoked sql.NullInt64
	err := a.tx.QueryRowContext(ctx, a.db.bind("SELECT actor, enrolled, revoked FROM cur_keys WHERE key_id = ?"), c.keyID).Scan(&actor, &enrolled, &revoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Errf(CodeUnauthenticated, "publicKey", "key %s is not enrolled", c.keyID).WithRemedy("ask an admin to enrol it")
	case err != nil:
		return fmt.Errorf("key: %w", err)
	case revoked.Valid:
		return Errf(CodeUnauthenticated, "publicKey", "key %s was revoked by entry %d", c.keyID, revoked.Int64).WithRemedy("sign with a key that is valid now")
	case enrolled >= e.Index:
		return Errf(CodeUnauthenticated, "publicKey", "key %s is enrolled by entry %d only", c.keyID, enrolled)
	case actor != e.Actor:
		return Errf(CodeUnauthenticated, "actor", "key %s belongs to another actor than %q", c.keyID, e.Actor).WithRemedy("sign as yourself")
	}
	return a.activeActor(e.Actor)
}

// judgeCertificate accepts an identity certificate of our CA whose e-mail
// address is the one with which the actor was enrolled.
func (a *appender) judgeCertificate(_ context.Context, c *candidate, e *Entry) error {
	id, err := attest.VerifyCertificate(a.root, c.signed.Certificate, e.Stamp)
	if err != nil {
		return &Error{Code: CodeUnauthenticated, Field: "certificate", Message: "does not verify", Err: err}
	}
	actor, err := a.w.Actor(e.Actor)
	if err != nil {
		return err
	}
	if a.excused[actor.Entry] != nil {
		// The address was erased after this entry was judged by it.
		e.Identity = id.Email
		return a.activeActor(e.Actor)
	}
	email, err := a.w.EmailOf(e.Actor)
	if err != nil {
		return err
	}
	if email == "" || email != id.Email {
		return Errf(CodeUnauthenticated, "certificate", "its identity is not that of %q", e.Actor).WithRemedy("sign as yourself")
	}
	e.Identity = id.Email
	return a.activeActor(e.Actor)
}

func (a *appender) activeActor(actor string) error {
	ac, err := a.w.Actor(actor)
	if err != nil {
		return err
	}
	if ac.Active == 0 {
		return Errf(CodeUnauthenticated, "actor", "%q is not active", actor)
	}
	return nil
}

func (a *appender) judgePlace(kind Kind, e *Entry) error {
	if kind.Global {
		if e.Project != "" {
			return Errf(CodeInvalid, "project", "a %s stands above projects", e.Kind).WithRemedy("leave project empty")
		}
		return nil
	}
	if e.Project == "" && kind.Either {
		return nil
	}
	if e.Project == "" {
		return Errf(CodeInvalid, "project", "a %s belongs to a project", e.Kind).WithRemedy("name the project")
	}
	known, err := a.w.exists("SELECT COUNT(*) FROM projects WHERE id = ?", e.Project)
	if err != nil {
		return err
	}
	if !known {
		return Errf(CodeNotFound, "project", "no project %q", e.Project)
	}
	return nil
}

func (a *appender) judgeOnBehalf(e *Entry) error {
	if e.OnBehalfOf == "" {
		return nil
	}
	signer, err := a.w.Actor(e.Actor)
	if err != nil {
		return err
	}
	person, err := a.w.Actor(e.OnBehalfOf)
	if CodeOf(err) == CodeNotFound {
		return Errf(CodeInvalid, "onBehalfOf", "no person %q is enrolled", e.OnBehalfOf)
	}
	if err != nil {
		return err
	}
	if signer.Type != ActorService || person.Type != ActorPerson {
		return Errf(CodeInvalid, "onBehalfOf", "only a service account acts for a person")
	}
	return nil
}

// judgeRelations: what an entry refers to exists below it, and the checkpoint
// that the signer says it saw is one of this log's.
func (a *appender) judgeRelations(ctx context.Context, e *Entry) error {
	if err := a.judgePosition(ctx, e.Step.NotBefore); err != nil {
		return err
	}
	for i, r := range e.Step.Relations {
		field := fmt.Sprintf("relations[%d]", i)
		class := r.Type.Class()
		if class == attest.Unknown {
			return Errf(CodeInvalid, field+".type", "%q is not a relation", r.Type)
		}
		if class == attest.Output && r.Kind != attest.ArtefactEntry {
			continue
		}
		if class == attest.Governs && r.Kind != attest.ArtefactEntry {
			continue // a judgement may name what this log has not made, such as a foreign policy
		}
		known, err := a.w.exists("SELECT COUNT(*) FROM (SELECT 1 FROM edges WHERE digest = ? AND class = 2 AND kind = ? LIMIT 1) AS one", r.Digest, r.Kind)
		if err != nil {
			return err
		}
		if !known {
			return Errf(CodeInvalid, field, "no %s %s stands below this entry", r.Kind, r.Digest).
				WithRemedy("log what it is made from first")
		}
	}
	return nil
}

func (a *appender) judgePosition(ctx context.Context, p attest.Position) error {
	if p.Size == 0 {
		return nil
	}
	var root []byte
	err := a.tx.QueryRowContext(ctx, a.db.bind("SELECT root FROM checkpoints WHERE size = ?"), p.Size).Scan(&root)
	if errors.Is(err, sql.ErrNoRows) || err == nil && hex.EncodeToString(root) != p.Root {
		return Errf(CodeInvalid, "notBefore", "no checkpoint of this log has size %d and that root", p.Size).
			WithRemedy("take size and root from /checkpoint")
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
