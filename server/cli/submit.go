package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"affidavit/attest"
	"affidavit/attest/keys"
	"affidavit/server/client"
)

func (a *app) submit() *cobra.Command {
	var server, key, out string
	c := &cobra.Command{
		Use:   "submit FILE",
		Short: "Hand in a signed statement, or sign one with your own key and hand it in",
		Long: `Without --key, FILE is a submission: {"envelope": …, "publicKey": …}.

With --key, FILE is an unsigned step, and this command adds salt, nonce, time and the checkpoint it saw, and signs:
{"kind": "role-grant", "project": "", "actor": "admin", "predicate": {…},
 "subjects": [{"name": "…", "digest": {"sha256": "…"}}], "relations": [{"type": "used", "kind": "data", "digest": "…"}]}

The receipt is printed as JSON; --bundle writes the Sigstore bundle to a file.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runSubmit(cmd.Context(), args[0], server, key, out)
		},
	}
	c.Flags().StringVar(&server, "server", "http://127.0.0.1:8420", "address of the server")
	c.Flags().StringVar(&key, "key", "", "encrypted key file (affidavit keys new)")
	c.Flags().StringVar(&out, "bundle", "", "file for the Sigstore bundle")
	return c
}

// draft is an unsigned step.
type draft struct {
	Kind       string            `json:"kind"`
	Project    string            `json:"project"`
	Actor      string            `json:"actor"`
	OnBehalfOf string            `json:"onBehalfOf,omitempty"`
	Nonce      string            `json:"nonce,omitempty"`
	Predicate  json.RawMessage   `json:"predicate"`
	Subjects   []attest.Subject  `json:"subjects,omitempty"`
	Relations  []attest.Relation `json:"relations,omitempty"`
}

func (a *app) runSubmit(ctx context.Context, file, server, key, out string) error {
	body, err := readInput(file)
	if err != nil {
		return err
	}
	c := client.New(server)
	if key != "" {
		if body, err = a.signDraft(ctx, c, body, key); err != nil {
			return err
		}
	}
	rec, err := c.SubmitRaw(ctx, body)
	var refused *client.Problem
	if errors.As(err, &refused) {
		fmt.Fprintf(a.err, "REFUSED %v\n", refused)
		return exit{ExitRefused}
	}
	if err != nil {
		return err
	}
	if out != "" {
		if err := os.WriteFile(out, rec.Bundle, 0o644); err != nil {
			return err
		}
	}
	return printJSON(a, rec)
}

func readInput(file string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, attest.MaxSubmission+1))
	if err == nil && len(b) > attest.MaxSubmission {
		err = fmt.Errorf("%s is larger than %d bytes", file, attest.MaxSubmission)
	}
	return b, err
}

func (a *app) signDraft(ctx context.Context, c *client.Client, body []byte, keyFile string) ([]byte, error) {
	var d draft
	if err := attest.StrictUnmarshal(body, &d, attest.MaxSubmission); err != nil {
		return nil, err
	}
	if d.Nonce == "" {
		n := make([]byte, 16)
		_, _ = rand.Read(n) // never fails
		d.Nonce = hex.EncodeToString(n)
	}
	pw, err := a.password("Password: ")
	if err != nil {
		return nil, err
	}
	signer, err := keys.LoadFile(keyFile, pw)
	if err != nil {
		return nil, err
	}
	pos, err := c.Position(ctx)
	if err != nil {
		return nil, err
	}
	st, err := attest.NewStatement(attest.Step{Kind: d.Kind, Project: d.Project, Nonce: d.Nonce, Actor: d.Actor, OnBehalfOf: d.OnBehalfOf,
		Claimed: time.Now().UTC().Truncate(time.Second), NotBefore: pos, Relations: d.Relations}, d.Subjects, d.Predicate)
	if err != nil {
		return nil, err
	}
	s, err := attest.Sign(ctx, st, signer)
	if err != nil {
		return nil, err
	}
	return attest.MarshalSubmission(s), nil
}
