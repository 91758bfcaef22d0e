package evaluate

import (
	"fmt"
	"math"
	"sort"
)

// Verdict is the outcome of the declared fairness rule, worst first: fail, warn, insufficient, pass.
type Verdict string

// Fail: the upper bound of an impact ratio is below the limit. Warn: only the point is. Insufficient: fewer than
// MinGroup rows, or fewer than two groups to compare. NotAssessed: no attribute was given.
const (
	Fail         Verdict = "fail"
	Warn         Verdict = "warn"
	Insufficient Verdict = "insufficient"
	Pass         Verdict = "pass"
	NotAssessed  Verdict = "not_assessed"
)

func worse(a, b Verdict) Verdict {
	order := map[Verdict]int{NotAssessed: 0, Pass: 1, Insufficient: 2, Warn: 3, Fail: 4}
	if order[b] > order[a] {
		return b
	}
	return a
}

// Fairness compares protected groups. Selection is a positive prediction; the favourable outcome is the prediction that
// Config.Favourable names, so with the label `deny = yes` selection is denial and the favourable outcome is approval.
type Fairness struct {
	Favourable    Favourable     `json:"favourable"`
	Rule          string         `json:"rule"`
	Attributes    []GroupedTable `json:"attributes"`
	Intersections []GroupedTable `json:"intersections"` // two by two, named "a × b"
	Verdict       Verdict        `json:"verdict"`       // the worst over attributes and intersections
}

func (f Fairness) all() []GroupedTable {
	return append(append([]GroupedTable{}, f.Attributes...), f.Intersections...)
}

// GroupedTable is one attribute's (or crossing's) groups and disparities. Disparities are over the groups of at least
// MinGroup rows, never over withheld ones.
type GroupedTable struct {
	Attribute            string         `json:"attribute"`
	Groups               []Group        `json:"groups"` // by name
	UnknownRows          int            `json:"unknownRows"`
	ComparedGroups       int            `json:"comparedGroups"`
	Reference            string         `json:"reference"`            // the group with the highest favourable rate
	Least                string         `json:"least"`                // the group with the lowest
	SelectionDifference  *Estimate      `json:"selectionDifference"`  // demographic parity difference, max − min (Newcombe)
	SelectionRatio       *Estimate      `json:"selectionRatio"`       // demographic parity ratio, min / max
	ImpactRatio          *Estimate      `json:"impactRatio"`          // favourable-outcome ratio, min / max
	FisherP              *float64       `json:"fisherP"`              // of that pair, when a cell is small
	ObservedRateRatio    *float64       `json:"observedRateRatio"`    // the same ratio in the recorded labels, for context
	EqualizedOdds        *EqualizedOdds `json:"equalizedOdds"`        // null without both classes in two groups
	PredictiveDifference *float64       `json:"predictiveDifference"` // max − min PPV
	Verdict              Verdict        `json:"verdict"`
	Reasons              []string       `json:"reasons"`
}

// Group is one group's figures. A withheld group has its name and nulls only.
type Group struct {
	Group          string    `json:"group"`    // the value, or "a=x × b=y" in a crossing
	Parts          []string  `json:"parts"`    // the values crossed, one for a plain attribute
	Withheld       string    `json:"withheld"` // "", "fewer than N rows", or "complementary"
	Rows           *int      `json:"rows"`
	Share          *float64  `json:"share"` // of the rows whose group is known
	Labelled       *int      `json:"labelled"`
	Observed       *Estimate `json:"observed"` // share of true labels
	Selected       *int      `json:"selected"` // predicted positive
	SelectionRate  *Estimate `json:"selectionRate"`
	FavourableRate *Estimate `json:"favourableRate"`
	TPR            *Estimate `json:"tpr"`
	FPR            *Estimate `json:"fpr"`
	PPV            *Estimate `json:"ppv"`
	AUC            *Estimate `json:"auc"`
	MeanGap        *float64  `json:"meanGap"`     // observed − mean score: calibration in the large
	ImpactRatio    *Estimate `json:"impactRatio"` // to the reference group
	FisherP        *float64  `json:"fisherP"`
	Verdict        Verdict   `json:"verdict"`

	c Confusion
	n int
}

