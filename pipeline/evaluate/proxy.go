package evaluate

import (
	"fmt"
	"math"
)

// ProxyResult says how well membership of one protected group can be told from the score alone and from the model's
// inputs. 0.5 is chance. Score AUC below ½ tells the group as well as above: Value is max(AUC, 1 − AUC).
type ProxyResult struct {
	Attribute string       `json:"attribute"`
	Group     string       `json:"group"` // against all other known rows
	Rows      int          `json:"rows"`
	Score     *Estimate    `json:"score"`     // DeLong
	Inputs    *Estimate    `json:"inputs"`    // out-of-fold, logistic regression with ridge 1 on standardised inputs
	Strongest []InputProxy `json:"strongest"` // up to five inputs that alone tell most, in sample
	IsProxy   bool         `json:"isProxy"`   // a lower bound exceeds Config.ProxyLimit
	Note      string       `json:"note"`
}

// InputProxy is the AUC of one encoded input, such as "unemp" or "phist=yes".
type InputProxy struct {
	Input string  `json:"input"`
	AUC   float64 `json:"auc"`
}

// proxies tests each group of at least MinGroup rows, and as many others, against the rest; of two groups one is enough,
// and one withheld from the fairness table is left out.
func proxies(in Input, f Fairness, cfg Config) ([]ProxyResult, error) {
	out := []ProxyResult{}
	z := zOf(cfg.Confidence)
	for _, a := range in.Attributes {
		groups, members := split(in, []Attribute{a}, 0)
		if len(groups) == 2 {
			k := 0
			if groups[1].n < groups[0].n {
				k = 1
			}
			groups, members = groups[k:k+1], members[k:k+1]
		}
		known := indexes(len(in.Scores), func(i int) bool { return a.Values[i] != "" })
		for k, g := range groups {
			if g.n < cfg.MinGroup || len(known)-g.n < cfg.MinGroup || f.withheldIn(a.Name, g.Group) {
				continue
			}
			r, err := proxyOf(in, a.Name, g.Group, known, members[k], cfg, z)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func proxyOf(in Input, attribute, group string, known, members []int, cfg Config, z float64) (ProxyResult, error) {
	r := ProxyResult{Attribute: attribute, Group: group, Rows: len(known), Strongest: []InputProxy{}}
	belongs := make([]bool, len(in.Scores))
	for _, i := range members {
		belongs[i] = true
	}
	scores, target := make([]float64, len(known)), make([]bool, len(known))
	for k, i := range known {
		scores[k], target[k] = in.Scores[i], belongs[i]
	}
	r.Score = strength(scores, target, z)
	if in.Table != nil {
		inputsProxy(&r, *in.Table, known, target, cfg, z)
	} else {
		r.Note = "the model's inputs were not given; only the score was tested"
	}
	r.IsProxy = r.Score.Low > cfg.ProxyLimit || (r.Inputs != nil && r.Inputs.Low > cfg.ProxyLimit)
	return r, nil
}

// strength folds the AUC at ½; the interval keeps ½ as its floor.
func strength(scores []float64, target []bool, z float64) *Estimate {
	auc, se := AUC(scores, target)
	auc = math.Max(auc, 1-auc)
	e := wald(auc, se, z)
	e.Low = math.Max(.5, e.Low)
	return &e
}

func inputsProxy(r *ProxyResult, t Table, known []int, target []bool, cfg Config, z float64) {
	purpose := "proxy:" + r.Attribute + "=" + r.Group
	if len(known) > cfg.ProxyRows {
		keep := newSource(cfg.Seed, purpose+":rows").sample(len(known), cfg.ProxyRows)
		k2, t2 := make([]int, len(keep)), make([]bool, len(keep))
		for k, i := range keep {
			k2[k], t2[k] = known[i], target[i]
		}
		known, target = k2, t2
		r.Note = fmt.Sprintf("inputs tested on %d rows drawn by the seed", len(known))
	}
	if p := count(target); p < cfg.ProxyFolds || len(target)-p < cfg.ProxyFolds {
		r.Note = "too few rows of a class for the inputs' test"
		return
	}
	x, names := encode(t, known)
	r.Strongest = strongestInputs(x, names, target)
	// Folds are dealt within each class, so that every fold holds both.
	fold, dealt := make([]int, len(known)), [2]int{}
	for _, i := range newSource(cfg.Seed, purpose).permutation(len(known)) {
		c := int(indicator(target[i]))
		fold[i] = dealt[c] % cfg.ProxyFolds
		dealt[c]++
	}
	margins := make([]float64, len(known))
	for f := 0; f < cfg.ProxyFolds; f++ {
		var xt [][]float64
		var yt []bool
		for i := range x {
			if fold[i] != f {
				xt, yt = append(xt, x[i]), append(yt, target[i])
			}
		}
		beta, _, err := FitLogistic(xt, yt, nil, 1)
		if err != nil {
			r.Note = "the inputs' test did not converge: " + err.Error()
			return
		}
		for i := range x {
			if fold[i] == f {
				// The probability, not the margin: folds differ in intercept, and ranks are compared across folds.
				margins[i] = sigmoid(linear(x[i], beta, nil, i))
			}
		}
	}
	auc, se := AUC(margins, target)
	e := wald(auc, se, z)
	r.Inputs = &e
}

func strongestInputs(x [][]float64, names []string, target []bool) []InputProxy {
	all := make([]InputProxy, 0, len(names))
	for j := 1; j < len(names); j++ {
		col := make([]float64, len(x))
		for i := range x {
			col[i] = x[i][j]
		}
		auc, _ := AUC(col, target)
		all = append(all, InputProxy{names[j], math.Max(auc, 1-auc)})
	}
	out := []InputProxy{}
	for len(out) < 5 && len(out) < len(all) {
		best := -1
		for k, p := range all {
			if p.AUC >= 0 && (best < 0 || p.AUC > all[best].AUC) {
				best = k
			}
		}
		out = append(out, all[best])
		all[best].AUC = -1
	}
	return out
}

// maxCategories bounds the one-hot columns of one input; the values past it, by sorted order, share the baseline.
const maxCategories = 40

// encode gives an intercept, standardised numbers (missing at the mean, with an indicator where any is missing) and
// one-hot categories, the first sorted value being the baseline.
func encode(t Table, rows []int) (x [][]float64, names []string) {
	sub := t.subset(rows)
	x, names = make([][]float64, len(rows)), []string{"(intercept)"}
	for i := range x {
		x[i] = []float64{1}
	}
	add := func(name string, value func(Cell) float64, col int) {
		varies := false
		for i := range x {
			v := value(sub.Rows[i][col])
			x[i] = append(x[i], v)
			varies = varies || v != x[0][len(x[0])-1]
		}
		if !varies {
			for i := range x {
				x[i] = x[i][:len(x[i])-1]
			}
			return
		}
		names = append(names, name)
	}
	for c, col := range t.Columns {
		if col.Kind == Numeric {
			mean, sd, _, _, ok := sub.numberStats(c)
			if ok && sd > 0 {
				add(col.Name, func(v Cell) float64 {
					if v.Missing {
						return 0
					}
					return (v.Number - mean) / sd
				}, c)
			}
		} else {
			values := sub.texts(c)
			for k := 1; k < len(values) && k < maxCategories; k++ {
				add(col.Name+"="+values[k], func(v Cell) float64 { return indicator(!v.Missing && v.Text == values[k]) }, c)
			}
		}
		add(col.Name+" missing", func(v Cell) float64 { return indicator(v.Missing) }, c)
	}
	return x, names
}
