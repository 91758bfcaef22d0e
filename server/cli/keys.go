package cli

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"affidavit/attest"
	"affidavit/attest/keys"
)

func (a *app) keys() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "Make and show signing keys"}
	create := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a P-256 key in cosign's encrypted format, and FILE.pub beside it",
		Long: "The password comes from AFFIDAVIT_SIGNER_PASSWORD or, on a terminal, from a prompt. An existing file is never overwritten.\n" +
			"The key counts once an admin has enrolled it: give them the fingerprint by another way.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.newKey(args[0]) },
	}
	show := &cobra.Command{
		Use: "show FILE", Short: "Show key id and public key of FILE.pub, of a key, or of a key directory's trusted root", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.showKey(args[0]) },
	}
	c.AddCommand(create, show)
	return c
}

// password asks the environment, then the terminal.
func (a *app) password(prompt string) (string, error) {
	if p := a.env("AFFIDAVIT_SIGNER_PASSWORD"); p != "" {
		return p, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", errors.New("no password: set AFFIDAVIT_SIGNER_PASSWORD")
	}
	fmt.Fprint(a.err, prompt)
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(a.err)
	if err == nil && len(b) == 0 {
		err = errors.New("an empty password protects nothing")
	}
	return string(b), err
}

func publicPEM(spki []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
}

func (a *app) newKey(file string) error {
	pw, err := a.password("Password for the new key: ")
	if err != nil {
		return err
	}
	s, err := keys.GenerateFile(file, pw)
	if err != nil {
		return err
	}
	pub := strings.TrimSuffix(file, filepath.Ext(file)) + ".pub"
	f, err := os.OpenFile(pub, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(publicPEM(s.PublicKey()))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "key    %s\npublic %s\nkey id %s\n", file, pub, attest.KeyID(s.PublicKey()))
	return nil
}

func (a *app) showKey(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, keys.TrustedRootFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return err
	}
	if block, _ := pem.Decode(text); block != nil && block.Type == "PUBLIC KEY" {
		if _, err := keys.ParsePublicKey(block.Bytes); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "key id %s\n%s", attest.KeyID(block.Bytes), text)
		return nil
	}
	if root, err := keys.ParseTrustedRoot(text); err == nil {
		for _, l := range root.Logs {
			fmt.Fprintf(a.out, "log %s\nlog key %s\n", l.Origin, attest.KeyID(l.SPKI))
		}
		return nil
	}
	pw, err := a.password("Password: ")
	if err != nil {
		return err
	}
	s, err := keys.LoadFile(path, pw)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "key id %s\n%s", attest.KeyID(s.PublicKey()), publicPEM(s.PublicKey()))
	return nil
}
