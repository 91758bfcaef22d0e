#!/bin/sh
# fuzz.sh runs every fuzz target in the tree, one after the other, for FUZZTIME each.
. "$(dirname "$0")/lib.sh"
: "${FUZZTIME:=10s}"
targets=$(git grep -nE --untracked '^func Fuzz[A-Za-z0-9_]*\(f \*testing\.F\)' -- '*_test.go' | sed -E 's/^([^:]+):[0-9]+:func (Fuzz[A-Za-z0-9_]*).*/\1 \2/')
[ -n "$targets" ] || die "no fuzz target found"
bad=0
n=0
while read -r file target; do
	pkg=./$(dirname "$file")
	log=$cache/fuzz.log
	n=$((n + 1))
	if CGO_ENABLED=0 go test "$pkg" -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x >"$log" 2>&1 </dev/null; then
		execs=$(grep -oE 'execs: [0-9]+' "$log" | tail -1 | tr -dc 0-9)
		if [ "${execs:-0}" = 0 ]; then # a slow machine spent the time on the seeds
			CGO_ENABLED=0 go test "$pkg" -run '^$' -fuzz "^$target\$" -fuzztime 60s -fuzzminimizetime 10x >"$log" 2>&1 </dev/null || { cat "$log"; bad=1; }
			execs=$(grep -oE 'execs: [0-9]+' "$log" | tail -1 | tr -dc 0-9)
		fi
		printf 'ok    %-32s %-24s %s executions\n' "$pkg" "$target" "${execs:-0}"
	else
		printf 'FAIL  %s %s\n' "$pkg" "$target"
		tail -40 "$log"
		bad=1
	fi
done <<LIST
$targets
LIST
echo "$n fuzz targets, $FUZZTIME each"
exit $bad
