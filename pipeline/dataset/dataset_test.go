package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const lendingCSV = "../../examples/lending/hmda_boston_1990.csv"

func lending(t *testing.T) *Table {
	t.Helper()
	f, err := os.Open(lendingCSV)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := ReadCSV(f, nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func read(t *testing.T, text string) *Table {
	t.Helper()
	table, err := ReadCSV(strings.NewReader(text), nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLendingFigures(t *testing.T) {
	table := lending(t)
	data, err := os.ReadFile(lendingCSV)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); table.FileDigest() != hex.EncodeToString(sum[:]) || table.FileBytes() != int64(len(data)) {
		t.Error("the file digest is not the SHA-256 of the file")
	}
	if table.Rows() != 2380 || len(table.Columns()) != 14 {
		t.Fatalf("%d rows, %d columns", table.Rows(), len(table.Columns()))
	}
	deny, err := table.Binary("deny", "yes")
	if err != nil {
		t.Fatal(err)
	}
	// Published figures of the Boston data: 285 of 2380 denied, 96 of 339 and 189 of 2041 by race.
	for _, group := range []struct {
		value          string
		rows, denied   int
		expectedToFive float64
	}{{"yes", 339, 96, .28319}, {"no", 2041, 189, .09260}} {
		indices, err := table.Where("afam", group.value)
		if err != nil {
			t.Fatal(err)
		}
		denied := 0.0
		for _, i := range indices {
			denied += deny[i]
		}
		if len(indices) != group.rows || int(denied) != group.denied {
			t.Errorf("afam %s: %v of %d denied", group.value, denied, len(indices))
		}
		if rate := denied / float64(len(indices)); math.Abs(rate-group.expectedToFive) > 5e-6 {
			t.Errorf("afam %s: deny rate %.6f, published %.5f", group.value, rate, group.expectedToFive)
		}
	}
	profile := table.Profile()
	if m := profile.Columns[1].Numbers.Mean; math.Abs(m-.3308136) > 5e-8 {
		t.Errorf("mean pirat %.8f, published .3308136", m)
	}
	if top := profile.Columns[0].Top; !slices.Equal(top, []CategoryCount{{"no", 2095}, {"yes", 285}}) {
		t.Errorf("deny counts %v", top)
	}
}

func TestInference(t *testing.T) {
	table := read(t, "a,b,c,d\n1,x,,\n-2.5e3,,7,\n+.5,1,,\n")
	for j, want := range []Field{
		{Name: "a", Type: Numeric, Role: RoleInput},
		{Name: "b", Type: Categorical, Role: RoleInput, Categories: []string{"1", "x"}, Nullable: true},
		{Name: "c", Type: Numeric, Role: RoleInput, Nullable: true},
		{Name: "d", Type: Categorical, Role: RoleInput, Nullable: true},
	} {
		if got := table.Schema().Fields[j]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("inferred %+v, want %+v", got, want)
		}
	}
	if a, _ := table.Numeric("a"); !slices.Equal(a, []float64{1, -2500, .5}) {
		t.Errorf("a = %v", a)
	}
	if c, _ := table.Numeric("c"); !math.IsNaN(c[0]) || c[1] != 7 {
		t.Errorf("c = %v", c)
	}
	if _, ok := table.Numeric("b"); ok {
		t.Error("a categorical column was given as numbers")
	}
}

func TestReadRefuses(t *testing.T) {
	limits := Limits{MaxBytes: 2000, MaxRows: 3, MaxColumns: 4, MaxCells: 8, MaxCellBytes: 10}
	for _, c := range []struct{ name, text, want string }{
		{"empty file", "", "the file is empty"},
		{"header only", "a,b\n", "no rows"},
		{"duplicate header", "a,b,a\n1,2,3\n", `header, column "a": columns 1 and 3 have the same name`},
		{"empty header", "a,\n1,2\n", `header, column "#2": the name is empty`},
		{"control in header", "a\x01,b\n1,2\n", "control character U+0001"},
		{"ragged row", "a,b\n1,2\n3\n", "row 2: the row has more or fewer cells than the header"},
		{"bare quote", "a,b\n1,2\n3,x\"y\n", "row 2: line 3"},
		{"control in cell", "a,b\n1,2\n3,x\ty\n", `row 2, column "b": control character U+0009`},
		{"newline in cell", "a,b\n1,\"x\ny\"\n", `row 1, column "b": control character U+000A`},
		{"bidi", "a,b\n1,x\u202ey\n", `row 1, column "b": text direction control U+202E`},
		{"bidi isolate", "a,b\n1,x\u2067y\n", "U+2067"},
		{"zero width", "a,b\n1,x\u200by\n", "invisible character U+200B"},
		{"not UTF-8", "a,b\n1,x\xff\n", `row 1, column "b": not valid UTF-8`},
		{"blank at end", "a,b\n1,yes \n", "blank at the beginning or end"},
		{"empty line", "a,b\n1,2\n\n3,4\n", "remove the empty lines"},
		{"empty line at end", "a,b\n1,2\n\n", "remove the empty lines"},
		{"too many rows", "a\n1\n2\n3\n4\n", "row 4: more than 3 rows"},
		{"too many cells", "a,b,c\n1,2,3\n1,2,3\n1,2,3\n", "row 3: more than 3 rows or 8 cells"},
		{"too many columns", "a,b,c,d,e\n1,2,3,4,5\n", "5 columns, more than 4"},
		{"long cell", "a,b\n1,abcdefghijk\n", `row 1, column "b": the cell has 11 bytes`},
		{"long file", "a,b\n1,\"" + strings.Repeat("x", 2000) + "\"\n", "more than 2000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := ReadCSV(strings.NewReader(c.text), nil, limits)
			if table != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if strings.Contains(c.name, "too many") || strings.HasPrefix(c.name, "long") {
				if !errors.Is(err, ErrTooLarge) {
					t.Errorf("%v is not ErrTooLarge", err)
				}
			}
		})
	}
}

func TestReadAgainstSchema(t *testing.T) {
	schema, err := ParseSchema([]byte(`
fields:
  - {name: kind, type: categorical, role: input, categories: [a, b]}
  - {name: ratio, type: numeric, role: input, unit: fraction, min: 0, max: 2, nullable: true}
  - {name: code, type: categorical, role: protected, nullable: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	table, err := ReadCSV(strings.NewReader("\xef\xbb\xbfcode,ratio,kind\n1,.5,a\n,,b\n"), schema, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Columns(); !slices.Equal(got, []string{"kind", "ratio", "code"}) {
		t.Errorf("columns %v are not in schema order", got)
	}
	if code, ok := table.Text("code"); !ok || code[0] != "1" || code[1] != "" {
		t.Errorf("code = %v: declared categorical, so kept as text", code)
	}
	for _, c := range []struct{ text, want string }{
		{"kind,ratio,code\na,3,x\n", `row 1, column "ratio": 3 is above the declared max 2`},
		{"kind,ratio,code\na,-1,x\n", "below the declared min 0"},
		{"kind,ratio,code\na,x,x\n", `"x" is not a decimal number`},
		{"kind,ratio,code\na,1e999,x\n", "not a finite decimal number"},
		{"kind,ratio,code\na,0x1,x\n", "not a decimal number"},
		{"kind,ratio,code\na,NaN,x\n", "not a decimal number"},
		{"kind,ratio,code\na,Inf,x\n", "not a decimal number"},
		{"kind,ratio,code\nc,1,x\n", `row 1, column "kind": "c" is not among the 2 declared categories`},
		{"kind,ratio,code\n,1,x\n", `row 1, column "kind": missing value`},
		{"kind,ratio\na,1\n", `column "code": the schema declares this column, but the file lacks it`},
		{"kind,ratio,code,more\na,1,x,y\n", `column "more": the schema does not declare this column`},
	} {
		if _, err := ReadCSV(strings.NewReader(c.text), schema, Limits{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestSchemaRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`fields: []`, "fields is empty"},
		{`fields: [{name: a, type: number, role: input}]`, `type "number" is unknown`},
		{`fields: [{name: a, type: numeric, role: target}]`, `role "target" is unknown`},
		{`fields: [{name: a, type: numeric, role: input}, {name: a, type: numeric, role: input}]`, "declared twice"},
		{`fields: [{name: a, type: numeric, role: label}, {name: b, type: numeric, role: label}]`, "both \"a\" and \"b\""},
		{`fields: [{name: a, type: numeric, role: input, min: 2, max: 1}]`, "min 2 is above max 1"},
		{`fields: [{name: a, type: numeric, role: input, min: .nan}]`, "finite"},
		{`fields: [{name: a, type: numeric, role: input, categories: [x]}]`, "categories are set on a numeric"},
		{`fields: [{name: a, type: categorical, role: input, max: 1}]`, "min or max is set on a categorical"},
		{`fields: [{name: a, type: categorical, role: input, unit: m}]`, "unit is set on a categorical"},
		{`fields: [{name: a, type: categorical, role: input, categories: [x, x]}]`, "listed twice"},
		{`fields: [{name: a, type: categorical, role: input, categories: [""]}]`, "nullable: true"},
		{`fields: [{name: "", type: numeric, role: input}]`, "the name is empty"},
		{`fields: [{name: a, type: numeric, role: input, colour: red}]`, "colour"},
		{"fields: [{name: a, type: numeric, role: input}]\n---\nfields: []", "more than one document"},
	} {
		if _, err := ParseSchema([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestRowsDigest(t *testing.T) {
	base := read(t, "x,y\n0.80,a\n,\"b\"\"<\"\n-0,c\n")
	// The canonical form, written out by hand.
	canonical := "[\"x\",\"y\"]\n[0.8,\"a\"]\n[null,\"b\\\"<\"]\n[0,\"c\"]\n"
	sum := sha256.Sum256([]byte(canonical))
	if got := base.RowsDigest(); got != hex.EncodeToString(sum[:]) {
		t.Errorf("digest %s is not that of %q", got, canonical)
	}
	same := read(t, "x,y\r\n8e-1,\"a\"\r\n,\"b\"\"<\"\r\n0,c\r\n")
	if same.RowsDigest() != base.RowsDigest() || same.FileDigest() == base.FileDigest() {
		t.Error("spelling must change the file digest and not the digest of rows")
	}
	for _, other := range []string{
		"x,y\n,\"b\"\"<\"\n0.80,a\n-0,c\n",
		"y,x\na,0.80\n\"b\"\"<\",\nc,0\n",
		"x,y\n0.81,a\n,\"b\"\"<\"\n0,c\n",
		"x,y\n0.80,a\n0,\"b\"\"<\"\n0,c\n",
	} {
		if read(t, other).RowsDigest() == base.RowsDigest() {
			t.Errorf("%q has the digest of other rows", other)
		}
	}
}

func TestSelectAndWriteCSV(t *testing.T) {
	table := read(t, "n,s\n1,=SUM(A1)\n-2,-3x\n,@x\n1e21,+1y\n0.1,\"a,\"\"b\"\"\"\n")
	picked, err := table.Select([]int{4, 0, 1, 2, 3, 0})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := picked.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	want := "n,s\n0.1,\"a,\"\"b\"\"\"\n1,'=SUM(A1)\n-2,'-3x\n,'@x\n1e+21,'+1y\n1,'=SUM(A1)\n"
	if out.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", out.String(), want)
	}
	for _, bad := range [][]int{{-1}, {5}} {
		if _, err := table.Select(bad); err == nil || !strings.Contains(err.Error(), "outside the table's 5 rows") {
			t.Errorf("Select(%v): %v", bad, err)
		}
	}
	// A table without formula-like text comes back as it was.
	hmda := lending(t)
	out.Reset()
	if err := hmda.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	again, err := ReadCSV(&out, hmda.Schema(), Limits{})
	if err != nil || again.RowsDigest() != hmda.RowsDigest() {
		t.Errorf("write and read again: %v", err)
	}
}

func TestNewTable(t *testing.T) {
	schema := &Schema{Fields: []Field{{Name: "x", Type: Numeric, Role: RoleInput}, {Name: "s", Type: Categorical, Role: RoleLabel}}}
	table, err := NewTable(schema, map[string][]float64{"x": {1, 2}}, map[string][]string{"s": {"no", "yes"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, "x,s\n1,no\n2,yes\n"); got.RowsDigest() != table.RowsDigest() {
		t.Error("a built table differs from the same table read")
	}
	zero, err := NewTable(schema, map[string][]float64{"x": {0, math.Copysign(0, -1)}}, map[string][]string{"s": {"no", "yes"}})
	if err != nil || zero.RowsDigest() != read(t, "x,s\n-0,no\n0,yes\n").RowsDigest() {
		t.Errorf("negative zero is another value: %v", err)
	}
	if y, err := table.Binary("s", "yes"); err != nil || !slices.Equal(y, []float64{0, 1}) {
		t.Errorf("Binary: %v %v", y, err)
	}
	if _, err := table.Binary("s", "maybe"); err == nil {
		t.Error("a positive value that never occurs was accepted")
	}
	for _, c := range []struct {
		x    []float64
		s    []string
		want string
	}{
		{[]float64{1}, []string{"a", "b"}, "has 2 rows"},
		{[]float64{math.NaN()}, []string{"a"}, "missing value"},
		{[]float64{math.Inf(1)}, []string{"a"}, "infinite"},
		{[]float64{1}, []string{""}, "missing value"},
		{[]float64{1}, []string{"\x00"}, "control"},
	} {
		if _, err := NewTable(schema, map[string][]float64{"x": c.x}, map[string][]string{"s": c.s}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewTable(%v, %q): %v, want %q", c.x, c.s, err, c.want)
		}
	}
}

func TestProfile(t *testing.T) {
	// Quantiles and standard deviation as R's quantile(type=7) and sd give them for c(1, 2, 4, 8, 16).
	p := read(t, "x,s,none\n16,b,\n1,a,\n8,b,\n2,,\n4,c,\n,a,\n").Profile()
	x := p.Columns[0]
	want := NumberProfile{Mean: 6.2, Min: 1, Q05: 1.2, Q25: 2, Median: 4, Q75: 8, Q95: 14.4, Max: 16}
	got := *x.Numbers
	if math.Abs(*got.SD-6.09918) > 1e-5 {
		t.Errorf("sd %v", *got.SD)
	}
	got.SD = nil
	for _, d := range []float64{got.Mean - want.Mean, got.Q05 - want.Q05, got.Q25 - want.Q25, got.Median - want.Median, got.Q75 - want.Q75, got.Q95 - want.Q95, got.Min - want.Min, got.Max - want.Max} {
		if math.Abs(d) > 1e-12 {
			t.Errorf("numbers %+v, want %+v", got, want)
			break
		}
	}
	if x.Count != 5 || x.Missing != 1 || x.Distinct != 5 {
		t.Errorf("counts %+v", x)
	}
	if s := p.Columns[1]; !slices.Equal(s.Top, []CategoryCount{{"a", 2}, {"b", 2}, {"c", 1}}) || s.Missing != 1 || s.Others != nil {
		t.Errorf("categories %+v", s)
	}
	if none := p.Columns[2]; none.Missing != 6 || none.Count != 0 || len(none.Top) != 0 {
		t.Errorf("empty column %+v", none)
	}
	var ids strings.Builder
	ids.WriteString("id\n")
	for i := range 60 {
		fmt.Fprintf(&ids, "id%02d\n", i)
	}
	id := read(t, ids.String()).Profile().Columns[0]
	if len(id.Top) != profileCategories || *id.Others != (OtherCategories{10, 10}) || id.Distinct != 60 {
		t.Errorf("an identifier column is listed in full: %+v", id)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Errorf("a profile has no JSON form: %v", err)
	}
}

func TestPublicTablesRead(t *testing.T) {
	folder := os.Getenv("AFFIDAVIT_TESTDATA")
	if folder == "" {
		t.Skip("AFFIDAVIT_TESTDATA names no folder with data/: the larger public tables are not read")
	}
	for name, rows := range map[string]int{"german_credit.csv": 1000, "credit_data_spain_modeldata.csv": 4454, "taiwan_credit_default_2005.csv": 30000, "bank_marketing_full.csv": 45211, "acs_ma_employment_2018.csv": 70131} {
		f, err := os.Open(filepath.Join(folder, "data", name))
		if err != nil {
			t.Fatal(err)
		}
		table, err := ReadCSV(f, nil, Limits{})
		f.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if table.Rows() != rows {
			t.Errorf("%s: %d rows, want %d", name, table.Rows(), rows)
		}
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,x\n2,\n"))
	f.Add([]byte("a\n\"1\"\n"))
	f.Add([]byte("\xef\xbb\xbfa,b\r\n1e5,\xff\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := ReadCSV(bytes.NewReader(data), nil, Limits{MaxBytes: 1 << 16, MaxCells: 1000})
		if err != nil {
			return
		}
		table.Profile()
		var out bytes.Buffer
		if err := table.WriteCSV(&out); err != nil || strings.Contains(out.String(), "'") {
			return // escaped text, or an apostrophe of its own, need not come back unchanged
		}
		again, err := ReadCSV(&out, table.Schema(), Limits{})
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%q", err, out.String())
		}
		if again.RowsDigest() != table.RowsDigest() {
			t.Fatalf("written and read again, the rows differ")
		}
	})
}
