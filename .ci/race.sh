#!/bin/sh
# race.sh: the packages that share memory between goroutines, under -race. The
# whole demo and the audit of each column are long and use one goroutine: they
# run without it in make test.
. "$(dirname "$0")/lib.sh"
.ci/tools.sh cc
CGO_ENABLED=1 .ci/with-postgres.sh go test -race -timeout 15m -skip '/AuditEveryColumn' \
	./attest/tlog ./attest/keys ./rbac ./lineage/... ./serving/... $(go list ./server/... | grep -v /server/demo)
