#!/usr/bin/env bash
# Restores a backup of scripts/backup.sh while no worker runs, and says what Redis still has
# that is newer:
#
#   AFTERWRITE_DATABASE_URL=postgres://… scripts/restore.sh DIRECTORY
#
# DIRECTORY/differing.json then names the records whose cached state is newer than the row:
# write those that matter again through the API, and after that, for each entity,
# `afterwrite invalidate ENTITY --all`. It needs afterwrite and pg_restore, mariadb (or
# mysql) or sqlite3 in PATH. On MySQL and MariaDB, where each table is replaced by itself, a
# restore that was broken off is to be repeated.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
dir=${1:?name the directory of a backup}
. "$here/database.sh"
test -f "$dir/database.dump"
if afterwrite status --json | grep -q '"kind": *"worker"'; then
	echo "restore.sh: a worker is alive: stop all workers and APIs first (a killed one is listed for 10 s)" >&2
	exit 1
fi
case $kind in
postgres) pg_restore --clean --if-exists --single-transaction --dbname "$url" "$dir/database.dump" ;;
mysql) "$client" "${connection[@]}" "$name" <"$dir/database.dump" ;;
sqlite) sqlite3 "$file" ".timeout 60000" ".restore '$dir/database.dump'" ;;
esac
afterwrite fsck --json >"$dir/differing.json" || true # it fails where it finds something
echo "restored; $dir/differing.json has what differs" >&2
