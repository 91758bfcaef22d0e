package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
)

const logPage = 50

type logLine struct {
	Index                         int64
	Kind, Name, Who, For, Project string
	PAE                           string
	Stamp                         time.Time
	Erased                        bool
}

type logBody struct {
	Kinds                      []string
	Kind, ProjectFilter, Actor string
	Entries                    []logLine
	Newer, Older               string
}

func (s *Site) getLog(c *gin.Context) error {
	body := &logBody{Kinds: s.ledger.Kinds().Names(), Kind: c.Query("kind"), ProjectFilter: c.Query("project"), Actor: c.Query("actor")}
	f := lineage.EntryFilter{Project: body.ProjectFilter, Kind: body.Kind, Actor: body.Actor, Newest: true, Limit: logPage + 1}
	if text := c.Query("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return lineage.Errf(lineage.CodeInvalid, "before", "not the index of an entry")
		}
		f.To = n
		body.Newer = body.address(0)
	}
	p := &page{Title: "What was logged?", Section: "log", Body: body,
		Lead: "Every step is a signed statement at a fixed place in an append-only Merkle log."}
	err := s.view(c, p, func(r *reader) error {
		list, err := r.Entries(f)
		if err != nil {
			return err
		}
		if len(list) > logPage {
			list = list[:logPage]
			body.Older = body.address(list[logPage-1].Index)
		}
		for _, e := range list {
			line := logLine{Index: e.Index, Kind: e.Kind, Name: clip(title(e), 60), Who: r.name(e.Actor), Project: e.Project, PAE: e.PAE, Stamp: e.Stamp, Erased: e.Erased}
			if e.OnBehalfOf != "" {
				line.For = r.name(e.OnBehalfOf)
			}
			body.Entries = append(body.Entries, line)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "log", p)
}

// address keeps the filters, so that each page works by its address alone.
func (b *logBody) address(before int64) string {
	q := url.Values{}
	for _, f := range [][2]string{{"kind", b.Kind}, {"project", b.ProjectFilter}, {"actor", b.Actor}} {
		if f[1] != "" {
			q.Set(f[0], f[1])
		}
	}
	if before > 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if len(q) == 0 {
		return "/log"
	}
	return "/log?" + q.Encode()
}
