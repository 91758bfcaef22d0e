package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"affidavit/server"
	"affidavit/server/demo"
)

func (a *app) demo() *cobra.Command {
	o := demo.Options{Out: a.out, Progress: a.err, Version: a.version}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Live a model's whole life on real mortgage data and verify the evidence",
		Long: "No server, no network, no Python. Everything is written below --dir: pack.zip, trusted_root.json, documents/*.pdf, summary.json\n" +
			"and data/ with the ledger. --serve leaves the server up with read-only pages.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := server.CheckLoopback(o.Listen); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return demo.Run(ctx, o)
		},
	}
	c.Flags().StringVar(&o.Dir, "dir", "./affidavit-demo", "directory for everything; refused if it is not empty")
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:0", "address of the demo's server (loopback)")
	c.Flags().BoolVar(&o.Serve, "serve", false, "leave the server up, with pages, until Ctrl-C")
	return c
}
