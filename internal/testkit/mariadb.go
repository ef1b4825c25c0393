package testkit

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDBServer is a MariaDB server of this test binary. Its methods are safe for concurrent
// use.
type MariaDBServer struct {
	t       testing.TB // nil for the shared server
	dir     string
	port    int
	durable bool
	disk    *Disk // nil: anywhere
	account *account

	mu      sync.Mutex // guards process
	process *process
}

var sharedMariaDB = sync.OnceValues(func() (*MariaDBServer, error) { return newMariaDB(false, nil) })

// MariaDB returns the one server of this test binary. Tests get a database each with
// [MariaDBServer.Database]. It does not sync to disk, which a killed process does not notice.
func MariaDB(t testing.TB) *MariaDBServer {
	t.Helper()
	m, err := sharedMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// DedicatedMariaDB starts a server for this test alone, which it may stop, kill and freeze.
// With durable true it syncs to disk as production does.
func DedicatedMariaDB(t testing.TB, durable bool) *MariaDBServer {
	t.Helper()
	return MariaDBOnDisk(t, durable, nil)
}

// MariaDBOnDisk starts a server as DedicatedMariaDB does, with its files on a disk of the
// test, a binary log among them.
func MariaDBOnDisk(t testing.TB, durable bool, on *Disk) *MariaDBServer {
	t.Helper()
	m, err := newMariaDB(durable, on)
	if err != nil {
		t.Fatal(err)
	}
	m.t = t
	t.Cleanup(m.Kill)
	return m
}

func newMariaDB(durable bool, on *Disk) (*MariaDBServer, error) {
	m := &MariaDBServer{durable: durable, disk: on}
	var err error
	if _, err = mariadbd(); err != nil {
		return nil, err
	}
	if m.account, err = unprivileged(); err != nil {
		return nil, err
	}
	if m.dir, err = on.Dir("my"); err != nil {
		return nil, err
	}
	if a := m.account; a != nil {
		if err := os.Chown(m.dir, int(a.uid), int(a.gid)); err != nil {
			return nil, err
		}
	}
	install := m.command("mariadb-install-db", "--no-defaults", "--datadir="+m.data(),
		"--auth-root-authentication-method=normal", "--skip-test-db")
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return m, m.claim()
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

func (m *MariaDBServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = m.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin", "HOME=" + m.dir, "TMPDIR=" + m.dir, "LC_ALL=C.UTF-8",
		"TZ=Asia/Tokyo"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if a := m.account; a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

func (m *MariaDBServer) data() string    { return filepath.Join(m.dir, "data") }
func (m *MariaDBServer) logFile() string { return filepath.Join(m.dir, "mariadb.log") }

// Logged counts the lines of the server's log that have a text.
func (m *MariaDBServer) Logged(text string) int { return logged(m.logFile(), text) }

// Socket is the server's Unix socket.
func (m *MariaDBServer) Socket() string { return filepath.Join(m.dir, "socket") }

func (m *MariaDBServer) claim() error {
	var err error
	for range 5 {
		if m.port, err = freePort(); err != nil {
			return err
		}
		if err = m.launch(); err == nil {
			return nil
		}
	}
	return err
}

// settings are those of a server that was not set up for the product: names and texts are
// compared without case, and the zone is not UTC.
func (m *MariaDBServer) settings() []string {
	s := []string{
		"--no-defaults", "--datadir=" + m.data(), "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(m.port),
		"--socket=" + m.Socket(), "--pid-file=" + filepath.Join(m.dir, "pid"), "--max-connections=400",
		"--innodb-buffer-pool-size=64M", "--skip-log-bin", "--character-set-server=latin1", "--skip-name-resolve",
		"--aria-pagecache-buffer-size=8M", "--key-buffer-size=8M", "--performance-schema=OFF",
	}
	if !m.durable {
		s = append(s, "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--sync-frm=0",
			"--innodb-flush-method=nosync")
	}
	return s
}

func (m *MariaDBServer) launch() error {
	path, err := mariadbd()
	if err != nil {
		return err
	}
	proc, err := spawn(m.command(path, m.settings()...), m.logFile(), syscall.SIGKILL)
	if err != nil {
		return err
	}
	if err := proc.answers(func() error { return m.admin("SELECT 1") }); err != nil {
		_ = proc.end(syscall.SIGKILL)
		return fmt.Errorf("start mariadbd on %s: %w\n%s", m.Addr(), err, tail(m.logFile()))
	}
	m.process = proc
	return nil
}

// admin runs one statement over the socket in the server's own directory, where no other
// server can be.
func (m *MariaDBServer) admin(statement string) error {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.Timeout = "root", "unix", m.Socket(), startTimeout
	c.Logger = noLog{}
	c.Params = map[string]string{"lock_wait_timeout": "10"} // a test that failed may hold a table for ever
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

// noLog is a logger of the driver's.
type noLog struct{}

func (noLog) Print(...any) {}

// Addr is the server's host and port. It never changes.
func (m *MariaDBServer) Addr() string { return loopback(m.port) }

// Database creates an empty database and returns its URL. It is dropped when t ends.
func (m *MariaDBServer) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t_%016x", rand.Uint64())
	if err := m.admin("CREATE DATABASE " + name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		if m.running() {
			_ = m.admin("DROP DATABASE IF EXISTS " + name)
		}
	})
	return fmt.Sprintf("mysql://root@%s/%s", m.Addr(), name)
}

func (m *MariaDBServer) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process.running()
}

// Kill ends the server at once: the next start recovers from the log, as after a crash.
func (m *MariaDBServer) Kill() { m.stop(syscall.SIGKILL) }

// Stop ends the server cleanly and cuts off its clients.
func (m *MariaDBServer) Stop() { m.stop(syscall.SIGTERM) }

func (m *MariaDBServer) stop(signal syscall.Signal) {
	m.own()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.process.end(signal); err != nil {
		m.t.Errorf("stop mariadbd: %v", err)
	}
}

// Start starts a stopped or killed server on the same data and port, and waits until it
// answers. It does nothing to a running one.
func (m *MariaDBServer) Start() {
	m.own()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process.running() {
		return
	}
	if err := m.launch(); err != nil {
		m.t.Fatal(err)
	}
}

// own keeps a test from stopping the server that others share.
func (m *MariaDBServer) own() {
	if m.t == nil {
		panic("testkit: the shared MariaDB cannot be stopped; use testkit.DedicatedMariaDB")
	}
}
