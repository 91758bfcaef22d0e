package ledgertest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"affidavit/lineage"
)

// PostgresVariable names the environment variable that holds the URL of a
// PostgreSQL server on which databases may be created.
const PostgresVariable = "AFFIDAVIT_TEST_POSTGRES"

// OnSQLite opens a fresh file in the test's directory.
func OnSQLite(t *testing.T) (*lineage.Database, func() *lineage.Database) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	return handles(t, func() (*lineage.Database, error) { return lineage.OpenSQLite(context.Background(), path) })
}

// OnPostgres makes a database of its own for each test and drops it after.
// Without PostgresVariable the test is skipped, but in CI it fails.
func OnPostgres(t *testing.T) (*lineage.Database, func() *lineage.Database) {
	t.Helper()
	dsn := PostgresServer(t)
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		t.Fatalf("%s must be a URL, as postgres://user@127.0.0.1:5432/postgres", PostgresVariable)
	}
	admin, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	name := "affidavit_test_" + hex.EncodeToString(b)
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		admin.Close()
	})
	u.Path = "/" + name
	return handles(t, func() (*lineage.Database, error) { return lineage.OpenPostgres(context.Background(), u.String()) })
}

// PostgresServer returns the URL of the server for tests, or skips.
func PostgresServer(t *testing.T) string {
	t.Helper()
	dsn := os.Getenv(PostgresVariable)
	switch {
	case dsn != "":
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not set: in CI the suite must run on PostgreSQL too", PostgresVariable)
	default:
		t.Skipf("%s is not set: name a PostgreSQL server on which databases may be created to run the suite on it", PostgresVariable)
	}
	return dsn
}

func handles(t *testing.T, open func() (*lineage.Database, error)) (*lineage.Database, func() *lineage.Database) {
	t.Helper()
	again := func() *lineage.Database {
		t.Helper()
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	db := again()
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return db, again
}
