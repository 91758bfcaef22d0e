package evaluate

import "fmt"

// suppress marks the groups whose figures are withheld: first every group below the limit, then, so that no withheld
// count is a published total minus published counts, complementary ones. In each line (the whole table of a plain
// attribute; each row and each column of a crossing) the withheld groups must be none, or at least two with at least
// `limit` rows together; the smallest shown group is added until that holds or nothing is left. In a crossing, the cells
// of a group that is withheld on its own are withheld too: together they are that group.
func suppress(groups []Group, attrs []Attribute, margins map[string]map[string]bool, limit int) {
	for i := range groups {
		if groups[i].n < limit {
			groups[i].Withheld = fmt.Sprintf("fewer than %d rows", limit)
		}
		for k, a := range attrs {
			if margins != nil && margins[a.Name][groups[i].Parts[k]] && groups[i].Withheld == "" {
				groups[i].Withheld = "complementary"
			}
		}
	}
	lines := tableLines(groups, len(attrs))
	for changed := true; changed; {
		changed = false
		for _, line := range lines {
			if complement(groups, line, limit) {
				changed = true
			}
		}
	}
}

// tableLines lists, in a fixed order, the sets of groups whose sum is published elsewhere.
func tableLines(groups []Group, dims int) [][]int {
	if dims == 1 {
		return [][]int{indexes(len(groups), func(int) bool { return true })}
	}
	out, seen := [][]int{}, map[string]bool{}
	for k := 0; k < dims; k++ {
		for _, g := range groups {
			key := fmt.Sprintf("%d:%s", k, g.Parts[k])
			if seen[key] {
				continue
			}
			seen[key] = true
			out = append(out, indexes(len(groups), func(i int) bool { return groups[i].Parts[k] == g.Parts[k] }))
		}
	}
	return out
}

func complement(groups []Group, line []int, limit int) bool {
	hidden, rows, smallest := 0, 0, -1
	for _, i := range line {
		switch {
		case groups[i].Withheld != "":
			hidden++
			rows += groups[i].n
		case smallest < 0 || groups[i].n < groups[smallest].n:
			smallest = i
		}
	}
	if hidden == 0 || smallest < 0 || (hidden >= 2 && rows >= limit) {
		return false
	}
	groups[smallest].Withheld = "complementary"
	return true
}
