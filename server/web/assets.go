package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"affidavit/lineage"
)

// Assets are the addresses of what every page loads.
type Assets struct{ Style, Font, Icon string }

type asset struct {
	media   string
	content []byte
	gzipped []byte // nil when it would not be smaller
}

// loadAssets names each file by its hash, so that it can be cached for ever,
// and writes the font's address into the style.
func loadAssets(files fs.FS) (Assets, map[string]asset, error) {
	out, byName := Assets{}, map[string]asset{}
	add := func(stem, ext, media string, content []byte) (string, error) {
		sum := sha256.Sum256(content)
		name := stem + "." + hex.EncodeToString(sum[:6]) + ext
		a := asset{media: media, content: content}
		zipped, err := compress(content)
		if err != nil {
			return "", err
		}
		if len(zipped) < len(content)*9/10 {
			a.gzipped = zipped
		}
		byName[name] = a
		return "/assets/" + name, nil
	}
	font, err := fs.ReadFile(files, "fonts/source-sans-3.woff2")
	if err != nil {
		return out, nil, err
	}
	if out.Font, err = add("source-sans-3", ".woff2", "font/woff2", font); err != nil {
		return out, nil, err
	}
	style, err := fs.ReadFile(files, "style.css")
	if err != nil {
		return out, nil, err
	}
	style = bytes.Replace(style, []byte(`url("font")`), []byte(`url("`+out.Font+`")`), 1)
	if out.Style, err = add("style", ".css", "text/css; charset=utf-8", style); err != nil {
		return out, nil, err
	}
	icon, err := fs.ReadFile(files, "icon.svg")
	if err != nil {
		return out, nil, err
	}
	out.Icon, err = add("icon", ".svg", "image/svg+xml", icon)
	return out, byName, err
}

func compress(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

func acceptsGzip(c *gin.Context) bool {
	for part := range strings.SplitSeq(c.GetHeader("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == "gzip" && !strings.HasSuffix(strings.ReplaceAll(quality, " ", ""), "q=0") {
			return true
		}
	}
	return false
}

func (s *Site) getAsset(c *gin.Context) error {
	a, known := s.files[c.Param("name")]
	if !known {
		return lineage.Errf(lineage.CodeNotFound, "name", "no such asset")
	}
	c.Header("Cache-Control", "public, max-age=31536000, immutable")
	c.Header("Vary", "Accept-Encoding")
	content := a.content
	if a.gzipped != nil && acceptsGzip(c) {
		c.Header("Content-Encoding", "gzip")
		content = a.gzipped
	}
	c.Data(http.StatusOK, a.media, content)
	return nil
}
