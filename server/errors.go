package server

import (
	"context"
	"errors"
	"net/http"

	"affidavit/lineage"
	"affidavit/rbac"
)

// ProblemBase prefixes the type of every problem document: ProblemBase + code.
const ProblemBase = "https://affidavit.dev/problem/"

// Codes that only HTTP knows; the rest are lineage's.
const (
	CodeMethod      lineage.Code = "method-not-allowed"
	CodeMediaType   lineage.Code = "unsupported-media-type"
	CodeMisdirected lineage.Code = "misdirected"
	CodeTimeout     lineage.Code = "timeout"
)

type statusRow struct {
	status int
	title  string
}

// statusOf is the one table from error code to HTTP. A code that is missing
// here is internal, and its words stay inside.
func statusOf(code lineage.Code) (statusRow, bool) {
	row, known := map[lineage.Code]statusRow{
		lineage.CodeInvalid:         {http.StatusBadRequest, "The request is not valid"},
		lineage.CodeUnauthenticated: {http.StatusUnauthorized, "The signature or key is not accepted"},
		lineage.CodeForbidden:       {http.StatusForbidden, "Not allowed"},
		lineage.CodeNotFound:        {http.StatusNotFound, "Not found"},
		lineage.CodeConflict:        {http.StatusConflict, "The log holds something else"},
		lineage.CodeTooLarge:        {http.StatusRequestEntityTooLarge, "Too large"},
		lineage.CodeRefused:         {http.StatusUnprocessableEntity, "A rule of this step is not met"},
		lineage.CodeUnavailable:     {http.StatusServiceUnavailable, "Not available now"},
		CodeMethod:                  {http.StatusMethodNotAllowed, "Method not allowed"},
		CodeMediaType:               {http.StatusUnsupportedMediaType, "Media type not supported"},
		CodeMisdirected:             {http.StatusMisdirectedRequest, "Not this server's name"},
		CodeTimeout:                 {http.StatusServiceUnavailable, "It took too long"},
	}[code]
	if !known {
		return statusRow{http.StatusInternalServerError, "Internal error"}, false
	}
	return row, true
}

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type     string `json:"type" doc:"URI that identifies the kind of problem; ends in the code"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Code     string `json:"code" doc:"stable code, for programs"`
	Field    string `json:"field,omitempty" doc:"what in the request is wrong"`
	Remedy   string `json:"remedy,omitempty" doc:"what to do about it"`
	Instance string `json:"instance" doc:"names this request in the server's log"`
}

// ProblemOf turns an error into the document for the request of that id.
// The words of an error without a known code are hidden: they may hold paths,
// SQL or data.
func ProblemOf(err error, requestID string) Problem {
	e := classify(err)
	row, known := statusOf(e.Code)
	p := Problem{
		Type: ProblemBase + string(e.Code), Title: row.title, Status: row.status, Detail: e.Message,
		Code: string(e.Code), Field: e.Field, Remedy: e.Remedy, Instance: "urn:affidavit:request:" + requestID,
	}
	if !known {
		p.Type, p.Code = ProblemBase+string(lineage.CodeInternal), string(lineage.CodeInternal)
		p.Detail, p.Field, p.Remedy = "something failed inside", "", "give the operator the request id in instance"
	}
	return p
}

func classify(err error) *lineage.Error {
	var domain *lineage.Error
	if errors.As(err, &domain) {
		return domain
	}
	var tooLarge *http.MaxBytesError
	var denied *rbac.Denied
	switch {
	case errors.As(err, &denied):
		return lineage.Errf(lineage.CodeForbidden, "", "%s", denied.Error())
	case errors.As(err, &tooLarge):
		return lineage.Errf(lineage.CodeTooLarge, "body", "more than %d bytes", tooLarge.Limit).
			WithRemedy("send a smaller request")
	case errors.Is(err, context.DeadlineExceeded):
		return lineage.Errf(CodeTimeout, "", "the deadline of the request passed").WithRemedy("try again later")
	}
	return &lineage.Error{Code: lineage.CodeInternal, Err: err}
}
