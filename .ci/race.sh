#!/bin/sh
# race.sh: the packages that share memory between goroutines, under -race.
. "$(dirname "$0")/lib.sh"
.ci/tools.sh cc
CGO_ENABLED=1 .ci/with-postgres.sh go test -race -timeout 15m ./attest/tlog ./attest/keys ./rbac ./lineage/... ./serving/... ./server/...
