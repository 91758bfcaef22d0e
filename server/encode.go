package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
)

// Media types that are used in more than one place.
const (
	MediaJSON    = "application/json"
	MediaProblem = "application/problem+json"
)

// WriteJSON encodes v before it writes anything, so that a failure is still a
// clean 500.
func WriteJSON(c *gin.Context, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.Data(status, MediaJSON, b)
	return nil
}

// WriteProblem is the ErrorStyle of our own endpoints.
func WriteProblem(c *gin.Context, p Problem) {
	b, err := json.Marshal(p)
	if err != nil { // strings and an int: cannot happen
		c.Status(http.StatusInternalServerError)
		return
	}
	c.Data(p.Status, MediaProblem, b)
}

// ReadBody reads the whole body; the route's limit is already on it.
func ReadBody(c *gin.Context) ([]byte, error) {
	b, err := io.ReadAll(c.Request.Body)
	if err != nil {
		if p := classify(err); p.Code != lineage.CodeInternal {
			return nil, p
		}
		return nil, &lineage.Error{Code: lineage.CodeInvalid, Field: "body", Message: "it ended early", Err: err}
	}
	if len(b) == 0 {
		return nil, lineage.Errf(lineage.CodeInvalid, "body", "it is empty")
	}
	return b, nil
}
