# Sourced by the scripts beside it.
set -eu
repo=$(cd "$(dirname "$0")/.." && pwd)
cd "$repo"
cache=$repo/.cache
bin=$cache/bin
mkdir -p "$bin"
PATH=$bin:$PATH
export PATH
: "${GOTOOLCHAIN:=local}"
export GOTOOLCHAIN
if [ -z "${AFFIDAVIT_TESTDATA:-}" ] && [ -d "$repo/../shared/data" ]; then
	AFFIDAVIT_TESTDATA=$(cd "$repo/../shared" && pwd)
	export AFFIDAVIT_TESTDATA
fi

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# as_root runs a command as root, or fails.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"
	elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
	else return 1
	fi
}

# apt PACKAGE... installs with apt-get; the index is fetched when it is a day old.
apt() {
	have apt-get || die "$* is needed and there is no apt-get: install it yourself"
	echo "installing $*" >&2
	if [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 2>/dev/null | head -1)" ]; then
		as_root apt-get -qq update </dev/null >&2 || die "apt-get update failed (or no right to it); $* is needed"
	fi
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold "$@" </dev/null >"$cache/apt.log" 2>&1 || {
		tail -20 "$cache/apt.log" >&2
		die "cannot install $*: do it yourself and try again"
	}
}

# need COMMAND PACKAGE installs the package if the command is not there.
need() { have "$1" || apt "$2"; have "$1" || die "$2 brought no $1"; }
