#!/bin/sh
# Has clients of other people generated from the schema, compiled, and run against a
# server of this checkout: graphql-http, graphql-ws, Relay, GraphQL Code Generator and
# genqlient. docs/clients.md is about them. Needs Go, npm, and bin/exposuregraph.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
go=${GO:-go}
work=$(mktemp -d)
chmod 711 "$work"
server=
cleanup() {
	if [ -n "$server" ]; then
		kill -INT "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

say() { printf '\n--- %s\n' "$*"; }

# An account whose tokens end while a stream runs.
"$root/bin/exposuregraph" token hash-secret >"$work/secret"
cat >"$work/accounts.yaml" <<EOF
accounts:
  - id: follower
    secret: $(sed -n 's/^hash: //p' "$work/secret")
    scopes: [vuln:view]
    organizations: [demo]
    ttl: 10s
EOF

# It makes its demo data while the clients are generated.
: >"$work/out"
"$root/bin/exposuregraph" serve --demo --demo-date 2026-03-01 --listen 127.0.0.1:0 --data-dir "$work/data" \
	--service-accounts "$work/accounts.yaml" >"$work/out" 2>"$work/log" &
server=$!

cd "$root/scripts/clients"
npm ci --ignore-scripts --no-audit --no-fund
PATH=$PWD/node_modules/.bin:$PATH

say "relay-compiler"
rm -rf relay/generated relay/__generated__
mkdir relay/generated
cp "$root/schema.graphqls" relay/generated/schema.graphql # it takes no other name for a schema
(cd relay && relay-compiler relay.config.json)

say "graphql-codegen and tsc"
rm -rf codegen/generated codegen/build
(cd codegen && graphql-codegen --config codegen.yml --silent && tsc --project .)

say "genqlient, go vet and go build"
(cd genqlient && $go tool genqlient && $go vet . && $go build -o "$work/genqlient" .)

waited=0
until grep -qx ready "$work/out"; do
	if ! kill -0 "$server" 2>/dev/null || [ "$waited" -ge 180 ]; then
		cat "$work/out" "$work/log" >&2
		echo "the server did not become ready" >&2
		exit 1
	fi
	sleep 1
	waited=$((waited + 1))
done
address=$(sed -n 's/^graphql=//p' "$work/out")
EXPOSUREGRAPH_SERVER=${address%/graphql}
EXPOSUREGRAPH_TOKEN=$(sed -n 's/^token\.viewer=//p' "$work/out")
CLIENTS_TOKENS=$(cat "$work/out")
CLIENTS_SECRET=$(sed -n 's/^secret: //p' "$work/secret")
export EXPOSUREGRAPH_SERVER EXPOSUREGRAPH_TOKEN CLIENTS_TOKENS CLIENTS_SECRET

say "what genqlient made, against a server"
"$work/genqlient"

say "graphql-http, graphql-ws, Relay and the generated TypeScript, against a server"
if ! node --test --test-reporter=spec http/audit.test.mjs follow/follow.test.mjs relay/relay.test.mjs store/store.test.mjs codegen/codegen.test.mjs; then
	grep -v 'level=INFO' "$work/log" | tail -n 40 >&2
	exit 1
fi
