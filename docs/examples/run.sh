#!/usr/bin/env bash
# Takes the package index of this Debian machine through Afterwrite and proves that the
# table has it, byte for byte:
#
#   docs/examples/run.sh            the index of `apt-cache dumpavail`, else the sample
#   docs/examples/run.sh FILE       another file of the same form
#
# It starts a Redis that syncs every write, a PostgreSQL, an api and a worker process, on
# ports and in directories of their own, once for SQLite and once for PostgreSQL. It loads
# the file with `afterwrite load`, adds 10,000 increments on 50 packages and 500 deletions
# through the API, waits for `afterwrite flush`, runs `afterwrite fsck`, compares the table
# with the file and these changes, empties the cache, and compares what the API answers. It
# prints the figures, and fails on any difference. What it needs: `make deps`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
file=$(realpath -- "${1:-$here/packages.sample.ndjson}")
if [ $# = 0 ] && command -v apt-cache >/dev/null; then
	made=$(mktemp --suffix .ndjson)
	trap 'rm -f "$made"' EXIT
	apt-cache dumpavail | "$here/debian2ndjson" >"$made"
	if [ "$(wc -l <"$made")" -gt 2000 ]; then
		file=$made
	else
		echo "The index is nearly empty (apt-get update fills it): taking the sample." >&2
	fi
fi
cd "$here/../.."
echo "$(wc -l <"$file") packages, $(nproc) processors, $(redis-server --version | cut -d' ' -f3), $(go version | cut -d' ' -f3)"
EXAMPLE_FILE=$file CGO_ENABLED=1 go test -count 1 -v -timeout 30m -run '^TestDebianPackages$' ./cmd/afterwrite |
	sed -nE '/^=== RUN .*\//s/.*\//\n/p; s/^ +e2e_packages_test.go:[0-9]+: /  /p; t; /^(---|FAIL|ok|panic)|^ +(---|\S)/p'
