#!/usr/bin/env bash
# Measures the bytes of records in Redis that `afterwrite plan` computes with:
#
#   scripts/measure-plan.sh bin/afterwrite [RECORDS]
#
# It starts a redis-server with the settings of deploy/redis.conf in a temporary directory,
# loads records of six fields whose values have so many bytes together, and prints for each
# size the bytes a record takes while it is pending, in the append-only file, and when it
# is persisted and cached. Sizes do not depend on what else the machine does.
set -euo pipefail
binary=$(realpath "$1") records=${2:-20000}
conf=$(realpath "$(dirname "$0")/../deploy/redis.conf")
dir=$(mktemp -d)
port=$((20000 + RANDOM % 20000))
redis-server "$conf" --port $port --dir "$dir" --daemonize no >"$dir/redis.log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true; rm -rf "$dir"' EXIT
cd "$dir"
cat >afterwrite.yaml <<END
redis: {url: "redis://127.0.0.1:$port/0"}
database: {url: "sqlite://$dir/plan.db"}
worker: {addr: "127.0.0.1:$((port + 1))"}
entities:
  item:
    id: {type: string, max: 36}
    fields: {a: {type: string}, b: {type: string}, c: {type: string}, d: {type: string}, e: {type: string}, f: {type: string}}
END
until redis-cli -p $port ping >/dev/null 2>&1; do sleep 0.1; done
used() { redis-cli -p $port info memory | tr -d '\r' | sed -n 's/^used_memory_dataset://p'; }
aof() { redis-cli -p $port info persistence | tr -d '\r' | sed -n 's/^aof_current_size://p'; }
"$binary" migrate >/dev/null
echo "values pending aof persisted   (bytes a record; $records records)"
for size in 60 200 400 1000; do
	before=$(used) file=$(aof)
	awk -v n="$records" -v each=$((size / 6)) -v size=$size 'BEGIN {
		v = sprintf("%" each "s", ""); gsub(/ /, "x", v)
		for (i = 0; i < n; i++) printf "{\"id\":\"%d-%d\",\"a\":\"%s\",\"b\":\"%s\",\"c\":\"%s\",\"d\":\"%s\",\"e\":\"%s\",\"f\":\"%s\"}\n", size, i * 7919, v, v, v, v, v, v
	}' | "$binary" load item - --format ndjson >/dev/null 2>&1
	pending=$(used) written=$(aof)
	"$binary" worker >worker.log 2>&1 &
	worker=$!
	"$binary" flush --timeout 10m >/dev/null
	kill -INT $worker
	wait $worker || true
	persisted=$(used)
	echo "$((size / 6 * 6)) $(((pending - before) / records)) $(((written - file) / records)) $(((persisted - before) / records))"
done
