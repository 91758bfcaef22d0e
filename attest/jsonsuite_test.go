//go:build external

// These vectors come from no package registry: go test -tags external ./attest

package attest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stricter lists files of JSONTestSuite that RFC 8259 allows and we refuse.
var stricter = map[string]string{
	"y_object_duplicated_key.json":           "a member twice",
	"y_object_duplicated_key_and_value.json": "a member twice",
}

// TestJSONSuite runs the parsing tests of nst/JSONTestSuite, from the folder
// that AFFIDAVIT_JSONTESTSUITE names: y_ must be read, n_ must be refused.
func TestJSONSuite(t *testing.T) {
	dir := os.Getenv("AFFIDAVIT_JSONTESTSUITE")
	if dir == "" {
		t.Fatal("set AFFIDAVIT_JSONTESTSUITE to a checkout of nst/JSONTestSuite")
	}
	files, err := filepath.Glob(filepath.Join(dir, "test_parsing", "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		err = StrictUnmarshal(b, &v, 1<<20)
		switch {
		case strings.HasPrefix(name, "n_") && err == nil:
			t.Errorf("%s: accepted", name)
		case strings.HasPrefix(name, "y_") && (err != nil) != (stricter[name] != ""):
			t.Errorf("%s: %v", name, err)
		}
	}
}
