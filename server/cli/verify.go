package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"affidavit/attest/pack"
	"affidavit/server/progress"
)

// maxBundleFile bounds what is read as a lone bundle.
const maxBundleFile = 16 << 20

func (a *app) verify() *cobra.Command {
	var root, logKey string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify PACK|BUNDLE [--trusted-root FILE | --log-key FINGERPRINT]",
		Short: "Verify an evidence pack or one bundle, offline",
		Long: `Verify an evidence pack (zip) or one Sigstore bundle, without network or database. Nothing is logged.

Exit codes: 0 verified · 1 refused, with the reason · 2 wrong call, or unreadable ·
3 consistent, but UNANCHORED: nothing from outside says whose log it is.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runVerify(cmd.Context(), args[0], root, logKey, asJSON)
		},
	}
	c.Flags().StringVar(&root, "trusted-root", "", "trusted_root.json from outside the pack")
	c.Flags().StringVar(&logKey, "log-key", "", "hex SHA-256 of the log key's SPKI (packs only)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	c.MarkFlagsMutuallyExclusive("trusted-root", "log-key")
	return c
}

func (a *app) runVerify(ctx context.Context, path, rootFile, logKey string, asJSON bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var root []byte
	if rootFile != "" {
		if root, err = os.ReadFile(rootFile); err != nil {
			return err
		}
	}
	head := make([]byte, 4)
	n, _ := f.ReadAt(head, 0)
	if !bytes.HasPrefix(head[:n], []byte("PK")) {
		return a.verifyLone(path, info.Size(), root, logKey, asJSON)
	}
	opts := pack.Options{TrustedRoot: root, LogKeyFingerprint: logKey}
	if !asJSON {
		bar := progress.New(a.err, "verifying", 1)
		opts.Progress = bar.Set
		defer bar.Finish()
	}
	rep, err := pack.Verify(ctx, f, info.Size(), opts)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(a, rep); err != nil {
			return err
		}
	} else if err := rep.WriteText(a.out); err != nil {
		return err
	}
	return codeOf(rep.Exit())
}

func codeOf(code int) error {
	if code == ExitOK {
		return nil
	}
	return exit{code}
}

func printJSON(a *app, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, string(b))
	return err
}

func (a *app) verifyLone(path string, size int64, root []byte, logKey string, asJSON bool) error {
	if logKey != "" {
		return errors.New("--log-key serves packs: a lone bundle needs --trusted-root, since its timestamp key is in no pack")
	}
	if root == nil {
		return errors.New("a lone bundle needs --trusted-root FILE: nothing in it says whose log it is")
	}
	if size > maxBundleFile {
		return fmt.Errorf("%s has %d bytes: neither a pack nor a bundle", path, size)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rep, err := pack.VerifyBundle(b, root)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(a, rep); err != nil {
			return err
		}
		return codeOf(rep.Exit())
	}
	fmt.Fprintf(a.out, "entry %d of %q: %q by %q, logged %s\n", rep.Index, rep.Origin, rep.PredicateType, rep.Actor, rep.Stamped.Format("2006-01-02 15:04:05 MST"))
	if rep.Refusal != nil {
		fmt.Fprintf(a.out, "REFUSED %s\n", rep.Refusal.Error())
	} else {
		fmt.Fprintln(a.out, "VERIFIED")
	}
	fmt.Fprintln(a.out, rep.NotJudged)
	return codeOf(rep.Exit())
}
