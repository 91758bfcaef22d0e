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

// RowsDigest is the hex SHA-256 of what WriteCanonical writes.
func (t *Table) RowsDigest() string {
	h := sha256.New()
	w := bufio.NewWriterSize(h, 1<<16)
	// A hash accepts every byte, so neither call fails.
	_ = t.WriteCanonical(w)
	_ = w.Flush()
	return hex.EncodeToString(h.Sum(nil))
}

// WriteCanonical writes one line with the JSON array of column names, then one line per row with the JSON array of its
// values, each ended by "\n". Missing is null, a number is written as ECMAScript does, text is escaped as encoding/json
// does without HTML escaping. So the order of rows and columns matters, while quoting, line ends and the spelling of
// numbers in a file (0.80, 8e-1) do not.
func (t *Table) WriteCanonical(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t.Columns()); err != nil {
		return err
	}
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
		if err := enc.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

// IndicesText writes indices in decimal, each followed by "\n": the bytes whose SHA-256 is IndicesDigest.
func IndicesText(indices []int) []byte {
	var out []byte
	for _, i := range indices {
		out = append(strconv.AppendInt(out, int64(i), 10), '\n')
	}
	return out
}

// IndicesDigest is the hex SHA-256 of IndicesText.
func IndicesDigest(indices []int) string {
	sum := sha256.Sum256(IndicesText(indices))
	return hex.EncodeToString(sum[:])
}
