package health

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/store/fault"
)

// remedy is what fixes the errors that say one of some words.
type remedy struct {
	words []string
	fix   string
}

func firstRemedy(err error, remedies []remedy) string {
	text := err.Error()
	for _, r := range remedies {
		for _, word := range r.words {
			if strings.Contains(text, word) {
				return r.fix
			}
		}
	}
	return ""
}

var redisRemedies = []remedy{
	{[]string{"WRONGPASS", "NOAUTH", "invalid password", "without any password configured"},
		"set the user and password of SETTING (CHANGEABLE) to what Redis has, and restart the processes; where sentinels ask for none, add sentinel_auth=false"},
	{[]string{"NOPERM"},
		"give the user of SETTING the rights that the detail names (ACL SETUSER), also on keys asynq:* for the queue"},
	{[]string{"BUSY "}, "a script of another program runs in Redis: wait for it, or end it with `redis-cli script kill`"},
	{[]string{"LOADING"}, "wait: Redis reads its files; all goes on by itself when it has"},
	{[]string{"MASTERDOWN"}, "point SETTING to the master; this replica has lost its own"},
	{[]string{"CLUSTERDOWN"},
		"the cluster lacks an owner of some slots: wait for a failover, or see `redis-cli --cluster check` and start the node that is away"},
	{[]string{"cluster support disabled"}, "this Redis is no cluster: write redis:// in SETTING"},
	{[]string{"MOVED ", "CROSSSLOT"}, "this Redis is a cluster: write redis-cluster:// in SETTING"},
	{[]string{"TRYAGAIN", "ASK "}, "a slot is being moved: wait, or where nothing moves it, `redis-cli --cluster fix`"},
	{[]string{"READONLY", "NOREPLICAS", "MISCONF"},
		"point SETTING to the master; see its replicas (min-replicas-to-write) and its disk"},
	{[]string{"OOM "}, "raise maxmemory (CONFIG SET maxmemory)"},
	{[]string{"certificate required", "bad certificate", "unknown certificate"},
		"Redis asks for a client's certificate that it knows: add cert=FILE and key=FILE to SETTING"},
	{[]string{"all sentinels"},
		"start the sentinels, or fix their addresses and the master's name in SETTING (CHANGEABLE): `redis-cli -p 26379 sentinel masters`"},
	{[]string{"connection reset", "EOF"},
		"see Redis's log; where that port speaks TLS, write rediss:// (or tls=true) in SETTING, and where it asks for a " +
			"client's certificate, add cert=FILE and key=FILE"},
	{[]string{"max number of clients"}, "raise Redis's maxclients, or lower redis.pool_size"},
}

// RedisHint says what to do about an error of Redis, which a setting names.
func RedisHint(err error, setting string) string {
	fix := cmp.Or(tlsHint(err, "ca=FILE in SETTING"), nameHint(err), firstRemedy(err, redisRemedies), addressHint(err))
	switch {
	case fix != "":
	case timedOut(err):
		fix = "Redis takes the connection and does not answer: see whether it is frozen, swapping or behind a firewall, and that SETTING speaks TLS (rediss://) only where Redis does"
	default:
		fix = "start Redis, or fix SETTING (CHANGEABLE)"
	}
	return named(fix, setting)
}

// named puts a setting and its environment variable into a hint.
func named(fix, setting string) string {
	return strings.NewReplacer("SETTING", setting, "CHANGEABLE", config.VariableOf(setting)).Replace(fix)
}

// RightsHint says how a user of Redis gets the permissions that it lacks.
func RightsHint(prefix string) string {
	return fmt.Sprintf("ACL SETUSER NAME with the commands that the detail names, ~%s:* and &%s:*; `afterwrite fsck` names what was written by halves before", prefix, prefix)
}

var databaseRemedies = []remedy{
	{[]string{"28P01", "28000"},
		"set the user and password of database.url (AFTERWRITE_DATABASE_URL) to what the database has, or admit the user in pg_hba.conf"},
	{[]string{"3D000"}, "create the database (CREATE DATABASE), or fix its name in database.url (AFTERWRITE_DATABASE_URL)"},
	{[]string{"53300"}, "the database has no connection left: raise max_connections, or lower database.max_open, which counts for each process"},
	{[]string{"53100", "No space left on device", "disk is full", "Disk full"},
		"the disk of the database is full: free room there; flushes resume by themselves"},
	{[]string{"25006", "readonly database", "--read-only"}, databaseAway},
	{[]string{"57P03"}, "wait: the database is starting or ending; all goes on by itself when it answers"},
	{[]string{"42501"}, "give the user of database.url the right that the detail names (GRANT), or the ownership of the tables"},
	{[]string{"server refused TLS"}, "turn ssl on in postgresql.conf, or fix sslmode in database.url"},
}

// DatabaseHint says what to do about an error of the database.
func DatabaseHint(err error) string {
	if fix := cmp.Or(tlsHint(err, "sslrootcert=FILE in database.url"), nameHint(err)); fix != "" {
		return named(fix, "database.url")
	}
	if errors.Is(err, fault.ErrNotMigrated) {
		return "run `afterwrite migrate`"
	}
	if fix := firstRemedy(err, databaseRemedies); fix != "" {
		return fix
	}
	if fault.Away(err) {
		return databaseAway
	}
	if fix := addressHint(err); fix != "" {
		return named(fix, "database.url")
	}
	if timedOut(err) {
		return "the database takes the connection and does not answer: see whether it is frozen, out of memory or behind a firewall"
	}
	return "start the database, or fix database.url (AFTERWRITE_DATABASE_URL)"
}

// tlsHint says what to do about a certificate; trust is where those that are believed are named.
func tlsHint(err error, trust string) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "renew the server's certificate, or set this machine's clock"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "name the server as its certificate does, or give it one with that name or address (subjectAltName)"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "name the certificate that signed the server's: " + trust
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server speaks no TLS on this port: fix the port, or leave TLS out of the URL"
	}
	return ""
}

// nameHint says what to do where the name of a host has no address, or no name server answers that knows it.
func nameHint(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "fix the name of the host in SETTING (CHANGEABLE), or the name server"
	}
	return ""
}

// addressHint says what to do where a dial has timed out.
func addressHint(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && op.Timeout() {
		return "nothing answers at the address of SETTING (CHANGEABLE): fix it, start that machine, or open the firewall before it"
	}
	return ""
}

func timedOut(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && n.Timeout()
}
