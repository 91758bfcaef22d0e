package dataset

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Limits bounds what ReadCSV accepts. A zero field takes the default of DefaultLimits.
type Limits struct {
	MaxBytes     int64 // size of the file
	MaxRows      int   // data rows, without the header
	MaxColumns   int
	MaxCells     int // rows × columns
	MaxCellBytes int // bytes of one cell
}

// DefaultLimits returns the limits used when none are given.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 128 << 20, MaxRows: 2_000_000, MaxColumns: 1024, MaxCells: 50_000_000, MaxCellBytes: 4096}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.MaxBytes > 0 {
		d.MaxBytes = l.MaxBytes
	}
	if l.MaxRows > 0 {
		d.MaxRows = l.MaxRows
	}
	if l.MaxColumns > 0 {
		d.MaxColumns = l.MaxColumns
	}
	if l.MaxCells > 0 {
		d.MaxCells = l.MaxCells
	}
	if l.MaxCellBytes > 0 {
		d.MaxCellBytes = l.MaxCellBytes
	}
	return d
}

// CellError is a refusal of one cell, or of a whole row when Column is empty.
// Row counts data rows from 1; row 0 is the header.
type CellError struct {
	Row    int
	Column string
	Err    error
}

func (e *CellError) Error() string {
	place := "header"
	if e.Row > 0 {
		place = fmt.Sprintf("row %d", e.Row)
	}
	if e.Column != "" {
		place += fmt.Sprintf(", column %q", clip(e.Column))
	}
	return place + ": " + e.Err.Error()
}

func (e *CellError) Unwrap() error { return e.Err }

// ErrTooLarge is wrapped by every refusal that a limit causes.
var ErrTooLarge = errors.New("too large")

// ReadCSV reads a comma-separated UTF-8 file with a header line; an empty cell is a missing value.
//
// With a schema, the columns must be exactly the declared ones in any order of the file; the table has the schema's
// order. Without one, the schema is inferred: a column whose every present cell is a finite decimal number is numeric,
// any other is categorical with the values seen as its categories; every role is input. Input is untrusted: sizes are
// bounded, control and text-direction characters are refused, and errors name row and column (*CellError).
func ReadCSV(r io.Reader, schema *Schema, limits Limits) (*Table, error) {
	if schema != nil {
		if err := schema.Validate(); err != nil {
			return nil, err
		}
	}
	limits = limits.withDefaults()
	src := &source{r: r, hash: sha256.New(), limit: limits.MaxBytes}
	header, cells, err := readCells(src, limits)
	if err != nil {
		return nil, err
	}
	if schema == nil {
		if schema, err = inferSchema(header, cells); err != nil {
			return nil, err
		}
	}
	order, err := columnOrder(header, schema)
	if err != nil {
		return nil, err
	}
	t := emptyTable(schema)
	t.rows = len(cells[0])
	for j, f := range schema.Fields {
		if err := t.fill(j, f, cells[order[j]]); err != nil {
			return nil, err
		}
		cells[order[j]] = nil // lets the raw text of a numeric column go
	}
	t.fileDigest, t.fileBytes = hex.EncodeToString(src.hash.Sum(nil)), src.bytes
	return t, nil
}

// source hashes and bounds the raw bytes, and counts lines so that empty ones, which encoding/csv skips, are noticed.
type source struct {
	r        io.Reader
	hash     hash.Hash
	limit    int64
	bytes    int64
	newlines int
	lastByte byte
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.bytes += int64(n)
	if s.bytes > s.limit {
		return 0, fmt.Errorf("csv: the file has more than %d bytes: %w", s.limit, ErrTooLarge)
	}
	s.hash.Write(p[:n])
	for _, b := range p[:n] {
		if b == '\n' {
			s.newlines++
		}
	}
	if n > 0 {
		s.lastByte = p[n-1]
	}
	return n, err
}

func (s *source) lines() int {
	if s.bytes > 0 && s.lastByte != '\n' {
		return s.newlines + 1
	}
	return s.newlines
}

// readCells returns the header and the raw cells by file column. Equal texts of a column share their memory.
func readCells(src *source, limits Limits) (header []string, cells [][]string, err error) {
	buffered := bufio.NewReaderSize(src, 1<<16)
	skipByteOrderMark(buffered)
	reader := csv.NewReader(buffered)
	reader.ReuseRecord = true
	record, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("csv: the file is empty; it needs a header line")
	}
	if err != nil {
		return nil, nil, csvError(err)
	}
	if header, err = checkHeader(record, limits); err != nil {
		return nil, nil, err
	}
	cells = make([][]string, len(header))
	interned := make([]map[string]string, len(header))
	for j := range interned {
		interned[j] = make(map[string]string)
	}
	rows := 0
	for ; ; rows++ {
		record, err = reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, csvError(err)
		}
		if rows == limits.MaxRows || (rows+1)*len(header) > limits.MaxCells {
			return nil, nil, &CellError{Row: rows + 1, Err: fmt.Errorf("more than %d rows or %d cells: %w",
				limits.MaxRows, limits.MaxCells, ErrTooLarge)}
		}
		for j, cell := range record {
			if err := checkCell(cell, limits); err != nil {
				return nil, nil, &CellError{Row: rows + 1, Column: header[j], Err: err}
			}
			cells[j] = append(cells[j], intern(interned[j], cell))
		}
	}
	if rows == 0 {
		return nil, nil, errors.New("csv: the file has a header but no rows")
	}
	if lines := src.lines(); lines != rows+1 {
		return nil, nil, fmt.Errorf("csv: %d lines hold %d rows and a header; remove the empty lines", lines, rows)
	}
	return header, cells, nil
}