func (g Group) favourable(f Favourable) int {
	if f == PredictedNegative {
		return g.c.TN + g.c.FN
	}
	return g.c.TP + g.c.FP
}

func fairness(in Input, cut float64, cfg Config) Fairness {
	f := Fairness{Favourable: cfg.Favourable, Attributes: []GroupedTable{}, Intersections: []GroupedTable{}, Verdict: NotAssessed}
	f.Rule = fmt.Sprintf("fail when the upper %g %% bound of the impact ratio is below %g (and, where a cell is below %d, Fisher's p is below %.3g); warn when its point is; insufficient below %d rows; withheld below %d rows",
		100*cfg.Confidence, cfg.ImpactLimit, cfg.SmallCell, 1-cfg.Confidence, cfg.MinGroup, cfg.SuppressBelow)
	withheld := map[string]map[string]bool{}
	for _, a := range in.Attributes {
		t := groupedTable(in, a.Name, []Attribute{a}, nil, cut, cfg)
		withheld[a.Name] = map[string]bool{}
		for _, g := range t.Groups {
			withheld[a.Name][g.Group] = g.Withheld != ""
		}
		f.Attributes = append(f.Attributes, t)
		f.Verdict = worse(f.Verdict, t.Verdict)
	}
	for i, a := range in.Attributes {
		for _, b := range in.Attributes[i+1:] {
			if cfg.NoIntersection {
				continue
			}
			t := groupedTable(in, a.Name+" × "+b.Name, []Attribute{a, b}, withheld, cut, cfg)
			f.Intersections = append(f.Intersections, t)
			f.Verdict = worse(f.Verdict, t.Verdict)
		}
	}
	return f
}

func groupedTable(in Input, name string, attrs []Attribute, margins map[string]map[string]bool, cut float64, cfg Config) GroupedTable {
	z := zOf(cfg.Confidence)
	t := GroupedTable{Attribute: name, Verdict: Insufficient, Reasons: []string{}}
	groups, members := split(in, attrs, cut)
	known := 0
	for _, g := range groups {
		known += g.n
	}
	t.UnknownRows = len(in.Scores) - known
	suppress(groups, attrs, margins, cfg.SuppressBelow)
	for i := range groups {
		if groups[i].Withheld == "" {
			describe(&groups[i], in, members[i], known, cfg.Favourable, z)
		} else {
			groups[i].Verdict = Insufficient
		}
	}
	t.Groups = groups
	judge(&t, cfg, z)
	return t
}

// withheldIn reports whether a group's figures are withheld from its own attribute's table.
func (f Fairness) withheldIn(attribute, group string) bool {
	for _, t := range f.Attributes {
		for _, g := range t.Groups {
			if t.Attribute == attribute && g.Group == group {
				return g.Withheld != ""
			}
		}
	}
	return false
}

// split partitions the rows whose every attribute is known, ordered by the values.
func split(in Input, attrs []Attribute, cut float64) ([]Group, [][]int) {
	index := map[string]int{}
	groups, members := []Group{}, [][]int{}
rows:
	for i := range in.Scores {
		parts, key, label := make([]string, len(attrs)), "", ""
		for k, a := range attrs {
			v := a.Values[i]
			if v == "" {
				continue rows
			}
			parts[k] = v
			key += fmt.Sprintf("%d:%s", len(v), v) // the length keeps ("a", "bc") and ("ab", "c") apart
			switch {
			case len(attrs) == 1:
				label = v
			case k == 0:
				label = a.Name + "=" + v
			default:
				label += " × " + a.Name + "=" + v
			}
		}
		j, ok := index[key]
		if !ok {
			j = len(groups)
			index[key] = j
			groups, members = append(groups, Group{Group: label, Parts: parts}), append(members, nil)
		}
		members[j] = append(members[j], i)
	}
	order := indexes(len(groups), func(int) bool { return true })
	sort.Slice(order, func(a, b int) bool { return lessParts(groups[order[a]].Parts, groups[order[b]].Parts) })
	g2, m2 := make([]Group, len(order)), make([][]int, len(order))
	for k, j := range order {
		g2[k], m2[k] = groups[j], members[j]
		g2[k].n = len(members[j])
		s, y := pick(in, members[j])
		g2[k].c = confusion(s, y, cut)
	}
	return g2, m2
}

