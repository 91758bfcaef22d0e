package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// layers is the order of the packages, from the bottom. A package may import
// packages of layers above its own line, never of its own line (so siblings do
// not see each other) and never of a later one. "x/*" is every package
// directly in x.
var layers = []string{
	"attest/tlog",
	"attest/keys",
	"attest",
	"rbac/sod",
	"rbac/policy",
	"rbac",
	"attest/pack/pdfsig",
	"attest/pack",
	"migrations",
	"templates",
	"examples/lending",
	"lineage",
	"lineage/govern",
	"lineage/ledgertest",
	"pipeline/*",
	"serving/*",
	"reports/*",
	"server",
	"server/*",
	"interop",
	".",
}

// exceptions are imports within one line of layers, each with its reason.
var exceptions = map[string]string{
	"serving/gateway -> serving/runtime":               "the gateway runs models in this process by default",
	"serving/gateway -> serving/gateway/canary":        "its sub-package: pure sequential test",
	"serving/gateway -> serving/gateway/openinference": "its sub-package: pure wire format",
	"reports/card -> reports/pdf":                      "documents are drawn with pdf",
	"reports/evidence -> reports/pdf":                  "draws, signs and packs",
	"reports/evidence -> reports/card":                 "fills the cards with facts of the log",
	"server/wire -> server/rest":                       "the wiring",
	"server/wire -> server/web":                        "the wiring",
	"server/wire -> server/inference":                  "the wiring",
	"server/wire -> server/stamp":                      "the wiring",
	"server/cli -> server/client":                      "submit talks to a server",
	"server/cli -> server/wire":                        "commands open what wire puts together",
	"server/cli -> server/demo":                        "the demo is a command",
	"server/demo -> server/wire":                       "the demo runs a real server",
	"server/demo -> server/client":                     "the demo speaks to it as a client would",
	"server/cli -> server/progress":                    "long commands show how far they are",
	"server/demo -> server/progress":                   "long steps show how far they are",
	"server/demo -> server/inference":                  "the demo predicts over HTTP",
}

// testsAlso are packages that tests of a package may import besides: they
// build a whole life, or cross-check one part with another.
var testsAlso = map[string][]string{
	"lineage":         {"lineage/govern", "lineage/ledgertest"},
	"lineage/govern":  {"lineage/ledgertest"},
	"attest/pack":     {"reports/pdf"},
	"pipeline/gate":   {"pipeline/dataset", "pipeline/evaluate", "pipeline/feature", "pipeline/registry", "pipeline/train", "pipeline/trigger"},
	"reports/card":    {"reports/pdf"},
	"serving/monitor": {"serving/gateway", "serving/gateway/canary", "serving/gateway/openinference"},
	"serving/gateway": {"serving/monitor"},
	"server":          {"server/rest", "server/web", "server/inference"},
	"server/web":      {"server/rest", "server/inference"},
	"server/rest":     {"server/web", "server/inference"},
}

// onlyIn says which packages may import a library, where the design cares.
// Prefixes of import paths; a test may import what it cross-checks with.
var onlyIn = map[string][]string{
	"github.com/gin-gonic/gin":        {"server"},
	"github.com/spf13/cobra":          {"server/cli"},
	"github.com/casbin/casbin":        {"rbac"},
	"github.com/sigstore/sigstore-go": {},
	"github.com/transparency-dev":     {},
	"gorm.io":                         {"lineage", "pipeline", "serving", "reports", "server"},
	"database/sql":                    {"lineage"},
	"modernc.org/sqlite":              {"lineage"},
	"github.com/jackc/pgx":            {"lineage"},
	"testing":                         {"lineage/ledgertest"},
}

const module = "affidavit"

type importOf struct {
	pkg, imported string
	test          bool
	file          string
}

// imports parses every Go file of the module, whatever its build tags.
func imports(t *testing.T) []importOf {
	t.Helper()
	var all []importOf
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != "." && (name[0] == '.' || name[0] == '_' || name == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() && file != "." {
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil {
				return fs.SkipDir
			}
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, s := range f.Imports {
			p, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				return err
			}
			all = append(all, importOf{path.Dir(filepath.ToSlash(file)), p, strings.HasSuffix(name, "_test.go"), file})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// layerOf returns the line of a package, -1 if it has none. A package two
// levels down belongs to its parent's line unless it has its own.
func layerOf(pkg string) int {
	for p := pkg; ; p = path.Dir(p) {
		if i := slices.Index(layers, p); i >= 0 {
			if p == "." && pkg != "." {
				return -1
			}
			return i
		}
		if i := slices.Index(layers, path.Dir(p)+"/*"); i >= 0 {
			return i
		}
		if p == "." {
			return -1
		}
	}
}

// judge says what is wrong with an import of a package of this module, "" if nothing.
func judge(pkg, imported string, test bool) string {
	if test && (imported == pkg || slices.Contains(testsAlso[pkg], imported)) {
		return ""
	}
	if imported == "lineage/ledgertest" && !test {
		return "only tests may import it"
	}
	from, to := layerOf(pkg), layerOf(imported)
	switch {
	case from < 0:
		return pkg + " has no line in the table"
	case to < 0:
		return imported + " has no line in the table"
	case to < from:
		return ""
	case to == from && exceptions[pkg+" -> "+imported] != "":
		return ""
	case to == from:
		return "siblings do not import each other"
	}
	return "it lies above"
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range imports(t) {
		inner, ours := strings.CutPrefix(i.imported, module+"/")
		if !ours {
			continue
		}
		seen[i.pkg+" -> "+inner] = true
		if words := judge(i.pkg, inner, i.test); words != "" {
			t.Errorf("%s: %s may not import %s: %s", i.file, i.pkg, inner, words)
		}
	}
	if len(seen) < 50 {
		t.Fatalf("only %d imports were seen: the walk is broken", len(seen))
	}
}

func TestLibraries(t *testing.T) {
	var prefixes []string
	for p := range onlyIn {
		prefixes = append(prefixes, p)
	}
	sort.Strings(prefixes)
	for _, i := range imports(t) {
		if i.test || i.file == "pins.go" {
			continue
		}
		for _, p := range prefixes {
			if i.imported != p && !strings.HasPrefix(i.imported, p+"/") {
				continue
			}
			if !slices.ContainsFunc(onlyIn[p], func(home string) bool { return i.pkg == home || strings.HasPrefix(i.pkg, home+"/") }) {
				t.Errorf("%s: %s is not for %s", i.file, i.imported, i.pkg)
			}
		}
	}
}

// TestJudge: the rule itself refuses what it must.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		test, ok      bool
	}{
		{"lineage", "attest", false, true},
		{"attest", "lineage", false, false},
		{"attest/pack", "lineage", false, false},
		{"attest/pack/pdfsig", "attest/pack", false, false},
		{"pipeline/train", "pipeline/dataset", false, false},
		{"pipeline/train", "pipeline/dataset", true, false},
		{"pipeline/gate", "pipeline/dataset", true, true},
		{"pipeline/train", "lineage/ledgertest", false, false},
		{"pipeline/train", "lineage/ledgertest", true, true},
		{"serving/gateway", "serving/runtime", false, true},
		{"serving/runtime", "serving/gateway", false, false},
		{"server/rest", "server", false, true},
		{"server", "server/rest", false, false},
		{"server", ".", false, false},
		{"util", "attest", false, false},
		{".", "server/cli", false, true},
	} {
		if words := judge(c.pkg, c.imported, c.test); (words == "") != c.ok {
			t.Errorf("%s -> %s (test %v): %q", c.pkg, c.imported, c.test, words)
		}
	}
}
