package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"strconv"
)

// RowsDigest is the hex SHA-256 of the table's canonical form: one line with the JSON array of column names, then one
// line per row with the JSON array of its values, each ended by "\n". Missing is null, a number is written as ECMAScript
// does, text is escaped as encoding/json does without HTML escaping. So the order of rows and columns matters, while
// quoting, line ends and the spelling of numbers in a file (0.80, 8e-1) do not.
func (t *Table) RowsDigest() string {
	h := sha256.New()
	w := bufio.NewWriterSize(h, 1<<16)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	encode(enc, t.Columns())
	row := make([]any, len(t.schema.Fields))
	for i := range t.rows {
		for j, f := range t.schema.Fields {
			row[j] = nil
			if f.Type == Numeric {
				if v := t.numbers[j][i]; !math.IsNaN(v) {
					row[j] = v + 0 // −0 + 0 is 0
				}
			} else if v := t.texts[j][i]; v != "" {
				row[j] = v
			}
		}
		encode(enc, row)
	}
	_ = w.Flush() // a hash never fails
	return hex.EncodeToString(h.Sum(nil))
}

// encode panics because tables hold finite numbers and text only, and a hash accepts every byte.
func encode(enc *json.Encoder, v any) {
	if err := enc.Encode(v); err != nil {
		panic("dataset: row without a JSON form: " + err.Error())
	}
}

// IndicesDigest is the hex SHA-256 of the indices in decimal, each followed by "\n".
func IndicesDigest(indices []int) string {
	h := sha256.New()
	w := bufio.NewWriter(h)
	for _, i := range indices {
		_, _ = io.WriteString(w, strconv.Itoa(i))
		_ = w.WriteByte('\n')
	}
	_ = w.Flush() // a hash never fails
	return hex.EncodeToString(h.Sum(nil))
}