func lessParts(a, b []string) bool {
	for k := range a {
		if a[k] != b[k] {
			return a[k] < b[k]
		}
	}
	return false
}

func pick(in Input, rows []int) ([]float64, []bool) {
	s, y := make([]float64, len(rows)), make([]bool, len(rows))
	for k, i := range rows {
		s[k], y[k] = in.Scores[i], in.Labels[i]
	}
	return s, y
}

func describe(g *Group, in Input, rows []int, known int, fav Favourable, z float64) {
	s, y := pick(in, rows)
	c := g.c
	n, pos, sel := g.n, count(y), c.TP+c.FP
	g.Rows, g.Labelled, g.Selected, g.Share = &n, &pos, &sel, ratio(n, known)
	g.Observed = wilsonOrNil(pos, n, z)
	g.SelectionRate = wilsonOrNil(sel, n, z)
	g.FavourableRate = wilsonOrNil(g.favourable(fav), n, z)
	g.TPR = wilsonOrNil(c.TP, c.TP+c.FN, z)
	g.FPR = wilsonOrNil(c.FP, c.FP+c.TN, z)
	g.PPV = wilsonOrNil(c.TP, sel, z)
	g.MeanGap = ptr(g.Observed.Value - mean(s))
	if pos > 0 && pos < n {
		auc, se := AUC(s, y)
		e := wald(auc, se, z)
		g.AUC = &e
	}
}

// judge fills the disparities and the verdict from the groups large enough to be judged.
func judge(t *GroupedTable, cfg Config, z float64) {
	eligible := []int{}
	for i, g := range t.Groups {
		switch {
		case g.Withheld != "":
			t.Reasons = append(t.Reasons, fmt.Sprintf("%s: withheld (%s)", g.Group, g.Withheld))
		case g.n < cfg.MinGroup:
			t.Groups[i].Verdict = Insufficient
			t.Reasons = append(t.Reasons, fmt.Sprintf("%s: %d rows, fewer than the %d needed for a verdict", g.Group, g.n, cfg.MinGroup))
		default:
			eligible = append(eligible, i)
		}
	}
	t.ComparedGroups = len(eligible)
	if len(eligible) < 2 {
		for _, i := range eligible {
			t.Groups[i].Verdict = Insufficient
		}
		t.Reasons = append(t.Reasons, "fewer than two groups are large enough to compare")
		return
	}
	rate := func(x func(Group) int) (lo, hi int) {
		lo, hi = eligible[0], eligible[0]
		for _, i := range eligible {
			g := t.Groups[i]
			if r := float64(x(g)) / float64(g.n); r < float64(x(t.Groups[lo]))/float64(t.Groups[lo].n) {
				lo = i
			} else if r > float64(x(t.Groups[hi]))/float64(t.Groups[hi].n) {
				hi = i
			}
		}
		return lo, hi
	}
	selected := func(g Group) int { return g.c.TP + g.c.FP }
	fav := func(g Group) int { return g.favourable(cfg.Favourable) }
	lo, hi := rate(selected)
	a, b := t.Groups[hi], t.Groups[lo]
	diff := newcombe(selected(a), a.n, selected(b), b.n, z)
	t.SelectionDifference = &diff
	t.SelectionRatio = riskRatio(selected(b), b.n, selected(a), a.n, z)
	lo, hi = rate(fav)
	best, least := t.Groups[hi], t.Groups[lo]
	t.Reference, t.Least = best.Group, least.Group
	t.ImpactRatio = riskRatio(fav(least), least.n, fav(best), best.n, z)
	t.FisherP = smallCellP(fav(least), least.n, fav(best), best.n, cfg.SmallCell)
	t.ObservedRateRatio = observedRatio(least, best, cfg.Favourable)
	t.PredictiveDifference = spread(t.Groups, eligible)
	t.EqualizedOdds = equalizedOdds(t.Attribute, t.Groups, eligible, cfg)
	t.Verdict = Pass
	for i := range t.Groups {
		if t.Groups[i].Withheld != "" {
			t.Verdict = worse(t.Verdict, Insufficient)
			continue
		}
		if i == hi {
			t.Groups[i].ImpactRatio, t.Groups[i].Verdict = &Estimate{1, 1, 1}, Pass
			if fav(best) == 0 {
				t.Groups[i].ImpactRatio, t.Groups[i].Verdict = nil, Insufficient
			}
		} else {
			judgeGroup(t, &t.Groups[i], best, fav, cfg, z)
		}
		t.Verdict = worse(t.Verdict, t.Groups[i].Verdict)
	}
}

