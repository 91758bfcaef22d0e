package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"affidavit/lineage"
	"affidavit/server"
	"affidavit/server/wire"
	"affidavit/serving/gateway"
)

// shutdownGrace is how long what is under way may take before it is abandoned.
const shutdownGrace = 20 * time.Second

func (a *app) serve() *cobra.Command {
	return a.configured(&cobra.Command{
		Use: "serve", Short: "Serve the log, its API, the gateway and the pages",
		Long: "Serve on 127.0.0.1:8420 with SQLite and a local blob store in ./affidavit-data unless told otherwise.\nConfiguration: " +
			wire.ConfigFile + ", then AFFIDAVIT_<KEY>, then flags, the later winning.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd.Flags())
			if err != nil {
				return err
			}
			if err := server.CheckLoopback(c.Listen); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return a.runServer(ctx, c)
		},
	})
}

func (a *app) runServer(ctx context.Context, c wire.Config) error {
	n, err := wire.Open(ctx, c, wire.Options{Version: a.version})
	if err != nil {
		return err
	}
	if n.Created {
		fmt.Fprintf(a.err, "A new log was begun: %s\nThe first admin's key is %s; its password is AFFIDAVIT_KEY_PASSWORD, or the content of %s.\n",
			n.Ledger.Keys().Log.Origin(), filepath.Join(c.DataDir, wire.AdminKeyFile), filepath.Join(c.DataDir, wire.PassphraseFile))
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := n.Close(end); err != nil {
			n.Logger.Error("shutdown", "error", err.Error())
		}
	}()
	stamper, err := n.Stamper()
	if err != nil {
		return err
	}
	if stamper != nil {
		defer beside(ctx, stamper.Run)()
	}
	store, err := gateway.OpenKeyDir(filepath.Join(c.DataDir, "prediction-keys"), nil)
	if err != nil {
		return err
	}
	g, err := gateway.New(ctx, n.Ledger, gateway.Options{Project: c.Project, Keys: store, Logger: n.Logger})
	if err != nil {
		return err
	}
	if err := g.Sync(ctx); err != nil {
		// The log and its API are served all the same; the endpoints concerned answer why they do not.
		n.Logger.Warn("not everything that is deployed can be served", "error", err.Error())
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := g.Close(end); err != nil {
			n.Logger.Error("gateway", "error", err.Error())
		}
	}()
	go followDeployments(ctx, n, g)
	s, err := n.Server(g, a.version)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return &lineage.Error{Code: lineage.CodeUnavailable, Field: "listen", Message: "cannot listen on " + c.Listen, Err: err}
	}
	fmt.Fprintf(a.err, "affidavit %s serves http://%s (log %s)\n", a.version, ln.Addr(), n.Ledger.Keys().Log.Origin())
	return s.Serve(ctx, ln)
}

// beside starts run; what it returns ends run and waits for it.
func beside(ctx context.Context, run func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// Between these two, the gateway looks at the log for deployments, and judges
// approvals again even if nothing was logged: some simply expire.
const (
	lookEvery  = 2 * time.Second
	judgeEvery = time.Minute
)

// followDeployments keeps the gateway at what the log says, also when another
// server logged it.
func followDeployments(ctx context.Context, n *wire.Node, g *gateway.Gateway) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var seen int64
	var judged time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		size := seen
		err := n.Ledger.View(ctx, lineage.Scope{All: true}, func(r *lineage.ReadTx) error { size = r.Size(); return nil })
		if err == nil && (size != seen || time.Since(judged) > judgeEvery) {
			err = g.Sync(ctx)
			seen, judged = size, time.Now()
		}
		if err != nil && ctx.Err() == nil {
			n.Logger.Warn("gateway", "error", err.Error())
		}
	}
}

func (a *app) migrate() *cobra.Command {
	return a.configured(&cobra.Command{
		Use: "migrate", Short: "Bring the database to this binary's schema", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load(cmd.Flags())
			if err != nil {
				return err
			}
			db, err := wire.OpenDatabase(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer db.Close()
			before, want, err := db.SchemaVersion(cmd.Context())
			if err != nil {
				return err
			}
			if err := db.Migrate(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "schema %d → %d (%s)\n", before, want, db.Dialect())
			return nil
		},
	})
}
