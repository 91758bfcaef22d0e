// Package client speaks to a server's log API.
package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"affidavit/attest"
)

// maxAnswer bounds what is read from a server.
const maxAnswer = 16 << 20

// Client talks to one server. Safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New makes a client for a base address such as http://127.0.0.1:8420.
func New(base string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), http: &http.Client{Timeout: 60 * time.Second}}
}

// Receipt is the server's answer to a submission.
type Receipt struct {
	Index      int64           `json:"index"`
	PAE        string          `json:"pae"`
	Stamp      time.Time       `json:"stamp"`
	Checkpoint string          `json:"checkpoint"`
	Bundle     json.RawMessage `json:"bundle"`
	Duplicate  bool            `json:"duplicate"`
}

// Problem is a refusal: RFC 9457 with a stable code.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Remedy string `json:"remedy"`
}

func (p *Problem) Error() string {
	s := fmt.Sprintf("%d %s: ", p.Status, p.Code)
	if p.Field != "" {
		s += p.Field + ": "
	}
	s += p.Detail
	if p.Remedy != "" {
		s += " (" + p.Remedy + ")"
	}
	return s
}

func (c *Client) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("the server's answer is larger than %d bytes", maxAnswer)
	}
	if res.StatusCode != http.StatusOK {
		p := &Problem{Status: res.StatusCode}
		if json.Unmarshal(b, p) != nil || p.Code == "" {
			p.Code, p.Detail = "http", strings.TrimSpace(res.Status)
		}
		return nil, p
	}
	return b, nil
}

// Position asks for the server's head, as a statement cites it. The note's
// signature is not checked here: the position is a claim that the log judges.
func (c *Client) Position(ctx context.Context) (attest.Position, error) {
	b, err := c.do(ctx, http.MethodGet, "/checkpoint", "", nil)
	if err != nil {
		return attest.Position{}, err
	}
	lines := strings.SplitN(string(b), "\n", 4)
	if len(lines) < 4 {
		return attest.Position{}, errors.New("the server's checkpoint is malformed")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return attest.Position{}, fmt.Errorf("the server's checkpoint is malformed: %w", err)
	}
	var root []byte
	if err := json.Unmarshal([]byte(`"`+lines[2]+`"`), &root); err != nil {
		return attest.Position{}, fmt.Errorf("the server's checkpoint is malformed: %w", err)
	}
	return attest.Position{Size: size, Root: hex.EncodeToString(root)}, nil
}

// Submit hands in a signed statement.
func (c *Client) Submit(ctx context.Context, s *attest.Signed) (*Receipt, error) {
	return c.SubmitRaw(ctx, attest.MarshalSubmission(s))
}

// SubmitRaw hands in the JSON of a submission.
func (c *Client) SubmitRaw(ctx context.Context, body []byte) (*Receipt, error) {
	b, err := c.do(ctx, http.MethodPost, "/api/v1/attestations", "application/json", body)
	if err != nil {
		return nil, err
	}
	var r Receipt
	return &r, json.Unmarshal(b, &r)
}