func judgeGroup(t *GroupedTable, g *Group, best Group, fav func(Group) int, cfg Config, z float64) {
	g.ImpactRatio = riskRatio(fav(*g), g.n, fav(best), best.n, z)
	g.FisherP = smallCellP(fav(*g), g.n, fav(best), best.n, cfg.SmallCell)
	if g.n < cfg.MinGroup {
		return // already insufficient; the ratio is shown, not judged
	}
	r := g.ImpactRatio
	switch {
	case r == nil:
		g.Verdict = Insufficient
		t.Reasons = append(t.Reasons, g.Group+": nobody in the reference group has the favourable outcome, so no ratio exists")
	case r.High < cfg.ImpactLimit && (g.FisherP == nil || *g.FisherP < 1-cfg.Confidence):
		g.Verdict = Fail
		t.Reasons = append(t.Reasons, fmt.Sprintf("%s: impact ratio %.3f to %s, upper bound %.3f below %g", g.Group, r.Value, best.Group, r.High, cfg.ImpactLimit))
	case r.Value < cfg.ImpactLimit:
		g.Verdict = Warn
		t.Reasons = append(t.Reasons, fmt.Sprintf("%s: impact ratio %.3f to %s is below %g, upper bound %.3f is not conclusive", g.Group, r.Value, best.Group, cfg.ImpactLimit, r.High))
	default:
		g.Verdict = Pass
	}
}

// smallCellP is Fisher's p when any cell of the 2×2 table is below the limit, else nil.
func smallCellP(x1, n1, x2, n2, limit int) *float64 {
	if min(x1, n1-x1, x2, n2-x2) >= limit {
		return nil
	}
	return ptr(fisherExact(x1, n1-x1, x2, n2-x2))
}

func observedRatio(least, best Group, f Favourable) *float64 {
	good := func(g Group) float64 {
		pos := float64(g.c.TP+g.c.FN) / float64(g.n)
		if f == PredictedNegative {
			return 1 - pos
		}
		return pos
	}
	if good(best) == 0 {
		return nil
	}
	return ptr(good(least) / good(best))
}

func spread(groups []Group, eligible []int) *float64 {
	lo, hi, seen := math.Inf(1), math.Inf(-1), 0
	for _, i := range eligible {
		if p := groups[i].PPV; p != nil {
			lo, hi = math.Min(lo, p.Value), math.Max(hi, p.Value)
			seen++
		}
	}
	if seen < 2 {
		return nil
	}
	return ptr(hi - lo)
}
