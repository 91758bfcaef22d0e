package pdf

import "strings"

// run is text in one style. A run with an icon has no text.
type run struct {
	text  string
	style style
	size  float64
	color Color
	icon  Status
	// anchor is the name of the place in the document to which the run links, empty for none.
	anchor string
	// glue forbids a line break before the run although it starts a word.
	glue bool
}

// frag is a run placed on a line; x is its offset from the line's left edge and w its width, in points.
type frag struct {
	run
	x, w float64
}

// line is a wrapped line with its width.
type line struct {
	frags []frag
	w     float64
}

// word is an unbreakable sequence of fragments; space is the width of the white space before it, 0 at a soft break.
type word struct {
	frags []frag
	w     float64
	space float64
}

const iconGap = 3 // points between an icon and the word after it

// words splits runs at spaces. Runs that touch without a space between them form one word.
func (f *faces) words(runs []run) []word {
	var out []word
	open := false // whether the next text continues the last word
	for _, r := range runs {
		if r.icon != StatusNone {
			out = append(out, word{frags: []frag{{run: r, w: r.size + iconGap}}, w: r.size + iconGap})
			open = true
			continue
		}
		space := f.width(r.style, r.size, " ")
		for i, part := range strings.Split(r.text, " ") {
			if i > 0 {
				open = false
			}
			if part == "" {
				continue
			}
			piece := r
			piece.text = part
			w := f.width(r.style, r.size, part)
			if open || (r.glue && i == 0 && len(out) > 0) {
				last := &out[len(out)-1]
				last.frags = append(last.frags, frag{run: piece, x: last.w, w: w})
				last.w += w
			} else {
				out = append(out, word{frags: []frag{{run: piece, w: w}}, w: w, space: space})
			}
			open = true
		}
	}
	return out
}

// wrap breaks runs into lines no wider than width. A word wider than that is broken between characters.
func (f *faces) wrap(runs []run, width float64) []line {
	var lines []line
	var cur line
	flush := func() {
		lines = append(lines, cur)
		cur = line{}
	}
	place := func(w word) {
		x := 0.0
		if len(cur.frags) > 0 {
			x = cur.w + w.space
		}
		for _, fr := range w.frags {
			fr.x += x
			cur.frags = append(cur.frags, fr)
		}
		cur.w = x + w.w
	}
	for _, w := range f.words(runs) {
		if len(cur.frags) > 0 && cur.w+w.space+w.w > width+0.01 {
			flush()
		}
		for w.w > width+0.01 {
			head, tail := f.split(w, width)
			place(head)
			if len(tail.frags) == 0 {
				w = tail
				break
			}
			flush()
			w = tail
		}
		if len(w.frags) > 0 {
			place(w)
		}
	}
	if len(cur.frags) > 0 || len(lines) == 0 {
		flush()
	}
	return lines
}

// split cuts a word so that its head fits width, at a break character in the last third if there is one. The head always
// takes at least one character, so that wrapping ends whatever the width.
func (f *faces) split(w word, width float64) (head, tail word) {
	taken := 0.0
	for i, fr := range w.frags {
		if taken+fr.w <= width {
			head.frags = append(head.frags, fr)
			taken += fr.w
			head.w = taken
			continue
		}
		cut, cutWidth, soft, softWidth := 0, 0.0, 0, 0.0
		for at, r := range fr.text {
			rw := f.runeWidth(fr.style, r) * fr.size / unitsPerEm
			if taken+cutWidth+rw > width && (at > 0 || len(head.frags) > 0) {
				break
			}
			cut = at + len(string(r))
			cutWidth += rw
			if strings.ContainsRune("/-_:.,@=&", r) {
				soft, softWidth = cut, cutWidth
			}
		}
		if soft > 0 && softWidth > width*2/3 {
			cut, cutWidth = soft, softWidth
		}
		if cut > 0 {
			first := fr
			first.text, first.w, first.x = fr.text[:cut], cutWidth, taken
			head.frags = append(head.frags, first)
			head.w = taken + cutWidth
		}
		x := 0.0
		if rest := fr.text[cut:]; rest != "" {
			second := fr
			second.text, second.x = rest, 0
			second.w = f.width(fr.style, fr.size, rest)
			tail.frags = append(tail.frags, second)
			x = second.w
		}
		for _, later := range w.frags[i+1:] {
			later.x = x
			tail.frags = append(tail.frags, later)
			x += later.w
		}
		tail.w = x
		return head, tail
	}
	return head, tail
}

// extent gives the width of the longest word and of the whole text on one line.
func (f *faces) extent(runs []run) (narrow, wide float64) {
	for i, w := range f.words(runs) {
		narrow = max(narrow, w.w)
		if i > 0 {
			wide += w.space
		}
		wide += w.w
	}
	return narrow, wide
}
