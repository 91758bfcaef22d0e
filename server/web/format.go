package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// functions of the templates; pure.
func functions() template.FuncMap {
	return template.FuncMap{"iso": iso, "utc": utc, "short": short, "words": words, "count": count[int64]}
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func utc(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05") }

// short shows the first 12 and last 6 digits of a digest.
func short(digest string) string {
	if len(digest) <= 20 {
		return digest
	}
	return digest[:12] + "…" + digest[len(digest)-6:]
}

// words turns a fixed term of the vocabulary into text: "data-version" into
// "Data version".
func words(term string) string {
	if term == "" {
		return ""
	}
	text := strings.ReplaceAll(term, "-", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// count groups the digits of a whole number by thousands.
func count[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// clip shortens text to at most n characters.
func clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	r := []rune(text)
	return strings.TrimRight(string(r[:n-1]), " ") + "…"
}

// figure shows a measured number with four decimals, whole ones without.
func figure(x float64) string {
	if x == float64(int64(x)) && x < 1e15 && x > -1e15 {
		return count(int64(x))
	}
	return strconv.FormatFloat(x, 'f', 4, 64)
}

// gap says in words how far the claimed time is from the logged one.
func gap(claimed, logged time.Time) string {
	d := logged.Sub(claimed).Round(time.Second)
	switch {
	case claimed.IsZero():
		return ""
	case d < -2*time.Second:
		return fmt.Sprintf("the claim is %s after it", -d)
	case d > 5*time.Minute:
		return fmt.Sprintf("the claim is %s before it", d)
	}
	return ""
}

// percent shows a share of 0 to 1 in percent, with at most two decimals.
func percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e4)/100, 'f', -1, 64)
}
