#!/usr/bin/env bash
# Restores a backup of scripts/backup.sh into PostgreSQL while no worker runs, and says what
# Redis still has that is newer:
#
#   AFTERWRITE_DATABASE_URL=postgres://… scripts/restore.sh DIRECTORY
#
# DIRECTORY/differing.json then names the records whose cached state is newer than the row:
# write those that matter again through the API, and after that, for each entity,
# `afterwrite invalidate ENTITY --all`. It needs afterwrite and pg_restore in PATH.
set -euo pipefail
dir=${1:?name the directory of a backup}
test -f "$dir/database.dump"
if afterwrite status --json | grep -q '"kind": *"worker"'; then
	echo "restore.sh: a worker is alive: stop all workers and APIs first (a killed one is listed for 10 s)" >&2
	exit 1
fi
pg_restore --clean --if-exists --single-transaction --dbname "${AFTERWRITE_DATABASE_URL:?}" "$dir/database.dump"
afterwrite fsck --json >"$dir/differing.json" || true # it fails where it finds something
echo "restored; $dir/differing.json has what differs" >&2
