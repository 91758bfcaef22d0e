// Package migrations embeds the schema: the same numbers for each database,
// applied by goose. A released file never changes.
package migrations

import "embed"

// FS holds sqlite/ and postgres/.
//
//go:embed sqlite/*.sql postgres/*.sql
var FS embed.FS

// Governed lists the append-only tables, in an order that respects foreign
// keys; each has a key and a column that names its entry.
var Governed = []string{
	"entries", "leaves", "hashes", "checkpoints", "edges", "erased", "projects", "policies", "pipelines",
	"data_versions", "feature_sets", "runs", "evaluations", "versions", "requests", "decisions", "verdicts",
	"deployments", "segments", "outcomes", "windows", "alerts", "triggers", "canaries", "documents",
	"project_states", "exports", "abandonments",
}

// Current lists the cur_ tables.
var Current = []string{
	"cur_head", "cur_actors", "cur_keys", "cur_memberships", "cur_inventory", "cur_requests", "cur_stages", "cur_endpoints",
}
