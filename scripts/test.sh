#!/bin/sh
# Runs go test and says how many tests passed, failed and were skipped.
set -eu

go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT INT TERM

status=0
$go test -count=1 -timeout 30m -json "$@" >"$log" || status=$?

# Packages as go test prints them, and the output of what failed.
awk '
function field(name,    at, rest) {
	at = index($0, "\"" name "\":\"")
	if (!at) return ""
	rest = substr($0, at + length(name) + 4)
	at = match(rest, /[^\\]"/)
	return at ? substr(rest, 1, at) : ""
}
{
	action = field("Action"); test = field("Test"); pkg = field("Package")
	key = pkg SUBSEP test
	if (action == "output") {
		text = $0
		sub(/.*"Output":"/, "", text); sub(/"}$/, "", text)
		gsub(/\\n/, "\n", text); gsub(/\\t/, "\t", text); gsub(/\\"/, "\"", text); gsub(/\\u003c/, "<", text); gsub(/\\u003e/, ">", text); gsub(/\\u0026/, "\\&", text)
		output[key] = output[key] text
	} else if (action == "build-output") {
		text = $0
		sub(/.*"Output":"/, "", text); sub(/"}$/, "", text)
		gsub(/\\n/, "\n", text); gsub(/\\t/, "\t", text); gsub(/\\"/, "\"", text)
		printf "%s", text
	} else if (test != "") {
		if (action == "pass") passed++
		if (action == "fail") { failed++; printf "%s", output[key] }
		if (action == "skip") { skipped++; printf "%s", output[key] }
		if (action != "run" && action != "pause" && action != "cont") delete output[key]
	} else if (action == "pass" || action == "fail") {
		elapsed = $0; sub(/.*"Elapsed":/, "", elapsed); sub(/}.*/, "", elapsed)
		printf "%s\t%s\t%ss\n", action == "pass" ? "ok" : "FAIL", pkg, elapsed
		if (action == "fail") printf "%s", output[key]
		delete output[key]
	}
}
END { printf "\n%d tests passed, %d failed, %d skipped\n", passed, failed, skipped }
' "$log"

exit "$status"
