package pdf

// Color is a colour token of the design. The zero value is no colour.
type Color int

// The tokens; the tints are backgrounds of messages.
const (
	NoColor Color = iota
	Ink
	Muted
	Line
	LineStrong
	Surface
	Background
	Accent
	OK
	Warn
	Bad
	Series2
	Series3
	Series4
	TintOK
	TintWarn
	TintBad
	TintInfo
)

// colorNames are the class suffixes that a web page styles; colorHex are the light values, used in print.
var (
	colorNames = [...]string{"none", "ink", "muted", "line", "line-strong", "surface", "bg", "accent", "ok", "warn", "bad",
		"series-2", "series-3", "series-4", "tint-ok", "tint-warn", "tint-bad", "tint-info"}
	colorHex = [...]uint32{0, 0x16202e, 0x526072, 0xd5dae1, 0x7a8797, 0xffffff, 0xf5f6f8, 0x0b4f6c, 0x17633a, 0x7a4b00, 0xa3201d,
		0xa14a06, 0x5b3a94, 0x2f6b2f, 0xe9f3ed, 0xfdf1dc, 0xfbeceb, 0xe8f1f5}
)

func (c Color) rgb() (r, g, b int) {
	v := colorHex[c]
	return int(v >> 16), int(v >> 8 & 0xff), int(v & 0xff)
}

// look gives the colours of a status: its text and icon, and its background.
func (s Status) look() (fore, back Color) {
	switch s {
	case StatusOK:
		return OK, TintOK
	case StatusWarn:
		return Warn, TintWarn
	case StatusBad:
		return Bad, TintBad
	case StatusInfo:
		return Accent, TintInfo
	case StatusWaiting:
		return Muted, Background
	}
	return Ink, Background
}
