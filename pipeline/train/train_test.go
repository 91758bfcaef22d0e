package train

import (
	"cmp"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

const lendingCSV = "../../examples/lending/hmda_boston_1990.csv"

// readColumns reads a CSV file by the standard library alone.
func readColumns(t testing.TB, path string) (header []string, columns map[string][]string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns = make(map[string][]string)
	for j, name := range records[0] {
		for _, r := range records[1:] {
			columns[name] = append(columns[name], r[j])
		}
	}
	return records[0], columns
}

// design makes features from the named columns: numbers as they are, yes/no as 1/0, other text one-hot without its first
// category in text order.
func design(t testing.TB, columns map[string][]string, names []string) (features []string, rows [][]float64) {
	t.Helper()
	rows = make([][]float64, len(columns[names[0]]))
	for _, name := range names {
		col := columns[name]
		if len(col) != len(rows) {
			t.Fatalf("no column %q", name)
		}
		if _, err := strconv.ParseFloat(col[0], 64); err == nil {
			features = append(features, name)
			for i, text := range col {
				v, err := strconv.ParseFloat(text, 64)
				if err != nil {
					t.Fatal(err)
				}
				rows[i] = append(rows[i], v)
			}
			continue
		}
		values := slices.Compact(slices.Sorted(slices.Values(col)))
		for _, value := range values[1:] {
			features = append(features, name+"="+value)
			for i, text := range col {
				v := 0.0
				if text == value {
					v = 1
				}
				rows[i] = append(rows[i], v)
			}
		}
	}
	return features, rows
}

func binary(col []string, positive string) []float64 {
	out := make([]float64, len(col))
	for i, v := range col {
		if v == positive {
			out[i] = 1
		}
	}
	return out
}

// lendingData gives all 13 columns, or those that a governed model may use.
func lendingData(t testing.TB, withProtected bool) (names []string, rows [][]float64, labels []float64) {
	header, columns := readColumns(t, lendingCSV)
	var use []string
	for _, name := range header {
		if name == "deny" || (!withProtected && (name == "afam" || name == "single")) {
			continue
		}
		use = append(use, name)
	}
	names, rows = design(t, columns, use)
	return names, rows, binary(columns["deny"], "yes")
}

func testDataFile(t *testing.T, name string) string {
	folder := os.Getenv("AFFIDAVIT_TESTDATA")
	if folder == "" {
		t.Skip("AFFIDAVIT_TESTDATA names no folder with data/" + name)
	}
	return filepath.Join(folder, "data", name)
}

// auc is the share of (positive, negative) pairs in the right order, ties half: Mann–Whitney by ranks.
func auc(scores, labels []float64) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	rankSum, positives := 0.0, 0.0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && scores[order[j]] == scores[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			if labels[order[k]] == 1 {
				rankSum += float64(i+j+1) / 2
				positives++
			}
		}
		i = j
	}
	n := float64(len(scores))
	return (rankSum - positives*(positives+1)/2) / (positives * (n - positives))
}

// everyThird puts each third row into the held-out part.
func everyThird[T any](all []T) (train, held []T) {
	for i, v := range all {
		if i%3 == 2 {
			held = append(held, v)
		} else {
			train = append(train, v)
		}
	}
	return train, held
}

func TestSigmoidAndLossAtTheEnds(t *testing.T) {
	for _, z := range []float64{-1000, -40, -1, 0, 1, 40, 1000} {
		if p := sigmoid(z); math.IsNaN(p) || p < 0 || p > 1 || math.Abs(p+sigmoid(-z)-1) > 1e-15 {
			t.Errorf("sigmoid(%v) = %v", z, p)
		}
	}
	if l := logLoss(1000, 0); l != 1000 {
		t.Errorf("loss of a wrong certainty %v", l)
	}
	if l := logLoss(-2, 1); math.Abs(l+math.Log(1/(1+math.Exp(2)))) > 1e-15 {
		t.Errorf("loss %v", l)
	}
}
