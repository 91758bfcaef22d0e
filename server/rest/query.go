package rest

import (
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
)

// query reads a request's query strictly: an unknown or repeated parameter is
// refused, since ignoring a misspelt filter would show too much.
type query struct {
	c   *gin.Context
	err error
}

func newQuery(c *gin.Context, known ...string) *query {
	q := &query{c: c}
	values := c.Request.URL.Query()
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch {
		case !slices.Contains(known, name):
			q.fail(lineage.Errf(lineage.CodeInvalid, name, "this address has no such parameter").WithRemedy("see /openapi.json"))
		case len(values[name]) > 1:
			q.fail(lineage.Errf(lineage.CodeInvalid, name, "given %d times", len(values[name])).WithRemedy("give it once"))
		case len(values.Get(name)) > 256:
			q.fail(lineage.Errf(lineage.CodeInvalid, name, "longer than 256 bytes"))
		}
	}
	return q
}

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// number reads an integer from least to most; fallback when it is absent.
func (q *query) number(name string, least, most, fallback int64) int64 {
	text := q.c.Query(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		q.fail(lineage.Errf(lineage.CodeInvalid, name, "not a whole number from %d to %d", least, most))
		return fallback
	}
	return n
}

// word reads one of the allowed words; the first is the default.
func (q *query) word(name string, allowed ...string) string {
	text := q.c.Query(name)
	if text == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, text) {
		q.fail(lineage.Errf(lineage.CodeInvalid, name, "not one of %q", allowed))
		return allowed[0]
	}
	return text
}

// pathIndex reads the entry index of the path.
func pathIndex(c *gin.Context) (int64, error) {
	text := c.Param("index")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, lineage.Errf(lineage.CodeInvalid, "index", "not the index of an entry").WithRemedy("use a whole number from 0")
	}
	return n, nil
}

// digest checks the form of a SHA-256 in hex.
func digest(field, text string) (string, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 32 || hex.EncodeToString(b) != text {
		return "", lineage.Errf(lineage.CodeInvalid, field, "not a SHA-256 in 64 lower-case hex digits")
	}
	return text, nil
}
