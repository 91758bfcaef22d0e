package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"affidavit/attest/pack"
	"affidavit/lineage"
	"affidavit/serving/gateway"
)

const gatewayPromote = gateway.VerdictPromote

// Summary is D/summary.json.
type Summary struct {
	Version    string             `json:"softwareVersion"`
	Origin     string             `json:"origin"`
	LogKey     string             `json:"logKey"` // hex SHA-256 of the SPKI, for verify --log-key
	LogSize    int64              `json:"logSize"`
	Checkpoint string             `json:"checkpoint"`
	Serving    string             `json:"serving"`
	Versions   []SummaryVersion   `json:"versions"`
	Windows    []windowSeen       `json:"windows"`
	Canary     SummaryCanary      `json:"canary"`
	DenyRates  map[string]float64 `json:"denyRates"` // recorded, by race
	Pack       SummaryPack        `json:"pack"`
	Files      map[string]string  `json:"files"`
	Commands   []string           `json:"commands"`
	Seconds    float64            `json:"seconds"`
}

// SummaryVersion is one version with its held-out metrics.
type SummaryVersion struct {
	Version   string             `json:"version"`
	Algorithm string             `json:"algorithm"`
	Root      string             `json:"root"`
	Entry     int64              `json:"entry"`
	Metrics   map[string]float64 `json:"metrics"`
}

// SummaryCanary is how the canary ended.
type SummaryCanary struct {
	Verdict   string `json:"verdict"`
	Requests  int64  `json:"requests"`
	Simulated bool   `json:"simulated"`
	Entry     int64  `json:"entry"`
}

// SummaryPack is the outcome of the offline verification.
type SummaryPack struct {
	Verified     bool  `json:"verified"`
	TreeSize     int64 `json:"treeSize"`
	Attestations int   `json:"attestations"`
}

// headline are the metrics that the summary prints.
var headline = []string{"auc", "ece", "brier", "fairness.afam.impact_ratio", "fairness.single.impact_ratio"}

func (d *demo) summarise(ctx context.Context) (*Summary, error) {
	s := &Summary{Version: d.o.Version, Serving: d.serving().Number, Windows: d.life.windows, Files: map[string]string{}, Seconds: time.Since(d.started).Seconds()}
	key := d.node.Ledger.Keys().Log
	s.Origin, s.LogKey = key.Origin(), key.Fingerprint()
	err := d.view(ctx, func(r *lineage.ReadTx) error {
		s.LogSize = r.Size()
		var err error
		s.Checkpoint, err = r.Checkpoint()
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, v := range d.versions {
		sv := SummaryVersion{Version: v.Number, Algorithm: v.Algorithm, Root: v.root.Digest, Entry: v.registration.Index, Metrics: map[string]float64{}}
		for _, m := range v.report.Metrics() {
			sv.Metrics[m.Name] = m.Value
		}
		s.Versions = append(s.Versions, sv)
	}
	rates, err := d.table.LabelRates("deny", "yes")
	if err != nil {
		return nil, err
	}
	s.DenyRates = map[string]float64{}
	for _, r := range rates {
		if r.Column == "afam" {
			s.DenyRates["afam="+r.Group] = r.Rate
		}
	}
	s.Canary = SummaryCanary{d.life.canaryVerdict, d.life.canaryRequests, true, d.life.canary.Index}
	s.Pack = SummaryPack{d.packed.Exit() == pack.ExitVerified, d.packed.TreeSize, d.packed.Entries}
	s.Files["pack"], s.Files["trustedRoot"], s.Files["documents"] = d.path("pack.zip"), d.path("trusted_root.json"), d.path("documents")
	s.Commands = d.commands()
	return s, nil
}

// commands are exact: they run as printed, from the directory of the demo's start.
func (d *demo) commands() []string {
	dir := d.o.Dir
	var model string
	if v := d.serving(); v != nil {
		model = fmt.Sprintf("bundles/%d-registration.sigstore.json", v.registration.Index)
	}
	out := []string{
		fmt.Sprintf("affidavit verify %s --trusted-root %s", filepath.Join(dir, "pack.zip"), filepath.Join(dir, "trusted_root.json")),
		fmt.Sprintf("unzip -q -o %s -d %s", filepath.Join(dir, "pack.zip"), filepath.Join(dir, "pack")),
		fmt.Sprintf("cosign verify-blob-attestation --bundle %s --trusted-root %s --key %s --use-signed-timestamps --type %s --digest %s --digestAlg sha256",
			filepath.Join(dir, "pack", model), filepath.Join(dir, "trusted_root.json"), filepath.Join(dir, "pack", "keys", d.engineerKey()+".pub"),
			"https://affidavit.dev/attestation/registration/v1", d.serving().root.Digest),
		fmt.Sprintf("cosign verify-blob-attestation --bundle %s --trusted-root %s --certificate-identity %s --certificate-oidc-issuer %s --use-signed-timestamps --type %s %s",
			filepath.Join(dir, "pack", pack.ExportFile), filepath.Join(dir, "trusted_root.json"), d.people[auditor].email, "https://idp.bank.example",
			"https://affidavit.dev/attestation/export/v1", filepath.Join(dir, "pack", pack.ManifestFile)),
	}
	files, _ := filepath.Glob(d.path("documents", "*.pdf")) // the pattern is well-formed
	for _, f := range files {
		out = append(out, "pdfsig -nocert "+f)
	}
	return out
}

func (d *demo) engineerKey() string { return d.people[engineer].enrolment().KeyID }

func (d *demo) summary(ctx context.Context) error {
	s, err := d.summarise(ctx)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("summary.json"), append(b, '\n'), 0o644); err != nil {
		return err
	}
	d.print(s)
	return nil
}

func (d *demo) print(s *Summary) {
	p := func(format string, args ...any) { fmt.Fprintf(d.o.Out, format+"\n", args...) }
	p("\nA model's whole life, sworn: %d entries in log %s, in %.0f seconds", s.LogSize, s.Origin, s.Seconds)
	p("\n%s", s.Checkpoint)
	p("recorded deny rate by race: African American %.5f, others %.5f", s.DenyRates["afam=yes"], s.DenyRates["afam=no"])
	p("\nversions of %s (held-out rows)\n  %-3s %-24s %-6s %7s %7s %7s %12s %14s", modelName, "v", "algorithm", "entry", "AUC", "ECE", "Brier", "impact race", "impact single")
	for _, v := range s.Versions {
		row := fmt.Sprintf("  %-3s %-24s %-6d", v.Version, v.Algorithm, v.Entry)
		for i, name := range headline {
			row += fmt.Sprintf(" %*.4f", []int{7, 7, 7, 12, 14}[i], v.Metrics[name])
		}
		if v.Version == s.Serving {
			row += "  serving"
		}
		p("%s", row)
	}
	p("\nwindows")
	for _, w := range s.Windows {
		p("  %-12s %4d applicants  %-8s entry %d", w.Name, w.Rows, w.Verdict, w.Entry)
	}
	p("canary: %s after %d simulated requests, entry %d", s.Canary.Verdict, s.Canary.Requests, s.Canary.Entry)
	for _, r := range d.refused {
		p("refused: %s tried to %s: %s", r.Actor, r.Tried, r.Reason)
	}
	p("\nevidence pack: %s (%d attestations, verified offline)\ntrusted root:  %s\ndocuments:     %s", s.Files["pack"], s.Pack.Attestations, s.Files["trustedRoot"], s.Files["documents"])
	p("\nCheck it with tools that we did not write:")
	for _, c := range s.Commands {
		p("  %s", c)
	}
}
