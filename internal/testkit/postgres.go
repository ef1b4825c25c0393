package testkit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresServer is a PostgreSQL cluster of this test binary. Its methods are safe
// for concurrent use.
type PostgresServer struct {
	t       testing.TB // nil for the shared cluster
	dir     string
	bin     string // directory of initdb and postgres
	port    int
	durable bool
	disk    *Disk // nil: anywhere
	account *account

	mu      sync.Mutex // guards process
	process *process
}

// account is the user that PostgreSQL runs as when the tests run as root, whom it
// refuses. Nil means the user of the tests.
type account struct{ uid, gid uint32 }

var sharedPostgres = sync.OnceValues(func() (*PostgresServer, error) { return newPostgres(false, nil) })

// Postgres returns the one cluster of this test binary. Tests get a database each
// with [PostgresServer.Database]. It does not sync to disk, which a killed process
// does not notice.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	p, err := sharedPostgres()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// DedicatedPostgres starts a cluster for this test alone, which it may stop, kill and
// freeze. With durable true it syncs to disk as production does.
func DedicatedPostgres(t testing.TB, durable bool) *PostgresServer {
	t.Helper()
	return PostgresOnDisk(t, durable, nil)
}

// PostgresOnDisk starts a cluster as DedicatedPostgres does, with its files on a disk of the
// test. It makes a new file for each segment of its log, so that a full disk is noticed.
func PostgresOnDisk(t testing.TB, durable bool, on *Disk) *PostgresServer {
	t.Helper()
	p, err := newPostgres(durable, on)
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	t.Cleanup(p.Kill)
	return p
}

func newPostgres(durable bool, on *Disk) (*PostgresServer, error) {
	p := &PostgresServer{durable: durable, disk: on}
	var err error
	if p.bin, err = postgresBin(); err != nil {
		return nil, err
	}
	if p.account, err = unprivileged(); err != nil {
		return nil, err
	}
	if p.dir, err = on.Dir("pg"); err != nil {
		return nil, err
	}
	if a := p.account; a != nil {
		if err := os.Chown(p.dir, int(a.uid), int(a.gid)); err != nil {
			return nil, err
		}
	}
	if err := p.init(); err != nil {
		return nil, err
	}
	return p, claim(&p.port, p.launch)
}

// postgresBin finds the newest PostgreSQL: Debian keeps it off PATH.
func postgresBin() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return release(b) - release(a) })
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", fmt.Errorf("PostgreSQL is not installed: %s", install)
}

// release reads 15 from /usr/lib/postgresql/15/bin.
func release(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

func unprivileged() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &account{uint32(uid), uint32(gid)}, nil
	}
	return nil, fmt.Errorf("PostgreSQL refuses root, and there is neither a user postgres nor nobody")
}

// command prepares a program of PostgreSQL to run as its user, from its directory
// and in an environment in which no PG… variable of the caller's leads it astray.
func (p *PostgresServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, program), args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if a := p.account; a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

func (p *PostgresServer) data() string    { return filepath.Join(p.dir, "data") }
func (p *PostgresServer) logFile() string { return filepath.Join(p.dir, "postgres.log") }

// Logged counts the lines of the server's log that have a text.
func (p *PostgresServer) Logged(text string) int { return logged(p.logFile(), text) }

