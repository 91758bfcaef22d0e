package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"

	"affidavit/rbac/sod"
)

// maxCost bounds the work of one condition, in CEL's units (about one per
// operation), so that no policy can stall the sequencer.
const maxCost = 200_000

// compiler type-checks conditions. The environment has CEL's standard library
// and three variables; there is no clock and no input or output in it.
type compiler struct{ env *cel.Env }

func newCompiler() (*compiler, error) {
	object := cel.MapType(cel.StringType, cel.DynType)
	env, err := cel.NewEnv(
		cel.Variable("predicate", object), // the statement's predicate
		cel.Variable("entry", object),     // index, pae, keyId, stamp
		cel.Variable("step", object),      // kind, project, actor, onBehalfOf, relations
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ParserRecursionLimit(64),
	)
	if err != nil {
		return nil, fmt.Errorf("condition language: %w", err)
	}
	return &compiler{env}, nil
}

type condition struct{ program cel.Program }

func (c *compiler) compile(text string) (*condition, error) {
	if len(text) > maxCondition {
		return nil, fmt.Errorf("it has %d bytes; at most %d are allowed", len(text), maxCondition)
	}
	ast, issues := c.env.Compile(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("it does not type-check: %s", oneLine(issues.Err()))
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("it yields %s, not bool; compare the value, for instance with == true", ast.OutputType())
	}
	program, err := c.env.Program(ast, cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("it does not compile: %s", oneLine(err))
	}
	return &condition{program}, nil
}

// holds evaluates the condition over an entry. An error says why there is no
// answer, such as a field that the predicate does not have.
func (c *condition) holds(e sod.Entry) (bool, error) {
	if len(e.Predicate) == 0 {
		return false, errors.New("its content was erased")
	}
	var predicate map[string]any
	if err := json.Unmarshal(e.Predicate, &predicate); err != nil || predicate == nil {
		return false, errors.New("its content is not a JSON object")
	}
	relations := make([]any, len(e.Relations))
	for i, r := range e.Relations {
		relations[i] = map[string]any{"type": string(r.Type), "kind": r.Kind, "digest": r.Digest, "name": r.Name}
	}
	out, _, err := c.program.Eval(map[string]any{
		"predicate": predicate,
		"entry":     map[string]any{"index": e.Index, "pae": e.PAE, "keyId": e.KeyID, "stamp": e.Stamp},
		"step": map[string]any{"kind": e.Kind, "project": e.Project, "actor": e.Actor,
			"onBehalfOf": e.OnBehalfOf, "relations": relations},
	})
	if err != nil {
		return false, errors.New(oneLine(err))
	}
	met, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it yields %v, not true or false", out.Type())
	}
	return met, nil
}

// oneLine keeps the first line of CEL's messages, which go on with a drawing.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(line, "ERROR: <input>:")
}