func skipByteOrderMark(r *bufio.Reader) {
	if mark, err := r.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		_, _ = r.Discard(3) // cannot fail: the bytes are buffered
	}
}

// intern bounds its map, so that a column of distinct texts costs no second copy of itself.
func intern(known map[string]string, cell string) string {
	const limit = 4096
	if text, ok := known[cell]; ok {
		return text
	}
	text := strings.Clone(cell)
	if len(known) < limit {
		known[text] = text
	}
	return text
}

func checkHeader(record []string, limits Limits) ([]string, error) {
	if len(record) > limits.MaxColumns {
		return nil, &CellError{Err: fmt.Errorf("%d columns, more than %d: %w", len(record), limits.MaxColumns, ErrTooLarge)}
	}
	header := make([]string, len(record))
	seen := make(map[string]int, len(record))
	for j, name := range record {
		if err := checkName(name); err != nil {
			return nil, &CellError{Column: fmt.Sprintf("#%d", j+1), Err: err}
		}
		if before, ok := seen[name]; ok {
			return nil, &CellError{Column: name, Err: fmt.Errorf("columns %d and %d have the same name; rename one", before+1, j+1)}
		}
		seen[name] = j
		header[j] = strings.Clone(name)
	}
	return header, nil
}

func checkCell(cell string, limits Limits) error {
	if len(cell) > limits.MaxCellBytes {
		return fmt.Errorf("the cell has %d bytes, more than %d: %w", len(cell), limits.MaxCellBytes, ErrTooLarge)
	}
	return checkText(cell)
}

func csvError(err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	row := parse.StartLine - 1
	if errors.Is(parse.Err, csv.ErrFieldCount) {
		return &CellError{Row: row, Err: errors.New("the row has more or fewer cells than the header")}
	}
	return &CellError{Row: row, Err: fmt.Errorf("line %d, byte %d: %w", parse.Line, parse.Column, parse.Err)}
}

// columnOrder maps each schema position to its position in the file.
func columnOrder(header []string, schema *Schema) ([]int, error) {
	position := make(map[string]int, len(header))
	for j, name := range header {
		if _, ok := schema.Field(name); !ok {
			return nil, &CellError{Column: name, Err: errors.New("the schema does not declare this column; declare it (role ignored keeps it unused) or remove it")}
		}
		position[name] = j
	}
	order := make([]int, len(schema.Fields))
	for k, f := range schema.Fields {
		j, ok := position[f.Name]
		if !ok {
			return nil, &CellError{Column: f.Name, Err: errors.New("the schema declares this column, but the file lacks it")}
		}
		order[k] = j
	}
	return order, nil
}

func (t *Table) fill(j int, f Field, raw []string) error {
	if f.Type == Numeric {
		values := make([]float64, len(raw))
		for i, cell := range raw {
			v, err := parseNumber(cell)
			if err == nil {
				err = f.checkNumber(v)
			}
			if err != nil {
				return &CellError{Row: i + 1, Column: f.Name, Err: err}
			}
			values[i] = v
		}
		t.numbers[j] = values
		return nil
	}
	allowed := categorySet(f)
	for i, cell := range raw {
		if err := f.checkCategory(cell, allowed); err != nil {
			return &CellError{Row: i + 1, Column: f.Name, Err: err}
		}
	}
	t.texts[j] = raw
	return nil
}

// parseNumber accepts plain decimal notation only: no hexadecimal, no digit separators, no infinities, no "NaN".
func parseNumber(cell string) (float64, error) {
	if cell == "" {
		return math.NaN(), nil
	}
	for i := range len(cell) {
		switch c := cell[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, fmt.Errorf("%q is not a decimal number", clip(cell))
		}
	}
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a finite decimal number", clip(cell))
	}
	if v == 0 {
		v = 0 // negative zero and zero are one value
	}
	return v, nil
}

func inferSchema(header []string, cells [][]string) (*Schema, error) {
	s := &Schema{Fields: make([]Field, len(header))}
	for j, name := range header {
		f := Field{Name: name, Type: Numeric, Role: RoleInput}
		seen := make(map[string]bool)
		for _, cell := range cells[j] {
			if cell == "" {
				f.Nullable = true
				continue
			}
			if _, err := parseNumber(cell); err != nil {
				f.Type = Categorical
			}
			if len(seen) <= maxCategories {
				seen[cell] = true
			}
		}
		if len(seen) == 0 {
			f.Type = Categorical // every cell is missing: nothing says that it is a number
		}
		if f.Type == Categorical && len(seen) <= maxCategories {
			for value := range seen {
				f.Categories = append(f.Categories, value)
			}
			slices.Sort(f.Categories)
		}
		s.Fields[j] = f
	}
	return s, s.Validate()
}

// WriteCSV writes the table with a header line, canonical numbers, and "\n" line ends.
//
// A text cell that a spreadsheet would run as a formula (it begins with = + - @ or a tab) gets a leading apostrophe, so
// reading such a file back gives the apostrophe too.
func (t *Table) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	record := t.Columns()
	for j, name := range record {
		record[j] = escapeFormula(name)
	}
	single := len(record) == 1
	if err := out.Write(record); err != nil {
		return err
	}
	for i := range t.rows {
		for j, f := range t.schema.Fields {
			switch {
			case f.Type == Categorical:
				record[j] = escapeFormula(t.texts[j][i])
			case math.IsNaN(t.numbers[j][i]):
				record[j] = ""
			default:
				record[j] = formatNumber(t.numbers[j][i])
			}
		}
		if single && record[0] == "" {
			return &CellError{Row: i + 1, Column: t.schema.Fields[0].Name, Err: errors.New("a missing value in a one-column file would be an empty line; add a column")}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func escapeFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
