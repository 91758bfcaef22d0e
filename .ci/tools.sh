#!/bin/sh
# tools.sh staticcheck|cosign|venv|pdf... brings tools into .cache, or the
# system's packages; what is there already is kept.
. "$(dirname "$0")/lib.sh"

staticcheck_version=v0.8.2
cosign_version=v3.1.3
model_signing_version=1.1.1

# gotool NAME PACKAGE VERSION
gotool() {
	if [ -x "$bin/$1" ] && go version -m "$bin/$1" | grep -q "mod.*$3"; then return; fi
	other=$(go env GOPATH)/bin/$1
	if [ -x "$other" ] && go version -m "$other" | grep -q "mod.*$3"; then cp "$other" "$bin/$1"; return; fi
	echo "building $1 $3" >&2
	GOFLAGS= CGO_ENABLED=0 GOBIN=$bin go install "$2@$3"
}

for tool in "$@"; do
	case $tool in
	staticcheck) gotool staticcheck honnef.co/go/tools/cmd/staticcheck $staticcheck_version ;;
	cosign) gotool cosign github.com/sigstore/cosign/v3/cmd/cosign $cosign_version ;;
	venv)
		if [ -x "$cache/venv/bin/python" ] && "$cache/venv/bin/python" -c 'import model_signing' 2>/dev/null; then continue; fi
		need python3 python3
		rm -rf "$cache/venv"
		python3 -m venv "$cache/venv" >/dev/null 2>&1 || { apt python3-venv; rm -rf "$cache/venv"; python3 -m venv "$cache/venv"; }
		"$cache/venv/bin/python" -m pip install -q --disable-pip-version-check "model-signing==$model_signing_version" pyopenssl </dev/null # it imports pyopenssl without asking for it
		;;
	pdf)
		need pdfsig poppler-utils
		need qpdf qpdf
		need openssl openssl
		;;
	cc) have cc || have gcc || { apt gcc; apt libc6-dev; } ;;
	*) die "unknown tool $tool" ;;
	esac
done
