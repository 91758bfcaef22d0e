package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"affidavit/attest/keys"
	"affidavit/lineage"
	"affidavit/server/progress"
	"affidavit/server/wire"
)

func (a *app) audit() *cobra.Command {
	var root string
	var repair, asJSON bool
	c := a.configured(&cobra.Command{
		Use:   "audit",
		Short: "Replay the log and compare every table with it",
		Long: `Recompute the root from leaf bytes, verify every signature, timestamp and checkpoint, rebuild every
projection in a temporary database and name each row that differs.

Exit codes: 0 all as the log says · 1 something differs · 2 wrong call, or unreadable.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd.Flags())
			if err != nil {
				return err
			}
			return a.runAudit(cmd, c, root, repair, asJSON)
		},
	})
	c.Flags().StringVar(&root, "trusted-root", "", "whose log it should be (default: trusted_root.json of the key directory)")
	c.Flags().BoolVar(&repair, "repair", false, "replace cur_ tables that differ by what the log says")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

func (a *app) runAudit(cmd *cobra.Command, c wire.Config, rootFile string, repair, asJSON bool) error {
	if rootFile == "" {
		dir := c.Keys
		if dir == "" {
			dir = filepath.Join(c.DataDir, "keys")
		}
		rootFile = filepath.Join(dir, keys.TrustedRootFile)
	}
	text, err := os.ReadFile(rootFile)
	if err != nil {
		return fmt.Errorf("trusted root: %w", err)
	}
	root, err := keys.ParseTrustedRoot(text)
	if err != nil {
		return fmt.Errorf("%s: %w", rootFile, err)
	}
	kinds, err := wire.Kinds()
	if err != nil {
		return err
	}
	if !isPostgresOrFile(c) {
		return fmt.Errorf("no database at %s", c.Database)
	}
	db, err := wire.OpenDatabase(cmd.Context(), c)
	if err != nil {
		return err
	}
	defer db.Close()
	cfg := lineage.AuditConfig{DB: db, Kinds: kinds, Root: root, Repair: repair}
	if !asJSON {
		bar := progress.New(a.err, "replaying", 1)
		cfg.Progress = func(done, total int64) { bar.Set(int(done), int(total)) }
		defer bar.Finish()
	}
	rep, err := lineage.Audit(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(a, rep); err != nil {
			return err
		}
	} else {
		a.printAudit(rep)
	}
	if !rep.OK() {
		return exit{ExitRefused}
	}
	return nil
}

// isPostgresOrFile: opening an SQLite path would make the file, and an audit
// of a database that is not there should say so.
func isPostgresOrFile(c wire.Config) bool {
	path, file := c.SQLitePath()
	if !file {
		return true
	}
	_, err := os.Stat(path)
	return err == nil
}

func (a *app) printAudit(r *lineage.AuditReport) {
	fmt.Fprintf(a.out, "%d entries replayed, root %s\n%d rows in %d tables compared\n", r.Entries, r.Root, r.Rows, r.Tables)
	for _, e := range r.Erased {
		fmt.Fprintln(a.out, "  "+e)
	}
	for _, d := range r.Differences {
		fmt.Fprintln(a.out, "DIFFERS "+d.String())
	}
	if r.Omitted > 0 {
		fmt.Fprintf(a.out, "… and %d more\n", r.Omitted)
	}
	for _, t := range r.Repaired {
		fmt.Fprintln(a.out, "REPAIRED "+t)
	}
	if r.OK() {
		fmt.Fprintln(a.out, "OK: the database is what the log says")
	} else {
		fmt.Fprintln(a.out, "NOT OK")
	}
}
