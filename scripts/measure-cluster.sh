#!/usr/bin/env bash
# Measures what a Redis Cluster of three primaries costs beside one Redis, in processor time:
#
#   scripts/measure-cluster.sh bin/afterwrite [RECORDS]
#
# It starts the servers with the settings of deploy/redis.conf in a temporary directory, loads
# records of six fields of 198 bytes together into each, has a worker flush them into SQLite,
# and prints the µs of processor time a record that each server took for both. Times of a
# processor depend little on what else the machine does, and not on how many it has.
set -euo pipefail
binary=$(realpath "$1") records=${2:-50000}
conf=$(realpath "$(dirname "$0")/../deploy/redis.conf")
dir=$(mktemp -d)
base=$((20000 + RANDOM % 9000))
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait || true; rm -rf "$dir"' EXIT
serve() { # port, more settings
	mkdir "$dir/$1"
	redis-server "$conf" --port "$1" --dir "$dir/$1" --daemonize no "${@:2}" >"$dir/$1/log" 2>&1 &
	servers+=($!)
	until redis-cli -p "$1" ping >/dev/null 2>&1; do sleep 0.1; done
}
cpu() { redis-cli -p "$1" info cpu | tr -d '\r' | awk -F: '/^used_cpu_(sys|user):/ {s += $2} END {printf "%.0f", s * 1e6}'; }
measure() { # name, URL, ports
	local home=$dir/$1 url=$2 before=() port
	mkdir "$home" && cd "$home"
	cat >afterwrite.yaml <<-END
		redis: {url: "$url"}
		database: {url: "sqlite://$home/plan.db"}
		worker: {addr: "127.0.0.1:$((base + 9))"}
		entities:
		  item:
		    id: {type: string, max: 36}
		    fields: {a: {type: string}, b: {type: string}, c: {type: string}, d: {type: string}, e: {type: string}, f: {type: string}}
	END
	"$binary" migrate >/dev/null
	for port in "${@:3}"; do before+=("$(cpu "$port")"); done
	awk -v n="$records" 'BEGIN {
		v = sprintf("%33s", ""); gsub(/ /, "x", v)
		for (i = 0; i < n; i++) printf "{\"id\":\"%d\",\"a\":\"%s\",\"b\":\"%s\",\"c\":\"%s\",\"d\":\"%s\",\"e\":\"%s\",\"f\":\"%s\"}\n", i * 7919, v, v, v, v, v, v
	}' | "$binary" load item - --format ndjson >/dev/null 2>&1
	"$binary" worker >worker.log 2>&1 &
	local worker=$!
	"$binary" flush --timeout 10m >/dev/null
	kill -INT $worker && wait $worker || true
	local sum=0 each="" i=0
	for port in "${@:3}"; do
		local took=$((($(cpu "$port") - before[i]) * 10 / records))
		sum=$((sum + took)) each+=" $((took / 10)).$((took % 10))" i=$((i + 1))
	done
	echo "$1: $((sum / 10)).$((sum % 10)) µs a record, by server:$each"
}
echo "$records records"
serve $base
measure one "redis://127.0.0.1:$base/0" $base
ports=($((base + 1)) $((base + 2)) $((base + 3)))
for port in "${ports[@]}"; do serve "$port" --cluster-enabled yes; done
redis-cli --cluster create "${ports[@]/#/127.0.0.1:}" --cluster-yes >/dev/null
until redis-cli -p "${ports[0]}" cluster info | grep -q cluster_state:ok; do sleep 0.1; done
sleep 1 # the others follow
measure three "redis-cluster://127.0.0.1:${ports[0]}" "${ports[@]}"
