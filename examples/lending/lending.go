// Package lending holds the demo's data and declarations: the Boston mortgage
// applications of 1990, their schema, what they are expected to satisfy, and
// which columns a model may see.
package lending

import _ "embed"

// CSV is hmda_boston_1990.csv: 2,380 applications, 14 columns.
//
//go:embed hmda_boston_1990.csv
var CSV []byte

// Schema, Expectations and Features are YAML for pipeline/dataset and pipeline/feature.
var (
	//go:embed schema.yaml
	Schema []byte
	//go:embed expectations.yaml
	Expectations []byte
	//go:embed features.yaml
	Features []byte
)
