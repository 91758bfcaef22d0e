package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"affidavit/attest"
	"affidavit/attest/keys"
)

// anchor decides whom to trust, and returns the root that everything is
// verified under: the one from outside; or, for a log key known by its
// fingerprint, the authorities that the log's own entry 0 names; or, with
// neither, what the pack says about itself.
func (c *checker) anchor(opt Options) *keys.TrustedRoot {
	mark := len(c.report.Refusals)
	inner, err := keys.ParseTrustedRoot(c.fixed[RootFile])
	if err != nil {
		c.report.add(refuse(CodeTrustedRoot, RootFile, "%v", err))
		c.report.check("trust", mark, "")
		return nil
	}
	var root *keys.TrustedRoot
	switch {
	case opt.TrustedRoot != nil:
		if root, err = keys.ParseTrustedRoot(opt.TrustedRoot); err != nil {
			c.unreadable = fmt.Errorf("%w: the trusted root given: %v", ErrUnreadable, err)
			return nil
		}
		c.report.Anchored = true
		c.report.Anchor = "the trusted root given from outside"
		if opt.LogKeyFingerprint != "" {
			c.report.add(matchFingerprint(root, opt.LogKeyFingerprint))
			c.report.Anchor += ", whose log key has the fingerprint given"
		}
		c.report.add(contradiction(inner, root))
	case opt.LogKeyFingerprint != "":
		c.report.Anchored = true
		c.report.Anchor = "the log key with the fingerprint given; timestamp and certificate authorities as entry 0 of that log names them"
		if err := matchFingerprint(inner, opt.LogKeyFingerprint); err != nil {
			c.report.add(err)
			break
		}
		if root, err = c.rootFromGenesis(inner); err != nil {
			c.report.add(err)
			break
		}
		// The pack's root may name several logs: the one of entry 0 counts.
		c.report.add(matchFingerprint(root, opt.LogKeyFingerprint))
		c.report.add(contradiction(inner, root))
	default:
		c.report.Anchor = "UNANCHORED: nothing from outside says whose log this is; give a trusted root or the log key's fingerprint"
		root = inner
	}
	c.report.check("trust", mark, "%s", c.report.Anchor)
	return root
}

// matchFingerprint wants a log of root to have the key whose SPKI hashes to
// want (hex).
func matchFingerprint(root *keys.TrustedRoot, want string) error {
	want = strings.ToLower(strings.TrimSpace(want))
	for _, l := range root.Logs {
		if sum := sha256.Sum256(l.SPKI); hex.EncodeToString(sum[:]) == want {
			return nil
		}
	}
	return refuse(CodeLogKey, RootFile, "no log key in it has the fingerprint %s", clip(want))
}

// rootFromGenesis builds a trust root whose log key is the one of inner that
// was matched by fingerprint. Entry 0 may name the authorities, because its
// inclusion under that key is proven with all other bundles right after.
func (c *checker) rootFromGenesis(inner *keys.TrustedRoot) (*keys.TrustedRoot, error) {
	name := bundlePath(0, attest.KindGenesis, true)
	raw, err := c.archive.Read(name)
	if err != nil {
		return nil, refuse(CodeGenesis, name, "the pack does not carry entry 0, which names the authorities of the log")
	}
	b, err := attest.ParseBundle(raw)
	if err != nil {
		return nil, refuse(CodeGenesis, name, "%v", err)
	}
	st, step, err := attest.ParseStatement(b.Payload)
	if err != nil || step.Kind != attest.KindGenesis {
		return nil, refuse(CodeGenesis, name, "it is no genesis statement: %v", err)
	}
	var g attest.Genesis
	if err := json.Unmarshal(st.Predicate, &g); err != nil {
		return nil, refuse(CodeGenesis, name, "%v", err)
	}
	for _, l := range inner.Logs {
		if !bytes.Equal(l.SPKI, g.LogKey) {
			continue
		}
		// The genesis statement gives no start; certificates bound themselves.
		return keys.NewTrustedRoot(g.Origin, g.LogKey, [][][]byte{g.TSAChain}, [][][]byte{g.CAChain}, [][]byte{g.CTKey}, time.Unix(0, 0)), nil
	}
	return nil, refuse(CodeGenesis, name, "entry 0 names another log key than the pack's trusted root")
}

// contradiction returns a refusal when the pack's own root names a key or
// authority that the outside root does not know.
func contradiction(inner, outer *keys.TrustedRoot) error {
	for _, l := range inner.Logs {
		known := false
		for _, o := range outer.Logs {
			known = known || (o.Origin == l.Origin && bytes.Equal(o.SPKI, l.SPKI))
		}
		if !known {
			return refuse(CodeTrustedRoot, RootFile, "it names a key for the log %s that the trusted one does not", clip(l.Origin))
		}
	}
	groups := []struct {
		name         string
		inner, outer [][][]byte
	}{{"timestamp authority", inner.TSAs, outer.TSAs}, {"certificate authority", inner.CAs, outer.CAs},
		{"certificate transparency key", [][][]byte{inner.CTKeys}, [][][]byte{outer.CTKeys}}}
	for _, g := range groups {
		known := map[string]bool{}
		for _, chain := range g.outer {
			for _, der := range chain {
				known[string(der)] = true
			}
		}
		for _, chain := range g.inner {
			for _, der := range chain {
				if !known[string(der)] {
					return refuse(CodeTrustedRoot, RootFile, "it names a %s that the trusted one does not", g.name)
				}
			}
		}
	}
	return nil
}

// checkGenesis compares entry 0 with the root that everything was verified under.
func (c *checker) checkGenesis() {
	p := c.at(0)
	if p == nil || p.entry.Kind != attest.KindGenesis {
		c.report.add(refuse(CodeGenesis, "", "the pack does not carry entry 0: who started with which key is unknown"))
		return
	}
	var g attest.Genesis
	if err := json.Unmarshal(p.entry.Predicate, &g); err != nil {
		c.refuseEntry(CodeGenesis, p, "%v", err)
		return
	}
	for _, l := range c.root.Logs {
		if l.Origin == g.Origin && bytes.Equal(l.SPKI, g.LogKey) && g.Origin == c.cp.Origin {
			return
		}
	}
	c.refuseEntry(CodeGenesis, p, "it says that the log is %s with another key than the trusted one", clip(g.Origin))
}
