package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"

	"affidavit/pipeline/dataset"
	"affidavit/pipeline/evaluate"
	"affidavit/serving/runtime"
)

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// cells lays out columns of a table as the evaluation wants them.
func cells(t *dataset.Table, columns []string) *evaluate.Table {
	out := &evaluate.Table{Rows: make([][]evaluate.Cell, t.Rows())}
	for i := range out.Rows {
		out.Rows[i] = make([]evaluate.Cell, len(columns))
	}
	for c, name := range columns {
		if numbers, ok := t.Numeric(name); ok {
			out.Columns = append(out.Columns, evaluate.Column{Name: name, Kind: evaluate.Numeric})
			for i, x := range numbers {
				out.Rows[i][c] = evaluate.Cell{Number: x, Missing: math.IsNaN(x)}
			}
			continue
		}
		texts, _ := t.Text(name)
		out.Columns = append(out.Columns, evaluate.Column{Name: name, Kind: evaluate.Categorical})
		for i, s := range texts {
			out.Rows[i][c] = evaluate.Cell{Text: s, Missing: s == ""}
		}
	}
	return out
}

// scorerOf runs the exported graph; a row that it cannot score gives NaN.
func scorerOf(ctx context.Context, m *runtime.Model, columns []evaluate.Column) evaluate.Scorer {
	return func(rows [][]evaluate.Cell) ([]float64, error) {
		in := make(map[string]*runtime.Tensor, len(columns))
		for c, col := range columns {
			if col.Kind == evaluate.Numeric {
				v := make([]float32, len(rows))
				for i, r := range rows {
					v[i] = float32(r[c].Number)
					if r[c].Missing {
						v[i] = float32(math.NaN())
					}
				}
				in[col.Name] = runtime.Floats(v, len(rows), 1)
				continue
			}
			v := make([]string, len(rows))
			for i, r := range rows {
				v[i] = r[c].Text
			}
			in[col.Name] = runtime.Strings(v, len(rows), 1)
		}
		out, err := m.Run(ctx, in)
		if err != nil {
			return nil, err
		}
		p := out["probabilities"].F32
		scores := make([]float64, len(rows))
		for i := range scores {
			scores[i] = float64(p[2*i+1])
		}
		return scores, nil
	}
}
