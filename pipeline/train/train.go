// Package train fits binary classifiers and writes them as ONNX.
//
// Both trainers are pure functions of their inputs: same rows, same configuration and same seed give the same model and
// the same ONNX bytes, whatever the number of threads.
package train

import (
	"errors"
	"fmt"
	"math"
)

const (
	maxFeatures = 10_000
	maxRows     = 50_000_000
)

// ErrInput is wrapped by every refusal of training data or configuration.
var ErrInput = errors.New("training input")

// Model is a fitted binary classifier.
type Model interface {
	// Predict returns the probability of class 1 for each row. A row of another width than the training rows is an error.
	Predict(rows [][]float64) ([]float64, error)
	// ONNX writes the model behind the encoding of its raw columns; see Graph.
	ONNX(g Graph) ([]byte, error)
	// FeatureNames returns the names of the features, in the order of a row's values.
	FeatureNames() []string
	// Algorithm names the kind of model in a fixed word: "logistic_regression" or "gradient_boosted_trees".
	Algorithm() string
}

// checkData refuses what no trainer can use: ragged rows, labels other than 0 and 1, a single class.
// allowMissing admits NaN among the features; infinities never are.
func checkData(rows [][]float64, labels []float64, names []string, allowMissing bool) (width int, err error) {
	if len(rows) == 0 || len(rows) > maxRows {
		return 0, fmt.Errorf("%w: %d rows; give between 1 and %d", ErrInput, len(rows), maxRows)
	}
	if len(labels) != len(rows) {
		return 0, fmt.Errorf("%w: %d labels for %d rows", ErrInput, len(labels), len(rows))
	}
	width = len(rows[0])
	if width == 0 || width > maxFeatures {
		return 0, fmt.Errorf("%w: %d features; give between 1 and %d", ErrInput, width, maxFeatures)
	}
	if len(names) != width {
		return 0, fmt.Errorf("%w: names has %d entries for %d features", ErrInput, len(names), width)
	}
	positives := 0
	for i, row := range rows {
		if len(row) != width {
			return 0, fmt.Errorf("%w: row %d has %d features, the first row %d", ErrInput, i+1, len(row), width)
		}
		for j, v := range row {
			if math.IsInf(v, 0) || (math.IsNaN(v) && !allowMissing) {
				return 0, fmt.Errorf("%w: row %d, feature %q is %v; it must be finite", ErrInput, i+1, names[j], v)
			}
		}
		switch labels[i] {
		case 1:
			positives++
		case 0:
		default:
			return 0, fmt.Errorf("%w: label of row %d is %v; it must be 0 or 1", ErrInput, i+1, labels[i])
		}
	}
	if positives == 0 || positives == len(rows) {
		return 0, fmt.Errorf("%w: every label is %v; both classes must occur", ErrInput, labels[0])
	}
	return width, nil
}

func checkWidth(rows [][]float64, width int) error {
	for i, row := range rows {
		if len(row) != width {
			return fmt.Errorf("predict: row %d has %d features, the model takes %d", i+1, len(row), width)
		}
	}
	return nil
}

// sigmoid does not overflow for any argument.
func sigmoid(z float64) float64 {
	if z >= 0 {
		return 1 / (1 + math.Exp(-z))
	}
	e := math.Exp(z)
	return e / (1 + e)
}

// logLoss is −log P(y | z) = log(1 + e^z) − y·z, without overflow.
func logLoss(z, y float64) float64 {
	return math.Max(z, 0) - float64(y*z) + math.Log1p(math.Exp(-math.Abs(z)))
}
