package pack

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report for people: what was checked, what was judged,
// what was refused, and what stays open.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Evidence pack of project %q (%s), log %s at size %d\n", clip(r.Project), clip(r.Query), clip(r.Origin), r.TreeSize)
	for _, c := range r.Checks {
		mark := "ok     "
		if !c.OK {
			mark = "REFUSED"
		}
		fmt.Fprintf(&b, "  %s  %-20s %s\n", mark, c.Name, clipTo(c.Words, 400))
	}
	for _, d := range r.Decisions {
		fmt.Fprintf(&b, "  entry %d: %s by %s as %s on %s %s for %s\n", d.Index, clip(d.Outcome), clip(d.Actor), clip(d.Role), clip(d.Model), clip(d.Version), clip(d.Stage))
	}
	for _, j := range r.Judged {
		fmt.Fprintf(&b, "  entry %d: %s %s: %s\n", j.Index, clip(j.Claims), clip(j.Model), clipTo(j.Words, 400))
		if j.Since != "" {
			fmt.Fprintf(&b, "      since then: %s\n", clipTo(j.Since, 400))
		}
	}
	if len(r.Refusals) > 0 {
		fmt.Fprintf(&b, "Refused, %d reasons:\n", len(r.Refusals))
		for i := range r.Refusals {
			fmt.Fprintf(&b, "  %s\n", clipTo(r.Refusals[i].Error(), 600))
		}
	}
	b.WriteString("Not proven:\n")
	for _, s := range r.NotProven {
		fmt.Fprintf(&b, "  - %s\n", clipTo(s, 400))
	}
	switch r.Exit() {
	case ExitVerified:
		fmt.Fprintf(&b, "VERIFIED: %d attestations, under %s.\n", r.Entries, r.Anchor)
	case ExitUnanchored:
		fmt.Fprintf(&b, "CONSISTENT, but %s.\n", r.Anchor)
	default:
		b.WriteString("REFUSED.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
