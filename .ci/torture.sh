#!/bin/sh
# torture.sh: the ledger's conformance and fault suite and the kill test (SIGKILL
# of a writer on SQLite, 20 times), TORTURE times, in random order, on SQLite and
# PostgreSQL with fsync on; with the race detector where there is a C compiler.
# The audit of each column has nothing random: it runs once, in make test.
# Full disks, lost power and killing PostgreSQL are not part of it.
. "$(dirname "$0")/lib.sh"
: "${TORTURE:=3}"
race=
CGO_ENABLED=0
if have cc || have gcc; then race=-race CGO_ENABLED=1; fi
export CGO_ENABLED
AFFIDAVIT_TORTURE=1
export AFFIDAVIT_TORTURE
PGTEST_FSYNC=on .ci/with-postgres.sh go test $race -skip '/AuditEveryColumn' -shuffle=on -count="$TORTURE" -timeout 25m ./lineage/...
