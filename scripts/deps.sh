#!/usr/bin/env bash
# Installs what a build or the tests need and this machine lacks:
#
#   scripts/deps.sh [NEED...]     a need is a name of the table below; "tests" is all that
#                                 the tests need
#
# On Debian and its relatives it installs with apt-get, through sudo where it is not
# run by root. Elsewhere it says what is missing and fails. What is there is left alone.
# The need mysql is unpacked into the clone, see scripts/mysql.sh, and does without.
set -euo pipefail

# A compiler is of use only with the headers of the C library.
headers() { echo '#include <stdlib.h>' | "${CC:-$(command -v gcc || command -v clang)}" -E - -o /dev/null; }

# One line a need: what shows that it is there, and its Debian packages.
tests=(compiler redis postgres mariadb sqlite3 pgbouncer haproxy nginx prometheus chromium)
needs=("${tests[@]}" mysql buildah)
has_compiler() { { command -v gcc || command -v clang; } && headers; };   debian_compiler="gcc libc6-dev"
has_redis() { command -v redis-server; };                                 debian_redis="redis-server"
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb; }; debian_postgres="postgresql"
has_mariadb() { [ -x /usr/sbin/mariadbd ] || command -v mariadbd; };      debian_mariadb="mariadb-server"
has_sqlite3() { command -v sqlite3; };                                    debian_sqlite3="sqlite3"
has_pgbouncer() { [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer; };  debian_pgbouncer="pgbouncer"
has_haproxy() { [ -x /usr/sbin/haproxy ] || command -v haproxy; };        debian_haproxy="haproxy"
has_nginx() { [ -x /usr/sbin/nginx ] || command -v nginx; };              debian_nginx="nginx-light"
has_prometheus() { command -v prometheus && command -v promtool; };       debian_prometheus="prometheus"
has_chromium() { command -v chromium; };                                  debian_chromium="chromium"
has_buildah() { command -v buildah; };                                    debian_buildah="buildah"

[ "$*" = tests ] && set -- "${tests[@]}" mysql
missing=()
for need in "$@"; do
	case " ${needs[*]} " in
	*" $need "*) ;;
	*) echo "deps.sh: unknown need: $need; there are: ${needs[*]}" >&2 && exit 2 ;;
	esac
	if [ "$need" = mysql ]; then
		"$(dirname "$0")/mysql.sh"
		continue
	fi
	packages=debian_$need
	# shellcheck disable=SC2206  # a need may be several packages
	"has_$need" >/dev/null 2>&1 || missing+=(${!packages})
done

if ! command -v go >/dev/null; then
	echo "Go is not installed. Afterwrite needs Go 1.26 or newer: https://go.dev/dl/" >&2
	exit 1
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	cat >&2 <<-END
		Missing on this machine, by their Debian names: ${missing[*]}
		Install them with this system's package manager (Redis 7 or newer, PostgreSQL 13 or newer,
		MariaDB 10.6 or newer) and run this again. macOS, for example:
		  brew install redis postgresql mariadb sqlite pgbouncer haproxy nginx prometheus chromium
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
	for unit in redis-server postgresql mariadb pgbouncer haproxy nginx prometheus; do
		case " ${missing[*]} " in *" $unit"*) root systemctl disable --quiet $unit >&2 || true ;; esac
	done
fi
