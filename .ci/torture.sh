#!/bin/sh
# torture.sh: the ledger's conformance and fault suite, TORTURE times, in random
# order, on SQLite and PostgreSQL with fsync on; with the race detector where
# there is a C compiler. It injects failures inside the process; killing the
# process and filling the disk are not part of it.
. "$(dirname "$0")/lib.sh"
: "${TORTURE:=3}"
race=
CGO_ENABLED=0
if have cc || have gcc; then race=-race CGO_ENABLED=1; fi
export CGO_ENABLED
PGTEST_FSYNC=on .ci/with-postgres.sh go test $race -shuffle=on -count="$TORTURE" -timeout 25m ./lineage/...
