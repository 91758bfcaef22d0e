#!/bin/sh
# bench.sh runs all benchmarks, prints them, and writes bench.json.
. "$(dirname "$0")/lib.sh"
: "${BENCHTIME:=1s}"
log=$cache/bench.txt
PGTEST_FSYNC=on CGO_ENABLED=0 .ci/with-postgres.sh go test ./... -run '^$' -bench . -benchtime "$BENCHTIME" -benchmem -timeout 30m >"$log" 2>&1 || {
	cat "$log"
	die "benchmarks failed"
}
grep -E '^(pkg:|Benchmark)' "$log" || die "no benchmark ran"
awk '
	BEGIN {printf "["}
	/^pkg:/ {pkg = $2}
	/^Benchmark/ {
		name = $1; sub(/-[0-9]+$/, "", name)
		for (i = 3; i < NF; i += 2) {printf "%s\n {\"name\": \"%s.%s\", \"value\": %s, \"unit\": \"%s\"}", (n++ ? "," : ""), pkg, name, $i, $(i + 1)}
	}
	END {print "\n]"}' "$log" >bench.json
echo "bench.json: $(grep -c '"name"' bench.json) figures"
