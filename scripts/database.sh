# Read by backup.sh and restore.sh: the database of AFTERWRITE_DATABASE_URL. Sets kind to
# postgres, mysql or sqlite, file for SQLite, and for MySQL and MariaDB MYSQL_PWD and the
# array connection. TLS and the like are set in ~/.my.cnf, which their tools read.
url=${AFTERWRITE_DATABASE_URL:?}

decoded() { printf '%b' "${1//%/\\x}"; }

case $url in
postgres://* | postgresql://*) kind=postgres ;;
sqlite://*)
	kind=sqlite file=${url#sqlite://} file=${file%%\?*}
	command -v sqlite3 >/dev/null || { echo "sqlite3 is not installed" >&2; exit 1; }
	;;
mysql://* | mariadb://*)
	kind=mysql
	form='^[a-z]+://([^:@/]*)(:([^@/]*))?@([^:/?]*)(:([0-9]+))?/([^?]*)'
	[[ $url =~ $form ]] || { echo "AFTERWRITE_DATABASE_URL: want mysql://user:password@host/name" >&2; exit 1; }
	user=${BASH_REMATCH[1]} password=${BASH_REMATCH[3]} host=${BASH_REMATCH[4]}
	port=${BASH_REMATCH[6]} name=${BASH_REMATCH[7]}
	connection=(--user="$(decoded "$user")")
	[ -z "$host" ] || connection+=(--host="$host" --port="${port:-3306}" --protocol=tcp)
	[[ ! $url =~ [\?\&]socket=([^\&]*) ]] || connection+=(--socket="$(decoded "${BASH_REMATCH[1]}")")
	[ -z "$password" ] || { MYSQL_PWD=$(decoded "$password") && export MYSQL_PWD; }
	name=$(decoded "$name")
	client=$(command -v mariadb || command -v mysql)
	dump=$(command -v mariadb-dump || command -v mysqldump)
	;;
*) echo "AFTERWRITE_DATABASE_URL: want postgres://, mysql:// or sqlite://" >&2; exit 1 ;;
esac
