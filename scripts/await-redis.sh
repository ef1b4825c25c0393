#!/bin/sh
# Waits until the Redis of the Procfile answers on a port of this machine, at most 30 s.
# A runner starts all processes at once, and stops all when one ends.
for n in $(seq 300); do
	[ "$(redis-cli -p "$1" ping 2>/dev/null)" = PONG ] && exit
	sleep 0.1
done
echo "no Redis on 127.0.0.1:$1 after 30 s" >&2
exit 1
