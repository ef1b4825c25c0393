#!/usr/bin/env bash
# Backs up what is persisted, in PostgreSQL, MySQL, MariaDB or SQLite, after flushing what
# is pending:
#
#   AFTERWRITE_DATABASE_URL=postgres://… scripts/backup.sh DIRECTORY
#
# It needs afterwrite and pg_dump, mariadb-dump (or mysqldump) or sqlite3 in PATH. The dump
# has the rows, dead letters, retry policies, audit and tokens, all of one moment. What is
# accepted later is in Redis alone: deploy/RUNBOOK.md.
set -euo pipefail
umask 077
here=$(dirname "${BASH_SOURCE[0]}")
dir=${1:?name a directory}
. "$here/database.sh"
mkdir -p "$dir"
afterwrite flush --timeout 1m >&2 || echo "backup.sh: not everything is flushed; what is pending is not in this backup" >&2
new=$dir/database.dump.new
rm -f "$new"
case $kind in
postgres) pg_dump --format custom --file "$new" "$url" ;;
mysql) "$dump" "${connection[@]}" --single-transaction --hex-blob --routines --triggers --result-file "$new" "$name" ;;
sqlite) sqlite3 "$file" ".timeout 60000" ".backup '$new'" ;;
esac
mv "$new" "$dir/database.dump"
