#!/bin/sh
# with-postgres.sh COMMAND...
# Runs COMMAND with AFFIDAVIT_TEST_POSTGRES naming a PostgreSQL of its own: a
# new cluster in a temporary directory, on a free port of the loopback address,
# stopped and removed at the end. A DSN that is already set is used as it is.
# PostgreSQL refuses to run as root, so root runs it as the user postgres.
# PGTEST_FSYNC=on keeps fsync (for measurements); tests do without.
. "$(dirname "$0")/lib.sh"
if [ -n "${AFFIDAVIT_TEST_POSTGRES:-}" ]; then exec "$@"; fi

find_bin() {
	for d in $(ls -d /usr/lib/postgresql/*/bin /usr/local/pgsql/bin /opt/homebrew/opt/postgresql*/bin 2>/dev/null | sort -rV); do
		if [ -x "$d/initdb" ] && [ -x "$d/postgres" ]; then echo "$d"; return; fi
	done
	if have initdb && have postgres; then dirname "$(command -v initdb)"; fi
}
pg=$(find_bin)
if [ -z "$pg" ]; then
	have apt-get || die "no PostgreSQL found and no apt-get: install it, or set AFFIDAVIT_TEST_POSTGRES to a DSN"
	apt postgresql-common
	# The package would start a cluster of its own on port 5432; we want none.
	as_root sh -c 'f=/etc/postgresql-common/createcluster.conf; grep -q "^create_main_cluster" $f 2>/dev/null || echo "create_main_cluster = false" >> $f'
	apt postgresql
	pg=$(find_bin)
	[ -n "$pg" ] || die "the package postgresql brought no initdb"
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/affidavit-pg.XXXXXX")
if [ "$(id -u)" = 0 ]; then
	id postgres >/dev/null 2>&1 || die "PostgreSQL does not run as root, and there is no user postgres"
	chown postgres "$dir"
	chmod 755 "$dir"
	as() { runuser -u postgres -- env -C "$dir" LC_ALL=C "$@"; }
else
	as() { env -C "$dir" LC_ALL=C "$@"; }
fi
pid=
stop() {
	status=$?
	trap - EXIT INT TERM
	if [ -z "$pid" ] && [ -f "$dir/data/postmaster.pid" ]; then pid=$(head -1 "$dir/data/postmaster.pid"); fi
	if [ -n "$pid" ]; then
		kill -INT "$pid" 2>/dev/null || true
		i=0
		while kill -0 "$pid" 2>/dev/null && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
		kill -QUIT "$pid" 2>/dev/null || true
	fi
	rm -rf "$dir"
	exit $status
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" >"$dir/password"
chmod 644 "$dir/password"
as "$pg/initdb" -D "$dir/data" -U postgres -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --no-sync >"$dir/initdb.log" 2>&1 || {
	cat "$dir/initdb.log" >&2
	die "initdb failed"
}
rm -f "$dir/password"

tries=0
while :; do
	port=$((20000 + $(od -An -N2 -tu2 /dev/urandom | tr -d ' ') % 30000))
	if as "$pg/pg_ctl" -D "$dir/data" -l "$dir/data/server.log" -w -t 60 -s -o \
		"-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c fsync=${PGTEST_FSYNC:-off} -c full_page_writes=${PGTEST_FSYNC:-off} -c max_connections=300" start >/dev/null 2>&1; then
		break
	fi
	tries=$((tries + 1))
	if [ $tries -ge 5 ]; then cat "$dir/data/server.log" >&2; die "PostgreSQL does not start"; fi
done
pid=$(head -1 "$dir/data/postmaster.pid")
AFFIDAVIT_TEST_POSTGRES="postgres://postgres:$password@127.0.0.1:$port/postgres?sslmode=disable"
export AFFIDAVIT_TEST_POSTGRES
echo "PostgreSQL $("$pg/postgres" --version | awk '{print $3}') on 127.0.0.1:$port, fsync ${PGTEST_FSYNC:-off}"
status=0
"$@" || status=$?
exit $status
