#!/bin/sh
# lint.sh: what a reviewer should not have to say.
. "$(dirname "$0")/lib.sh"
bad=0
fail() { printf 'lint: %s\n' "$*"; bad=1; }

files=$(gofmt -l $(git ls-files -co --exclude-standard '*.go'))
[ -z "$files" ] || fail "not gofmt'ed: $files"

export CGO_ENABLED=0
go vet ./... || fail "go vet"
go vet -tags interop ./attest/... ./interop || fail "go vet -tags interop"
go vet -tags external ./attest ./reports/pdf || fail "go vet -tags external"
go vet -tags cloud ./attest/keys || fail "go vet -tags cloud"
.ci/tools.sh staticcheck
staticcheck ./... || fail "staticcheck"
staticcheck -tags interop ./interop || fail "staticcheck -tags interop"

# Files and functions that are nearly always two.
long=$(git ls-files -co --exclude-standard '*.go' | xargs wc -l | awk '$2 != "total" && $1 > 600 {print $2 " (" $1 ")"}')
[ -z "$long" ] || fail "files over 600 lines: $long"
long=$(git ls-files -co --exclude-standard '*.go' | xargs awk '
	/^func .*\{$/ {name = $0; start = FNR; file = FILENAME}
	/^}$/ && start {if (FNR - start > 120) print file ":" start " " name; start = 0}')
[ -z "$long" ] || fail "functions over 120 lines: $long"

left=$(git grep -nE '\b(TO''DO|FIX''ME|XX''X)\b' -- '*.go' '*.md' '*.sh' '*.sql' '*.yaml' Makefile || true)
[ -z "$left" ] || fail "left behind: $left"

for f in docs/design/*.md; do
	[ "$(wc -l <"$f")" -le 170 ] || fail "$f is over 170 lines"
done
for f in .ci/*.sh .ci/run; do sh -n "$f" || fail "$f does not parse"; done
[ $bad = 0 ] && echo "lint: clean"
exit $bad
