package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

var mariaDB = &mysqlProduct{
	name: "mariadb", binary: mariadbd, account: unprivileged,
	install: func(m *MySQLServer) error {
		install := m.command("mariadb-install-db", "--no-defaults", "--datadir="+m.data(),
			"--auth-root-authentication-method=normal", "--skip-test-db")
		if out, err := install.CombinedOutput(); err != nil {
			return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
		}
		return nil
	},
	settings: func(m *MySQLServer) []string {
		s := []string{"--no-defaults", "--aria-pagecache-buffer-size=8M"}
		if !m.durable {
			s = append(s, "--sync-frm=0")
		}
		return s
	},
}

var sharedMariaDB = sync.OnceValues(func() (*MySQLServer, error) { return mariaDB.start(false, nil) })

// MariaDB returns the one server of this test binary. Tests get a database each with
// [MySQLServer.Database]. It does not sync to disk, which a killed process does not notice.
func MariaDB(t testing.TB) *MySQLServer {
	t.Helper()
	m, err := sharedMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// DedicatedMariaDB starts a server for this test alone, which it may stop, kill and freeze.
// With durable true it syncs to disk as production does.
func DedicatedMariaDB(t testing.TB, durable bool) *MySQLServer {
	t.Helper()
	return mariaDB.dedicated(t, durable, nil)
}

// MariaDBOnDisk starts a server as DedicatedMariaDB does, with its files on a disk of the
// test, a binary log among them.
func MariaDBOnDisk(t testing.TB, durable bool, on *Disk) *MySQLServer {
	t.Helper()
	return mariaDB.dedicated(t, durable, on)
}

// mariadbd finds the server: Debian keeps it off the PATH of users.
func mariadbd() (string, error) {
	if path, err := exec.LookPath("mariadbd"); err == nil {
		return path, nil
	}
	const path = "/usr/sbin/mariadbd"
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("MariaDB is not installed: %s", install)
	}
	return path, nil
}
