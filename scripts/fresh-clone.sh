#!/bin/sh
# Clones the committed state into a new folder, builds it, starts it as the
# README says, asks the README's first query, and proves the counters.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
work=$(mktemp -d)
chmod 711 "$work"
server=
: >"$work/out"
cleanup() {
	if [ -n "$server" ]; then
		kill -INT "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT INT TERM

git clone --quiet "$root" "$work/clone"
cd "$work/clone"
make build
export EXPOSUREGRAPH_POSTGRES_CACHE="${EXPOSUREGRAPH_POSTGRES_CACHE:-$root/.cache/postgres}"

port=18080
bin/exposuregraph serve --demo --demo-date 2026-03-01 --listen 127.0.0.1:$port --data-dir "$work/data" >"$work/out" 2>"$work/log" &
server=$!
waited=0
until grep -qx ready "$work/out"; do
	if ! kill -0 "$server" 2>/dev/null || [ "$waited" -ge 120 ]; then
		cat "$work/out" "$work/log" >&2
		echo "the server did not become ready" >&2
		exit 1
	fi
	sleep 1
	waited=$((waited + 1))
done
echo "ready after about $waited s"

EXPOSUREGRAPH_SERVER=http://127.0.0.1:$port
EXPOSUREGRAPH_TOKEN=$(sed -n 's/^token\.viewer=//p' "$work/out")
export EXPOSUREGRAPH_SERVER EXPOSUREGRAPH_TOKEN
bin/exposuregraph query docs/operations/first-query.graphql >"$work/answer.json"
diff -u docs/operations/first-query.json "$work/answer.json"
bin/exposuregraph query docs/operations/overview.graphql >"$work/answer.json"
diff -u docs/operations/overview.json "$work/answer.json"
echo "the first query and the overview answer as documented"
bin/exposuregraph invariant check --data-dir "$work/data"

kill -INT "$server"
wait "$server" || true
server=
: >"$work/out"
if pgrep -f "$work/data" >/dev/null 2>&1; then
	pgrep -af "$work/data" >&2
	echo "a process is left" >&2
	exit 1
fi
echo "no process is left"
