package testkit

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var mySQL = &mysqlProduct{
	name:    "mysql",
	binary:  func() (string, error) { return filepath.Join(unpackedMySQL(), "mysqld"), nil },
	account: mysqlAccount,
	install: copyFreshData,
	settings: func(m *MySQLServer) []string {
		s := []string{"--mysqlx=OFF", "--innodb-redo-log-capacity=64M"}
		if m.account == nil && os.Getuid() == 0 {
			s = append(s, "--user=root")
		}
		return s
	},
}

var sharedMySQL = sync.OnceValues(func() (*MySQLServer, error) { return mySQL.start(false, nil) })

// MySQL returns the one server of MySQL itself of this test binary, as [MariaDB] does. The test
// is skipped where scripts/mysql.sh cannot unpack one: it is in no release of Debian.
func MySQL(t testing.TB) *MySQLServer {
	t.Helper()
	needMySQL(t)
	m, err := sharedMySQL()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// DedicatedMySQL starts a server of MySQL for this test alone, as [DedicatedMariaDB] does.
func DedicatedMySQL(t testing.TB, durable bool) *MySQLServer {
	t.Helper()
	needMySQL(t)
	return mySQL.dedicated(t, durable, nil)
}

// MySQLOnDisk starts a server as DedicatedMySQL does, as [MariaDBOnDisk].
func MySQLOnDisk(t testing.TB, durable bool, on *Disk) *MySQLServer {
	t.Helper()
	needMySQL(t)
	return mySQL.dedicated(t, durable, on)
}

func needMySQL(t testing.TB) {
	t.Helper()
	if unpackedMySQL() == "" {
		t.Skip("MySQL is not there: make deps unpacks it where Debian sid can be reached")
	}
}

// began is where this test binary was started: the directory of its package.
var began, _ = os.Getwd()

// unpackedMySQL finds what scripts/mysql.sh unpacked; "" if it is not there.
var unpackedMySQL = sync.OnceValue(func() string {
	for dir := began; ; dir = filepath.Dir(dir) {
		at := filepath.Join(dir, ".cache", "mysql")
		if _, err := os.Stat(filepath.Join(at, "data")); err == nil {
			return at
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
})

// mysqlAccount is that of the other databases, or root's own where no other may enter the clone.
func mysqlAccount() (*account, error) {
	if !reachable(unpackedMySQL()) {
		return nil, nil
	}
	return unprivileged()
}

// copyFreshData copies the data directory that scripts/mysql.sh made.
func copyFreshData(m *MySQLServer) error {
	if err := os.CopyFS(m.data(), os.DirFS(filepath.Join(unpackedMySQL(), "data"))); err != nil {
		return err
	}
	return filepath.WalkDir(m.data(), func(path string, _ fs.DirEntry, err error) error {
		if a := m.account; err == nil && a != nil {
			err = os.Chown(path, int(a.uid), int(a.gid))
		}
		return err
	})
}
