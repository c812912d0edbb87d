#!/bin/sh
# Runs every fuzz target of the packages that are given, one after the other, for
# FUZZTIME each. With one worker, so that what a target finds does not depend on
# how many processors there are; what it finds interesting stays in Go's cache, a
# crasher in the package's testdata. It runs all of them whatever comes, and fails
# if one did.
set -eu

go=${GO:-go}
failed=
for folder in $($go list -f '{{.Dir}}' "$@"); do
	for target in $(cat "$folder"/*_test.go 2>/dev/null | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do
		echo "== ${folder##*/internal/} $target"
		$go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10m}" -fuzzminimizetime 20x -parallel 1 "$folder" ||
			failed="$failed ${folder##*/internal/}:$target"
	done
done
if [ -n "$failed" ]; then
	echo "fuzz: failed:$failed" >&2
	exit 1
fi
