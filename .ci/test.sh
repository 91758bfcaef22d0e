#!/bin/sh
# test.sh PACKAGE... runs the tests with a real PostgreSQL and says what was skipped.
. "$(dirname "$0")/lib.sh"
have go || die "Go is needed"
if [ -z "${AFFIDAVIT_TEST_POSTGRES:-}" ]; then exec .ci/with-postgres.sh "$0" "$@"; fi
# In CI nothing is skipped: the kill test runs too.
if [ "${CI:-}" = true ]; then export AFFIDAVIT_TORTURE=1; fi
# go test's own exit code is lost in the pipe; testlog sees every failure, also of a build.
go build -o "$bin/testlog" .ci/testlog.go
CGO_ENABLED=${CGO_ENABLED:-0} go test -json -count=1 -timeout 15m "$@" | "$bin/testlog"
