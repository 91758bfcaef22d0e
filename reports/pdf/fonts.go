package pdf

import (
	_ "embed" // the fonts and the colour profile are part of the binary
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

var (
	//go:embed assets/DejaVuSansCondensed.ttf
	fontRegular []byte
	//go:embed assets/DejaVuSansCondensed-Bold.ttf
	fontBold []byte
	//go:embed assets/DejaVuSansMono.ttf
	fontMono []byte
	//go:embed assets/sRGB.icc
	profileSRGB []byte
)

// style selects one of the three embedded faces.
type style int

const (
	regular style = iota
	bold
	mono
	styleCount
)

// faces measures text in the embedded fonts. It belongs to one goroutine.
type faces struct {
	font    [styleCount]*sfnt.Font
	buf     sfnt.Buffer
	advance [styleCount]map[rune]float64 // in thousandths of the font size
	missing map[rune]bool
}

// unitsPerEm is the scale at which glyph advances are read.
const unitsPerEm = 1000

func newFaces() (*faces, error) {
	f := &faces{missing: map[rune]bool{}}
	for s, data := range [styleCount][]byte{fontRegular, fontBold, fontMono} {
		parsed, err := sfnt.Parse(data)
		if err != nil {
			return nil, fmt.Errorf("pdf: embedded font %d: %w", s, err)
		}
		f.font[s] = parsed
		f.advance[s] = map[rune]float64{}
	}
	return f, nil
}

// has reports whether the face has a glyph for r.
func (f *faces) has(s style, r rune) bool {
	i, err := f.font[s].GlyphIndex(&f.buf, r)
	return err == nil && i != 0
}

func (f *faces) runeWidth(s style, r rune) float64 {
	if w, ok := f.advance[s][r]; ok {
		return w
	}
	w := 0.0
	if i, err := f.font[s].GlyphIndex(&f.buf, r); err == nil {
		if a, err := f.font[s].GlyphAdvance(&f.buf, i, fixed.I(unitsPerEm), font.HintingNone); err == nil {
			w = float64(a) / 64
		}
	}
	f.advance[s][r] = w
	return w
}

// width is the length in points of text set at the given size.
func (f *faces) width(s style, size float64, text string) float64 {
	sum := 0.0
	for _, r := range text {
		sum += f.runeWidth(s, r)
	}
	return sum * size / unitsPerEm
}

// clean makes text safe to set in the face: control and direction-changing characters are dropped, white space becomes a
// plain space, and what the face cannot show becomes U+FFFD. The last are remembered, so that the document can say so.
func (f *faces) clean(s style, text string) string {
	plain := true
	for i := 0; i < len(text) && plain; i++ {
		plain = text[i] >= ' ' && text[i] < 0x7f
	}
	if plain {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085':
			b.WriteByte(' ')
		case unicode.IsControl(r) || isFormat(r):
		case r == utf8.RuneError:
			b.WriteRune(r)
		case r > 0xffff || !f.has(s, r):
			f.missing[r] = true
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isFormat reports characters that change direction or are invisible: they could make a line read as something else.
func isFormat(r rune) bool {
	return r == '\u00ad' || unicode.Is(unicode.Cf, r) || r >= '\ufe00' && r <= '\ufe0f'
}
