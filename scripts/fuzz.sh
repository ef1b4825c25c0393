#!/usr/bin/env bash
# Runs each fuzz target of the packages for a time: scripts/fuzz.sh 30s ./...
# Go fuzzes one target of one package at a time.
set -euo pipefail
time=$1
shift
found=0
for package in $(go list "$@"); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		found=1
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	done
done
[ $found = 1 ] || echo "no fuzz targets in $*"
