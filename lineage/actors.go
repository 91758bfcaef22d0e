package lineage

import (
	"errors"

	"gorm.io/gorm"

	"affidavit/attest"
)

// Types of actor.
const (
	ActorPerson  = "person"
	ActorService = "service"
)

// Actor is a row of cur_actors.
type Actor struct {
	Actor  string `gorm:"primaryKey"`
	Type   string
	Owner  string // of a service account; "" for a person and for the server's own
	Active int64
	Entry  int64
}

// TableName implements gorm's Tabler.
func (Actor) TableName() string { return "cur_actors" }

// Key is a row of cur_keys. Revoked and VoidFrom are log indexes.
type Key struct {
	KeyID    string `gorm:"primaryKey;column:key_id"`
	Actor    string
	Enrolled int64
	Revoked  *int64
	VoidFrom *int64
	SPKI     []byte `gorm:"column:spki"`
	Entry    int64
}

// TableName implements gorm's Tabler.
func (Key) TableName() string { return "cur_keys" }

// Membership is a row of cur_memberships.
type Membership struct {
	Actor   string `gorm:"primaryKey"`
	Project string `gorm:"primaryKey"`
	Role    string `gorm:"primaryKey"`
	Active  int64
	Entry   int64
}

// TableName implements gorm's Tabler.
func (Membership) TableName() string { return "cur_memberships" }

// Actor returns the current row of an actor; CodeNotFound if unknown.
func (r *ReadTx) Actor(id string) (Actor, error) {
	var a Actor
	err := r.g.Where("actor = ?", id).Take(&a).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return a, Errf(CodeNotFound, "actor", "no actor %q", id)
	}
	return a, err
}

// EmailOf returns the address with which a person was enrolled, "" if none.
func (r *ReadTx) EmailOf(actor string) (string, error) {
	a, err := r.Actor(actor)
	if err != nil {
		return "", err
	}
	e, err := r.Entry(a.Entry)
	if err != nil {
		return "", err
	}
	if e.Kind == attest.KindGenesis {
		var g attest.Genesis
		err := e.Decode(&g)
		return g.Admin.Email, err
	}
	var k attest.KeyEvent
	err = e.Decode(&k)
	return k.Email, err
}

// HasRole reports whether actor holds role in project now.
func (r *ReadTx) HasRole(actor, project, role string) (bool, error) {
	return r.exists("SELECT COUNT(*) FROM cur_memberships WHERE actor = ? AND project = ? AND role = ? AND active = 1", actor, project, role)
}
