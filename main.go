// Command affidavit keeps the sworn record of a model's life.
package main

import (
	"context"
	"os"

	"affidavit/server/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