// init makes the cluster. Where it can, it sorts text as a language does: production
// databases seldom sort by bytes, and code that relies on it must say so.
func (p *PostgresServer) init() error {
	args := []string{"-D", p.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync",
		"--locale=C.UTF-8"}
	help, err := p.command("initdb", "--help").Output()
	if err != nil {
		return fmt.Errorf("initdb --help: %w", err)
	}
	if strings.Contains(string(help), "--icu-locale") {
		args = append(args, "--locale-provider=icu", "--icu-locale=en-US")
	}
	if out, err := p.command("initdb", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (p *PostgresServer) settings() []string {
	s := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(p.port), "unix_socket_directories=" + p.dir,
		"max_connections=200", "shared_buffers=64MB", "timezone=UTC", "lc_messages=C",
		"autovacuum_naptime=10s", "max_wal_size=1GB",
		// Clients that connect in a shutdown, or beyond the limit, and say nothing keep the server from ending for so
		// long, a minute by default, which is when process.end kills it and leaves its children behind.
		"authentication_timeout=20s",
	}
	if !p.durable {
		s = append(s, "fsync=off", "full_page_writes=off")
	}
	if p.disk != nil {
		s = append(s, "wal_recycle=off", "min_wal_size=32MB", "max_wal_size=64MB") // a later setting wins
	}
	return s
}

func (p *PostgresServer) launch() error {
	args := []string{"-D", p.data()}
	for _, s := range p.settings() {
		args = append(args, "-c", s)
	}
	// SIGQUIT is PostgreSQL's immediate shutdown: unlike SIGKILL it takes the
	// server's children and shared memory with it.
	proc, err := spawn(p.command("postgres", args...), p.logFile(), syscall.SIGQUIT)
	if err != nil {
		return err
	}
	if err := proc.answers(func() error { return p.admin("SELECT 1") }); err != nil {
		_ = proc.end(syscall.SIGQUIT)
		return fmt.Errorf("start postgres on %s: %w\n%s", p.Addr(), err, tail(p.logFile()))
	}
	p.process = proc
	return nil
}

// admin runs one statement over the socket in the cluster's own directory, where no
// other server can be.
func (p *PostgresServer) admin(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres", p.dir, p.port))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Addr is the server's host and port. It never changes.
func (p *PostgresServer) Addr() string { return loopback(p.port) }

// Database creates an empty database and returns its URL. It is dropped when t ends,
// what is still connected.
func (p *PostgresServer) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("t_%016x", rand.Uint64())
	if err := p.admin("CREATE DATABASE " + name); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		if p.running() {
			_ = p.admin("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") // a test may have dropped it
		}
	})
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", p.Addr(), name)
}

// Role makes a role that has to give its password, or changes the password, and returns URL
// with role and password in the place of its user. The role may do everything.
func (p *PostgresServer) Role(t testing.TB, url, role, password string) string {
	t.Helper()
	p.own()
	rule := fmt.Sprintf("host all %s 127.0.0.1/32 scram-sha-256\n", role)
	file := filepath.Join(p.data(), "pg_hba.conf")
	rules, err := os.ReadFile(file)
	if err == nil && !strings.Contains(string(rules), rule) {
		err = os.WriteFile(file, append([]byte(rule), rules...), 0o600)
	}
	statement := fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", role, password)
	if p.admin(statement) != nil {
		err = errors.Join(err, p.admin(fmt.Sprintf("CREATE ROLE %s SUPERUSER LOGIN PASSWORD '%s'", role, password)))
	}
	if err = errors.Join(err, p.admin("SELECT pg_reload_conf()")); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(url, "@")
	return "postgres://" + role + ":" + password + "@" + rest
}

func (p *PostgresServer) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process.running()
}

// Kill ends the cluster at once, without a checkpoint: the next start recovers from
// the log, as after a crash. One that does not end by itself is killed as any process.
func (p *PostgresServer) Kill() {
	if err := p.stop(syscall.SIGQUIT); err != nil {
		p.t.Logf("kill postgres: %v", err)
	}
}

// Stop ends the cluster cleanly and cuts off its clients.
func (p *PostgresServer) Stop() {
	if err := p.stop(syscall.SIGINT); err != nil {
		p.t.Errorf("stop postgres: %v", err)
	}
}

func (p *PostgresServer) stop(signal syscall.Signal) error {
	p.own()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.process.end(signal)
}

// Start starts a stopped or killed cluster on the same data and port, and waits until
// it answers. It does nothing to a running one.
func (p *PostgresServer) Start() {
	p.own()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process.running() {
		return
	}
	if err := p.launch(); err != nil {
		p.t.Fatal(err)
	}
}

// own keeps a test from stopping the cluster that others share.
func (p *PostgresServer) own() {
	if p.t == nil {
		panic("testkit: the shared PostgreSQL cannot be stopped; use testkit.DedicatedPostgres")
	}
}
