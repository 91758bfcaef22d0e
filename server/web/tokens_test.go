package web

import (
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"affidavit/templates"
)

// luminance is WCAG 2's relative luminance of #rgb or #rrggbb.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	hex = strings.TrimPrefix(hex, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, w := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatalf("colour %q: %v", hex, err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += w * c
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func style(t *testing.T) string {
	t.Helper()
	b, err := fs.ReadFile(templates.FS, "web/style.css")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Text pairs need 4.5:1 and borders of controls 3:1, in light and in dark.
func TestTokensHaveContrast(t *testing.T) {
	tokens := map[string][2]string{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+): light-dark\((#[0-9a-f]+), (#[0-9a-f]+)\)`).FindAllStringSubmatch(style(t), -1) {
		tokens[m[1]] = [2]string{m[2], m[3]}
	}
	if len(tokens) < 14 {
		t.Fatalf("only %d tokens were read", len(tokens))
	}
	need := []struct {
		front, back string
		least       float64
	}{{"on-accent", "accent", 4.5}, {"line-strong", "surface", 3}, {"line-strong", "bg", 3}}
	for _, text := range []string{"ink", "muted", "accent", "ok", "warn", "bad", "series-2", "series-3", "series-4"} {
		for _, back := range []string{"bg", "surface"} {
			need = append(need, struct {
				front, back string
				least       float64
			}{text, back, 4.5})
		}
	}
	for _, n := range need {
		for i, theme := range []string{"light", "dark"} {
			a, b := tokens[n.front][i], tokens[n.back][i]
			if a == "" || b == "" {
				t.Fatalf("no token %s or %s", n.front, n.back)
			}
			if got := contrast(t, a, b); got < n.least {
				t.Errorf("%s on %s, %s: %.2f, needed %.1f", n.front, n.back, theme, got, n.least)
			}
		}
	}
	if got := contrast(t, "#f1f5f8", "#0d2431"); got < 4.5 {
		t.Errorf("top bar: %.2f", got)
	}
}

// The policy forbids inline style and script: none may be in a template.
func TestTemplatesHaveNothingInline(t *testing.T) {
	err := fs.WalkDir(templates.FS, "web", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".html") && !strings.HasSuffix(path, ".svg") {
			return err
		}
		b, err := fs.ReadFile(templates.FS, path)
		if found := regexp.MustCompile(`(?i)<style|<script|\sstyle=|\son[a-z]+=|javascript:`).Find(b); found != nil {
			t.Errorf("%s holds %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFontIsSmallAndLicensed(t *testing.T) {
	font, err := fs.ReadFile(templates.FS, "web/fonts/source-sans-3.woff2")
	if err != nil || len(font) > 32<<10 || string(font[:4]) != "wOF2" {
		t.Fatalf("font: %d bytes, %v", len(font), err)
	}
	licence, err := fs.ReadFile(templates.FS, "web/fonts/source-sans-3.LICENSE.txt")
	if err != nil || !strings.Contains(string(licence), "SIL OPEN FONT LICENSE Version 1.1") {
		t.Fatalf("licence: %v", err)
	}
}
