package demo

import (
	"bytes"
	"context"

	"affidavit/attest"
	"affidavit/examples/lending"
	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/pipeline/dataset"
	"affidavit/pipeline/feature"
	"affidavit/pipeline/registry"
	"affidavit/pipeline/trigger"
	"affidavit/templates"
)

// modelName is the model of the inventory, and the endpoint that serves it.
const modelName = "mortgage-denial"

// publish logs the policy and the inventory entry, each signed by who answers for it.
func (d *demo) publish(ctx context.Context) error {
	text, err := templates.FS.ReadFile("policies/credit-high-risk.yaml")
	if err != nil {
		return err
	}
	res, err := govern.PolicyResult(text)
	if err != nil {
		return err
	}
	d.policy = res.Predicate.(attest.PolicyPublication).Digest
	if _, err := d.submit(ctx, riskOfficer, stepOf(attest.KindPolicy), res); err != nil {
		return err
	}
	res, err = registry.Inventory(attest.InventoryEntry{
		Model: modelName, UseCase: "mortgage applications",
		IntendedUse:   "Rank mortgage applications by the probability that a loan officer of 1990 would have denied them, for research and for showing this tool.",
		ProhibitedUse: "Any decision about a person living now.",
		Owner:         owner, Developer: engineer, Exposure: "high", Purpose: "credit decisions", RiskTier: "high", Protected: []string{"afam", "single"},
		Limits: []string{
			"The label is a past human decision: a model of it repeats the decisions of 1990.",
			"Denied applicants were never observed repaying or defaulting: there is no reject inference.",
			"The data cover one metropolitan area and one year.",
		},
	})
	if err != nil {
		return err
	}
	_, err = d.submit(ctx, owner, stepOf(attest.KindInventory), res)
	return err
}

// prepareData logs the data version, its validation, the feature set with the
// split, and the two configurations.
func (d *demo) prepareData(ctx context.Context) error {
	schema, err := dataset.ParseSchema(lending.Schema)
	if err != nil {
		return err
	}
	if d.table, err = dataset.ReadCSV(bytes.NewReader(lending.CSV), schema, dataset.DefaultLimits()); err != nil {
		return err
	}
	res, err := dataset.Register(d.table, lending.CSV, "boston-mortgages", "1990", "Federal Reserve Bank of Boston, 1990; as HMDA in the R package AER", "public data, distributed with AER (GPL-2 | GPL-3)")
	if err != nil {
		return err
	}
	d.data = res.Relations[0].Ref
	if _, err := d.submit(ctx, engineer, stepOf(attest.KindDataVersion), res); err != nil {
		return err
	}
	if err := d.validate(ctx); err != nil {
		return err
	}
	if err := d.registerFeatures(ctx); err != nil {
		return err
	}
	return d.configure(ctx)
}

func (d *demo) validate(ctx context.Context) error {
	suite, err := dataset.ParseSuite(lending.Expectations)
	if err != nil {
		return err
	}
	_, err = d.machine(ctx, lineage.Step{Kind: attest.KindDataValidation}, func(context.Context, lineage.Run) (lineage.Result, error) {
		report, err := d.table.Validate(suite)
		if err != nil {
			return lineage.Result{}, err
		}
		if report.LabelRates, err = d.table.LabelRates("deny", "yes"); err != nil {
			return lineage.Result{}, err
		}
		return dataset.ValidationResult(report, d.data)
	})
	return err
}

// Parts of the split: what models learn from, what they are judged on, and
// the applicants whom the deployed model meets.
const (
	partTrain = "train"
	partTest  = "test"
	partServe = "serve"
)

func (d *demo) registerFeatures(ctx context.Context) error {
	var err error
	if d.def, err = feature.ParseDefinition(lending.Features); err != nil {
		return err
	}
	d.split, err = d.table.Split(dataset.SplitSpec{Seed: seed, Stratify: "deny",
		Parts: []dataset.Part{{Name: partTrain, Share: .5}, {Name: partTest, Share: .2}, {Name: partServe, Share: .3}}})
	if err != nil {
		return err
	}
	res, err := feature.Register(d.def, d.data, d.split)
	if err != nil {
		return err
	}
	d.features = res.Relations[1].Ref
	_, err = d.submit(ctx, engineer, stepOf(attest.KindFeatureSet), res)
	return err
}

// configure logs what training and retraining will do, signed by the engineer:
// whoever configures them contributes to what they make.
func (d *demo) configure(ctx context.Context) error {
	res, ref, err := trigger.PipelineResult("train-and-evaluate", trigger.TypeTraining, map[string]any{
		"algorithms": []string{"logistic_regression", "gradient_boosted_trees"}, "seed": seed, "part": partTrain, "threshold": threshold})
	if err != nil {
		return err
	}
	d.training = ref
	if _, err := d.submit(ctx, engineer, stepOf(attest.KindPipeline), res); err != nil {
		return err
	}
	res, ref, err = trigger.PipelineResult("retrain-on-drift", trigger.TypeTrigger, map[string]any{
		"on": "drift", "consecutive_alerts": driftPolicy().Consecutive, "runs": d.training.Digest})
	if err != nil {
		return err
	}
	d.trigger = ref
	_, err = d.submit(ctx, engineer, stepOf(attest.KindPipeline), res)
	return err
}
