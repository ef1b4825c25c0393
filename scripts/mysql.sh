#!/usr/bin/env bash
# Unpacks a MySQL server for the tests into .cache/mysql of this clone, unless it is there:
#
#   scripts/mysql.sh
#
# Of Debian's suites only sid has one. It is unpacked with the C library that it needs, so
# nothing of the system is changed, and no permission is needed. Where it cannot be had, one
# line says so and the tests on MySQL are skipped; that is no failure.
#
#   .cache/mysql/mysqld  runs it
#   .cache/mysql/data    a fresh data directory: each server of the tests begins with a copy
#
# Remove .cache/mysql to get the version that sid has today.
set -euo pipefail
cd "$(dirname "$0")/.."
[ ! -e .cache/mysql/data ] || exit 0

mkdir -p .cache
new=$(mktemp -d "$PWD/.cache/mysql-XXXXXX")
end() {
	local status=$?
	if [ $status -ne 0 ]; then
		echo "MySQL cannot be unpacked from Debian sid, so the tests on MySQL are skipped: $(why)" >&2
	fi
	rm -rf "$new"
	exit 0
}
why() { grep -E '^(E|Err)' "$new/log" | tail -n 1 | grep . || tail -n 1 "$new/log" | grep . || echo "it failed"; }
trap end EXIT
exec 3>"$new/log"
for tool in apt-get dpkg-deb flock; do
	command -v $tool >/dev/null || { echo "there is no $tool" >&3; exit 1; }
done

exec 9>.cache/mysql.lock
flock 9 # two runs of make test unpack one after the other
[ ! -e .cache/mysql/data ] || exit 0

# apt gets a state of its own, with Perl marked as installed: only a script that is not run
# needs it. Signatures are checked. That the index is recent is not, for mirrors that lag.
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keys ] || { echo "there is no $keys (package debian-archive-keyring)" >&3; exit 1; }
mkdir -p "$new"/apt/{etc,lists/partial,archives/partial,conf.d,preferences.d} "$new/root"
echo "deb [signed-by=$keys] http://deb.debian.org/debian sid main" >"$new/apt/etc/sources.list"
cat >"$new/apt/status" <<-END
	Package: perl
	Status: install ok installed
	Version: 99
	Architecture: $(dpkg --print-architecture)
	Multi-Arch: allowed
	Maintainer: none
	Description: none
END
apt-config dump Acquire >"$new/apt/apt.conf" # proxies
cat >>"$new/apt/apt.conf" <<-END
	Dir::Etc "$new/apt/etc";
	Dir::Etc::Parts "$new/apt/conf.d";
	Dir::Etc::PreferencesParts "$new/apt/preferences.d";
	Dir::State "$new/apt";
	Dir::State::status "$new/apt/status";
	Dir::Cache "$new/apt";
	APT::Install-Recommends "false";
	APT::Update::Error-Mode "any";
	APT::Sandbox::User "root";
	Acquire::Languages "none";
	Acquire::Check-Valid-Until "false";
	Acquire::Retries "1";
	Acquire::http::Timeout "20";
END
export APT_CONFIG="$new/apt/apt.conf"
echo "Unpacking mysql-server-core of Debian sid into .cache/mysql" >&2
apt-get -q update >&3 2>&3
apt-get -q -y --download-only install mysql-server-core >&3 2>&3
for package in "$new"/apt/archives/*.deb; do
	dpkg-deb -x "$package" "$new/root" 2>&3
done
rm -rf "$new/apt" "$new"/root/usr/share/{doc,man,locale,info} "$new"/root/usr/bin
chmod 755 "$new"

# The server runs on the loader and the libraries beside it.
cat >"$new/mysqld" <<'END'
#!/bin/sh
usr=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)/root/usr
exec "$usr"/lib*/ld-linux-*.so.* --library-path "$(echo "$usr"/lib/*-linux-gnu)" "$usr/sbin/mysqld" --no-defaults \
	--basedir="$usr" --lc-messages-dir="$usr/share/mysql" --plugin-dir="$usr/lib/mysql/plugin" --secure-file-priv=NULL "$@"
END
chmod 755 "$new/mysqld"
cat >"$new/init.sql" <<-END
	CREATE USER root@'127.0.0.1';
	GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
END
user=()
[ "$(id -u)" -ne 0 ] || user=(--user=root)
"$new/mysqld" "${user[@]}" --datadir="$new/data" --initialize-insecure --innodb-redo-log-capacity=16M \
	--innodb-doublewrite=OFF --innodb-flush-method=nosync --init-file="$new/init.sql" >&3 2>&3
rm -rf .cache/mysql
mkdir .cache/mysql
mv "$new/root" "$new/mysqld" .cache/mysql/
mv "$new/data" .cache/mysql/ # last: it says that all is there
