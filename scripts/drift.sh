#!/bin/sh
# Fails when something generated or derived differs from what its sources give.
set -eu

go=${GO:-go}
differs=0

kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT INT TERM

compare() { # name, committed, fresh
	if ! diff -ru "$2" "$3" >"$kept/diff" 2>&1; then
		head -n 60 "$kept/diff"
		echo "drift: $1 is not what its sources give" >&2
		differs=1
	fi
}

cp -R graph/generated "$kept/generated"
$go run github.com/99designs/gqlgen generate
compare "graph/generated (make generate)" "$kept/generated" graph/generated

$go run ./db/dbtest/dump >"$kept/schema.sql"
compare "db/schema.sql (make db-schema)" db/schema.sql "$kept/schema.sql"

cp go.mod "$kept/go.mod"
cp go.sum "$kept/go.sum"
$go mod tidy
compare "go.mod (go mod tidy)" "$kept/go.mod" go.mod
compare "go.sum (go mod tidy)" "$kept/go.sum" go.sum

unformatted=$(gofmt -l $(git ls-files --cached --others --exclude-standard '*.go'))
if [ -n "$unformatted" ]; then
	echo "drift: gofmt would change $unformatted" >&2
	differs=1
fi

exit "$differs"
