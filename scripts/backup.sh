#!/usr/bin/env bash
# Backs up what is persisted, in PostgreSQL, after flushing what is pending:
#
#   AFTERWRITE_DATABASE_URL=postgres://… scripts/backup.sh DIRECTORY
#
# It needs afterwrite and pg_dump in PATH. The dump has the rows, dead letters, retry
# policies, audit and tokens. What is accepted later is in Redis alone: deploy/RUNBOOK.md.
set -euo pipefail
umask 077
dir=${1:?name a directory}
mkdir -p "$dir"
afterwrite flush --timeout 1m >&2 || echo "backup.sh: not everything is flushed; what is pending is not in this backup" >&2
pg_dump --format custom --file "$dir/database.dump.new" "${AFTERWRITE_DATABASE_URL:?}"
mv "$dir/database.dump.new" "$dir/database.dump"
