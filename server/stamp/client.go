// Package stamp has an external timestamp authority (RFC 3161) swear to the
// log's checkpoints, beside the path of writing: it can fail, be slow or lie,
// and nothing but the stamp is missing.
package stamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	_ "crypto/sha1" // signingCertificate of RFC 2634 names certificates by it
	"crypto/sha256"
	_ "crypto/sha512" // and RFC 5035 also by SHA-384 and SHA-512
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/digitorus/timestamp"
)

const (
	// MaxAnswer bounds the bytes of a TimeStampResp; real ones have 1 to 8 KiB.
	MaxAnswer = 64 << 10
	// DefaultTimeout bounds one request, connection and body included.
	DefaultTimeout = 20 * time.Second

	queryType = "application/timestamp-query"
	replyType = "application/timestamp-reply"
)

// Authority asks one external authority over HTTP. It is safe for concurrent use.
type Authority struct {
	url     string
	roots   *Roots
	timeout time.Duration
	client  *http.Client
}

// CheckURL refuses what is no http or https address of an authority.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		// The error of url.Parse repeats the address, which may hold a password.
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("has scheme %q; only http and https are asked", u.Scheme)
	case u.Hostname() == "":
		return errors.New("names no host")
	case u.User != nil:
		return errors.New("holds a user name: logins are not supported")
	}
	return nil
}

// NewAuthority asks at address; answers must lead to roots. A timeout of zero is DefaultTimeout.
func NewAuthority(address string, roots *Roots, timeout time.Duration) (*Authority, error) {
	if err := CheckURL(address); err != nil {
		return nil, fmt.Errorf("the authority's address %w", err)
	}
	if roots == nil {
		return nil, errors.New("an external authority needs roots to be judged by")
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableCompression:     true, // the limit is on what arrives
		DisableKeepAlives:      true, // a minute lies between two requests
		MaxResponseHeaderBytes: 16 << 10,
		ForceAttemptHTTP2:      true,
	}
	return &Authority{url: address, roots: roots, timeout: timeout, client: &http.Client{
		Transport: transport,
		// The configuration says whom to ask; whoever answers does not.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// nonceBytes is what common clients use; some authorities refuse longer ones.
const nonceBytes = 8

// Stamp returns a verified DER TimeStampResp over SHA-256(message) and its
// genTime. What the authority did wrong is a *Refusal.
func (a *Authority) Stamp(ctx context.Context, message []byte) ([]byte, time.Time, error) {
	var random [nonceBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, time.Time{}, err
	}
	// One fixed leading bit keeps the nonce positive and of full length.
	random[0] = random[0]&0x7f | 0x40
	nonce := new(big.Int).SetBytes(random[:])
	sum := sha256.Sum256(message)
	query, err := (&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Certificates: true, Nonce: nonce}).Marshal()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("timestamp request: %w", err)
	}
	answer, err := a.post(ctx, query)
	if err != nil {
		return nil, time.Time{}, err
	}
	at, err := a.roots.verify(answer, message, nonce)
	if err != nil {
		return nil, time.Time{}, err
	}
	return answer, at, nil
}

// post follows RFC 3161 section 3.4.
func (a *Authority) post(ctx context.Context, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", queryType)
	req.Header.Set("Accept", replyType)
	req.Header.Set("User-Agent", "affidavit")
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, transportError(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, refuse(ReasonRedirect, "HTTP %d: redirects are not followed; configure the address itself", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, refuse(ReasonStatus, "HTTP %d", resp.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != replyType {
		return nil, refuse(ReasonMediaType, "the answer is not %s", replyType)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return nil, transportError(err)
	}
	if len(answer) > MaxAnswer {
		return nil, refuse(ReasonTooLarge, "longer than %d bytes", MaxAnswer)
	}
	return answer, nil
}

func transportError(err error) error {
	var t interface{ Timeout() bool }
	if errors.As(err, &t) && t.Timeout() {
		return &Refusal{Reason: ReasonTimeout, Err: err}
	}
	return &Refusal{Reason: ReasonUnreachable, Err: err}
}
