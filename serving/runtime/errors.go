package runtime

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInput marks an error that the caller's tensors caused: a name, type, shape
// or row count that does not fit the model, or a value that an operator refuses.
var ErrInput = errors.New("inference input refused")

// LoadError says why a model was refused and what would make it acceptable.
type LoadError struct {
	Node   string // the node's name or "#position"; empty when the whole file is at fault
	Op     string // domain-qualified operator, for example "ai.onnx.ml.SVMClassifier"
	Reason string
	Remedy string
}

func (e *LoadError) Error() string {
	var b strings.Builder
	b.WriteString("onnx model refused: ")
	if e.Node != "" {
		fmt.Fprintf(&b, "node %q (%s): ", e.Node, e.Op)
	}
	b.WriteString(e.Reason)
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

func refuse(remedy, format string, args ...any) *LoadError {
	return &LoadError{Reason: fmt.Sprintf(format, args...), Remedy: remedy}
}

// inputError is an ErrInput with its text.
type inputError struct{ msg string }

func (e *inputError) Error() string        { return e.msg }
func (e *inputError) Is(target error) bool { return target == ErrInput }

func badInput(format string, args ...any) error {
	return &inputError{fmt.Sprintf(format, args...)}
}

const (
	remedyReexport = "export the model again with a current converter"
	remedySubset   = "use an operator of the subset in the runtime package's documentation, or serve the model from an Open Inference server"
)

// Limits on what is read. A model past them belongs on an inference server.
const (
	maxModelBytes = 128 << 20
	maxNodes      = 20_000
	maxNames      = 4_096   // graph inputs, graph outputs, attributes of a node, metadata entries
	maxNameBytes  = 4_096   // a name, an operator, a metadata key
	maxListItems  = 1 << 25 // numbers and strings in all attributes and tensors together
	maxElements   = 1 << 26 // one tensor
	maxRunVolume  = 1 << 27 // all tensors that one call computes
	maxRank       = 8       // dimensions of a tensor
	keepVolume    = 1 << 18 // scratch that is kept for the next call
	maxMetaBytes  = 1 << 20 // one metadata value
	maxFeatures   = 1 << 24 // feature index of a tree
	maxTargets    = 1 << 16 // classes or targets
	rowsPerBlock  = 64      // rows that walk one tree together
	ctxEvery      = 64      // rows between looks at the context in long loops
)
