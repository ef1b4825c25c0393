#!/usr/bin/env bash
# Installs what a build or the tests need and this machine lacks:
#
#   scripts/deps.sh [compiler] [redis] [postgres] [mariadb] [chromium]
#
# On Debian and its relatives it installs with apt-get, through sudo where it is not
# run by root. Elsewhere it says what is missing and fails. What is there is left alone.
set -euo pipefail

has_compiler() { command -v gcc || command -v clang; } >/dev/null 2>&1
has_redis() { command -v redis-server; } >/dev/null 2>&1
has_chromium() { command -v chromium; } >/dev/null 2>&1
has_mariadb() { [ -x /usr/sbin/mariadbd ] || command -v mariadbd; } >/dev/null 2>&1
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb; } >/dev/null 2>&1

# A compiler is of use only with the headers of the C library.
has_headers() { echo '#include <stdlib.h>' | "${CC:-$(command -v gcc || command -v clang)}" -E - -o /dev/null; } >/dev/null 2>&1

missing=()
for need in "$@"; do
	case $need in
	compiler) { has_compiler && has_headers; } || missing+=(gcc libc6-dev) ;;
	redis) has_redis || missing+=(redis-server) ;;
	postgres) has_postgres || missing+=(postgresql) ;;
	mariadb) has_mariadb || missing+=(mariadb-server) ;;
	chromium) has_chromium || missing+=(chromium) ;;
	*) echo "deps.sh: unknown need: $need" >&2 && exit 2 ;;
	esac
done

if ! command -v go >/dev/null; then
	echo "Go is not installed. Afterwrite needs Go 1.26 or newer: https://go.dev/dl/" >&2
	exit 1
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	cat >&2 <<-END
		Missing on this machine, by their Debian names: ${missing[*]}
		Install a C compiler, Redis 7 or newer, PostgreSQL 13 or newer, MariaDB 10.6 or newer and
		Chromium with this system's package manager, for example
		  Fedora   dnf install gcc glibc-devel redis postgresql-server mariadb-server chromium
		  Alpine   apk add gcc musl-dev redis postgresql mariadb chromium
		  macOS    brew install redis postgresql mariadb chromium
		and run this again.
	END
	exit 1
fi

sudo=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "Not root, and there is no sudo. As root: apt-get install ${missing[*]}" >&2
		exit 1
	}
	sudo=(sudo)
fi
root() { "${sudo[@]}" "$@"; }

# The tests start servers of their own, so the distribution's need not run. A policy
# that says no keeps apt from starting them; it is taken away again at the end.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'root rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | root tee $policy >/dev/null
	root chmod 755 $policy
fi

echo "Installing ${missing[*]}" >&2
root apt-get -q -o DPkg::Lock::Timeout=600 update >&2
root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "${missing[@]}" >&2

# Nor at the next boot.
if [ -d /run/systemd/system ]; then
	case " ${missing[*]} " in *" redis-server "*) root systemctl disable --quiet redis-server >&2 || true ;; esac
	case " ${missing[*]} " in *" postgresql "*) root systemctl disable --quiet postgresql >&2 || true ;; esac
	case " ${missing[*]} " in *" mariadb-server "*) root systemctl disable --quiet mariadb >&2 || true ;; esac
fi
