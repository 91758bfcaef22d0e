package pack

import (
	"encoding/json"
	"fmt"

	"affidavit/attest"
	"affidavit/rbac/sod"
)

// reference is an entry that a predicate names.
type reference struct {
	field string
	ref   attest.EntryRef
	kinds []string // what it may be; none: anything
}

// condense reads the predicate once, keeps the facts and references that
// later checks need, and drops the bytes of kinds that carry bulk. So what is
// held of a pack does not grow with its reports, only with its entries.
func (p *proven) condense() error {
	raw := p.entry.Predicate
	read := func(v any) error {
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("predicate of %s: %w", p.entry.Kind, err)
		}
		p.facts = v
		return nil
	}
	keep := sod.Governs(p.entry.Kind)
	var err error
	switch p.entry.Kind {
	case attest.KindPromotionRequest:
		v := &attest.PromotionRequest{}
		err, keep = read(v), true
		for i, e := range v.Evidence {
			p.refer(fmt.Sprintf("evidence[%d]", i), e)
		}
	case attest.KindAcceptance, attest.KindDecision:
		v := &attest.Decision{}
		err, keep = read(v), true
		p.refer("request", v.Request, attest.KindPromotionRequest)
	case attest.KindWithdrawal:
		v := &attest.Withdrawal{}
		err, keep = read(v), true
		p.refer("target", v.Target)
	case attest.KindVerdict:
		v := &attest.VSA{}
		err, keep = read(v), true
		p.refer("gate.request", v.Gate.Request, attest.KindPromotionRequest)
		for _, cond := range v.Gate.Conditions {
			for _, by := range cond.By {
				p.refer("gate.conditions."+clip(cond.Name), by)
			}
		}
	case attest.KindDeployment:
		v := &attest.Deployment{}
		err, keep = read(v), true
		if v.Action != actionRetire || v.Request.PAE != "" {
			p.refer("request", v.Request, attest.KindPromotionRequest)
		}
		if v.Action != actionRetire || v.Verdict.PAE != "" {
			p.refer("verdict", v.Verdict, attest.KindVerdict)
		}
		if v.Canary != nil {
			p.refer("canary", *v.Canary, attest.KindCanaryVerdict)
		}
	case attest.KindRegistration:
		v := &attest.Registration{}
		err, keep = read(v), true
		p.mayRefer("run", v.Run)
		p.mayRefer("signature", v.Signature, attest.KindModelSignature)
		for i, e := range v.Evidence {
			p.refer(fmt.Sprintf("evidence[%d]", i), e)
		}
	default:
		err = p.condenseOperation(read)
		// Both are read on the way upstream of a version.
		keep = keep || p.entry.Kind == attest.KindRetrainTrigger || p.entry.Kind == attest.KindFeatureSet
	}
	if !keep {
		p.entry.Predicate = nil
	}
	return err
}

// condenseOperation is condense for what is logged while a model is in use.
func (p *proven) condenseOperation(read func(any) error) error {
	var err error
	switch p.entry.Kind {
	case attest.KindSegment:
		v := &attest.Segment{}
		err = read(v)
		p.refer("deployment", v.Deployment, attest.KindDeployment)
	case attest.KindOutcomes:
		v := &attest.Outcomes{}
		err = read(v)
		for i, s := range v.Segments {
			p.refer(fmt.Sprintf("segments[%d]", i), s, attest.KindSegment)
		}
		v.Metrics, v.Segments = nil, nil
	case attest.KindAlert:
		v := &attest.Alert{}
		err = read(v)
		for i, w := range v.Windows {
			p.refer(fmt.Sprintf("windows[%d]", i), w, attest.KindWindow)
		}
		p.facts = nil
	case attest.KindRetrainTrigger:
		v := &attest.RetrainTrigger{}
		err = read(v)
		p.mayRefer("alert", v.Alert, attest.KindAlert)
	case attest.KindCanaryVerdict:
		v := &attest.CanaryVerdict{}
		err = read(v)
		p.refer("champion", v.Champion, attest.KindDeployment)
		p.refer("challenger", v.Challenger, attest.KindDeployment)
		v.Report = nil
	case attest.KindDocument:
		v := &attest.Document{}
		err = read(v)
		for i, s := range v.Sources {
			p.refer(fmt.Sprintf("sources[%d]", i), s)
		}
		v.Sources = nil
	case attest.KindProjectState:
		err = read(&attest.ProjectState{})
	case attest.KindPolicy:
		err = read(&attest.PolicyPublication{})
	case attest.KindErasure:
		v := &attest.Erasure{}
		err = read(v) // what it erased is not in the pack, so its entries are no references
		v.Redacted = nil
	}
	return err
}

func (p *proven) refer(field string, ref attest.EntryRef, kinds ...string) {
	p.refs = append(p.refs, reference{field, ref, kinds})
}

// mayRefer is refer for a field that may be left empty.
func (p *proven) mayRefer(field string, ref attest.EntryRef, kinds ...string) {
	if ref != (attest.EntryRef{}) {
		p.refer(field, ref, kinds...)
	}
}

// facts returns the typed facts of an entry, or nil when it is of another kind.
func facts[T any](p *proven) *T {
	if p == nil {
		return nil
	}
	v, _ := p.facts.(*T)
	return v
}

// reload reads an entry's predicate from the pack again. The file may have
// changed since it was verified, so its PAE digest is compared.
func (c *checker) reload(p *proven) (sod.Entry, error) {
	if p.entry.Predicate != nil {
		return p.entry, nil
	}
	raw, err := c.archive.Read(bundlePath(p.entry.Index, p.entry.Kind, false))
	if c.archive.Has(bundlePath(p.entry.Index, p.entry.Kind, true)) {
		raw, err = c.archive.Read(bundlePath(p.entry.Index, p.entry.Kind, true))
	}
	if err != nil {
		return sod.Entry{}, err
	}
	b, err := attest.ParseBundle(raw)
	if err != nil {
		return sod.Entry{}, err
	}
	if b.Signed.PAEHex() != p.entry.PAE {
		return sod.Entry{}, fmt.Errorf("entry %d changed while the pack was being read", p.entry.Index)
	}
	st, _, err := attest.ParseStatement(b.Payload)
	if err != nil {
		return sod.Entry{}, err
	}
	e := p.entry
	e.Predicate = st.Predicate
	return e, nil
}
