package lineage

import (
	"context"
	"time"

	"affidavit/attest"
)

// InitParams start a log.
type InitParams struct {
	// Admin is the first person: actor, name, e-mail, public key.
	Admin attest.Enrolment
	// Version of the software.
	Version string
}

// Init logs genesis on an empty, migrated database and opens the ledger. On a
// database that has one already it fails with CodeConflict.
func Init(ctx context.Context, cfg Config, p InitParams) (*Ledger, Receipt, error) {
	cfg.defaults()
	l, err := newLedger(ctx, cfg)
	if err != nil {
		return nil, Receipt{}, err
	}
	if err := l.checkAgainstFile(ctx); err != nil {
		return nil, Receipt{}, err
	}
	k := cfg.Keys
	p.Admin.KeyID = attest.KeyID(p.Admin.PublicKey)
	spki := k.Service.PublicKey()
	predicate := attest.Genesis{
		Origin: k.Log.Origin(), LogKey: k.Log.SPKI(), TSAChain: k.TSA.Chain(), CAChain: k.CA.Chain(), CTKey: k.CA.CTPublicKey(),
		Service: attest.Enrolment{Actor: cfg.ServiceActor, KeyID: attest.KeyID(spki), PublicKey: spki},
		Admin:   p.Admin, Version: p.Version,
	}
	st, err := attest.NewStatement(attest.Step{
		Kind: attest.KindGenesis, Nonce: randomHex(16), Actor: cfg.ServiceActor, Claimed: cfg.Clock().UTC().Truncate(time.Second),
	}, nil, predicate)
	if err != nil {
		return nil, Receipt{}, &Error{Code: CodeInvalid, Field: "genesis", Message: err.Error()}
	}
	c, err := l.sign(ctx, st, k.Service)
	if err != nil {
		return nil, Receipt{}, err
	}
	l.start()
	rec, err := l.log(ctx, c)
	if err != nil {
		_ = l.Close(ctx)
		return nil, Receipt{}, err
	}
	return l, rec, nil
}

// Empty reports whether the database holds no log yet.
func (d *Database) Empty(ctx context.Context) (bool, error) {
	empty := false
	err := view(ctx, d, Scope{All: true}, func(r *ReadTx) error { empty = r.Size() == 0; return nil })
	return empty, err
}
