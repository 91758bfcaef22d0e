package wire

import (
	"crypto/rand"

	"affidavit/lineage"
	"affidavit/lineage/govern"
	"affidavit/pipeline/dataset"
	"affidavit/pipeline/evaluate"
	"affidavit/pipeline/feature"
	"affidavit/pipeline/gate"
	"affidavit/pipeline/registry"
	"affidavit/pipeline/train"
	"affidavit/pipeline/trigger"
	"affidavit/serving/gateway"
	"affidavit/serving/monitor"
)

// Kinds is the one table of step types.
func Kinds() (lineage.Kinds, error) {
	return lineage.NewKinds(
		govern.Kinds(),
		dataset.Kinds(), feature.Kinds(), train.Kinds(), evaluate.Kinds(),
		registry.Kinds(), gate.Kinds(), trigger.Kinds(),
		gateway.Kinds(), monitor.Kinds(),
	)
}

func randomPassphrase() string { return rand.Text() }
