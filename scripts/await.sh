#!/bin/sh
# Waits until `afterwrite doctor` finds nothing wrong, at most a minute: a runner of
# Procfiles starts all processes at once, and stops all when one ends.
#
#   scripts/await.sh --config FILE
for n in $(seq 120); do
	bin/afterwrite doctor "$@" >/dev/null 2>&1 && exit
	sleep 0.5
done
bin/afterwrite doctor "$@" >&2 # says what is missing, and fails
