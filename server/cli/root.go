// Package cli is the command line: demo, serve, migrate, keys, submit, verify,
// audit, version.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"affidavit/lineage"
	"affidavit/server/wire"
)

// Exit codes of every command; verify adds ExitUnanchored.
const (
	ExitOK         = 0
	ExitRefused    = 1 // the answer is no: refused, or it differs
	ExitUsage      = 2 // wrong call, or nothing could be read
	ExitUnanchored = 3
)

// exit carries an exit code through cobra; nothing more is printed for it.
type exit struct{ code int }

func (e exit) Error() string { return fmt.Sprintf("exit %d", e.code) }

// app is what commands share.
type app struct {
	out, err io.Writer
	env      func(string) string
	config   string
	flags    wire.Config
	version  string
}

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{out: stdout, err: stderr, env: os.Getenv, version: Version()}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exit
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &code):
		return code.code
	}
	fmt.Fprintf(stderr, "affidavit: %v\n", err)
	switch lineage.CodeOf(err) {
	case lineage.CodeForbidden, lineage.CodeRefused, lineage.CodeConflict, lineage.CodeUnauthenticated, lineage.CodeRollback:
		return ExitRefused
	}
	return ExitUsage
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:               "affidavit",
		Short:             "The sworn record of a model's life",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddCommand(a.demo(), a.serve(), a.migrate(), a.keys(), a.submit(), a.verify(), a.audit(), a.versionCommand())
	return root
}

// configured adds the flags of the configuration to a command.
func (a *app) configured(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&a.config, "config", "", "configuration file (default "+wire.ConfigFile+" if it is there)")
	wire.Settings(&a.flags, func(key, usage string, value *string) {
		c.Flags().StringVar(value, strings.ReplaceAll(key, "_", "-"), "", usage)
	})
	return c
}

// load merges file, environment and flags.
func (a *app) load(flags *pflag.FlagSet) (wire.Config, error) {
	c, err := wire.Load(a.config, a.env)
	if err != nil {
		return c, err
	}
	given := map[string]string{}
	wire.Settings(&a.flags, func(key, _ string, value *string) {
		if f := flags.Lookup(strings.ReplaceAll(key, "_", "-")); f != nil && f.Changed {
			given[key] = *value
		}
	})
	wire.Settings(&c, func(key, _ string, value *string) {
		if v, ok := given[key]; ok {
			*value = v
		}
	})
	return c, nil
}

// Version is the module's version and commit, as the build recorded them.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "0.1.0-dev"
	}
	return info.Main.Version
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		_, err := fmt.Fprintln(a.out, "affidavit", a.version)
		return err
	}}
}
