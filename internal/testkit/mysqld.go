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

// MySQLServer is a server of this test binary, of MySQL or MariaDB. Its methods are safe for
// concurrent use.
type MySQLServer struct {
	t       testing.TB // nil for the shared server
	product *mysqlProduct
	dir     string
	port    int
	durable bool
	disk    *Disk // nil: anywhere
	account *account

	mu      sync.Mutex // guards process
	process *process
}

// mysqlProduct is what MySQL and MariaDB differ in.
type mysqlProduct struct {
	name     string // of the databases' prefix, which tells the two apart in a URL
	binary   func() (string, error)
	account  func() (*account, error)
	install  func(*MySQLServer) error // makes the data directory
	settings func(*MySQLServer) []string
}

// dedicated starts a server for one test.
func (p *mysqlProduct) dedicated(t testing.TB, durable bool, on *Disk) *MySQLServer {
	t.Helper()
	m, err := p.start(durable, on)
	if err != nil {
		t.Fatal(err)
	}
	m.t = t
	t.Cleanup(m.Kill)
	return m
}

func (p *mysqlProduct) start(durable bool, on *Disk) (*MySQLServer, error) {
	m := &MySQLServer{product: p, durable: durable, disk: on}
	var err error
	if _, err = p.binary(); err != nil {
		return nil, err
	}
	if m.account, err = p.account(); err != nil {
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
	if err := p.install(m); err != nil {
		return nil, err
	}
	return m, claim(&m.port, m.launch)
}

func (m *MySQLServer) command(program string, args ...string) *exec.Cmd {
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

func (m *MySQLServer) data() string    { return filepath.Join(m.dir, "data") }
func (m *MySQLServer) logFile() string { return filepath.Join(m.dir, m.product.name+".log") }

// Logged counts the lines of the server's log that have a text.
func (m *MySQLServer) Logged(text string) int { return logged(m.logFile(), text) }

// Socket is the server's Unix socket.
func (m *MySQLServer) Socket() string { return filepath.Join(m.dir, "socket") }

// settings are those of a server that was not set up for the product: names and texts are
// compared without case, and the zone is not UTC.
func (m *MySQLServer) settings() []string {
	s := []string{
		"--datadir=" + m.data(), "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(m.port),
		"--socket=" + m.Socket(), "--pid-file=" + filepath.Join(m.dir, "pid"), "--max-connections=400",
		"--innodb-buffer-pool-size=64M", "--skip-log-bin", "--character-set-server=latin1", "--skip-name-resolve",
		"--key-buffer-size=8M", "--performance-schema=OFF",
	}
	if !m.durable {
		s = append(s, "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync")
	}
	return append(m.product.settings(m), s...)
}

func (m *MySQLServer) launch() error {
	path, err := m.product.binary()
	if err != nil {
		return err
	}
	proc, err := spawn(m.command(path, m.settings()...), m.logFile(), syscall.SIGKILL)
	if err != nil {
		return err
	}
	if err := proc.answers(func() error { return m.admin("SELECT 1") }); err != nil {
		_ = proc.end(syscall.SIGKILL)
		return fmt.Errorf("start %s on %s: %w\n%s", m.product.name, m.Addr(), err, tail(m.logFile()))
	}
	m.process = proc
	return nil
}

// admin runs one statement over the socket in the server's own directory, where no other
// server can be.
func (m *MySQLServer) admin(statement string) error {
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
func (m *MySQLServer) Addr() string { return loopback(m.port) }

// Database creates an empty database and returns its URL. It is dropped when t ends.
func (m *MySQLServer) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("%s_%016x", m.product.name, rand.Uint64())
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

func (m *MySQLServer) running() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process.running()
}

// Kill ends the server at once: the next start recovers from the log, as after a crash.
func (m *MySQLServer) Kill() { m.stop(syscall.SIGKILL) }

// Stop ends the server cleanly and cuts off its clients.
func (m *MySQLServer) Stop() { m.stop(syscall.SIGTERM) }

func (m *MySQLServer) stop(signal syscall.Signal) {
	m.own()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.process.end(signal); err != nil {
		m.t.Errorf("stop %s: %v", m.product.name, err)
	}
}

// Start starts a stopped or killed server on the same data and port, and waits until it
// answers. It does nothing to a running one.
func (m *MySQLServer) Start() {
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
func (m *MySQLServer) own() {
	if m.t == nil {
		panic("testkit: a shared server cannot be stopped; use testkit.DedicatedMariaDB or DedicatedMySQL")
	}
}
