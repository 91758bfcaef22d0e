package wire

import (
	"affidavit/server"
	"affidavit/server/inference"
	"affidavit/server/rest"
	"affidavit/server/web"
)

// Server builds the HTTP server of a node: the log and its API, the gateway
// (nil for none) and the pages.
func (n *Node) Server(gateway inference.Gateway, version string) (*server.Server, error) {
	site, err := web.New(n.Ledger)
	if err != nil {
		return nil, err
	}
	routes := append(rest.New(n.Ledger, n.Metrics).Routes(), site.Routes()...)
	if gateway != nil {
		routes = append(routes, inference.New(gateway, version).Routes()...)
	}
	return server.New(server.Deps{Routes: routes, Authorizer: server.NewAccess(n.Ledger), Ready: n.Ledger.Ready, Metrics: n.Metrics,
		Logger: n.Logger, Version: version, Missing: site.Missing})
}
