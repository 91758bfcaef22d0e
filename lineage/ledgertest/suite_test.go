package ledgertest

import "testing"

func TestSQLite(t *testing.T) { Run(t, OnSQLite) }

func TestPostgres(t *testing.T) {
	PostgresServer(t)
	Run(t, OnPostgres)
}
