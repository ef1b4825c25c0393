package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisServer is a redis-server process of a test. It keeps its data directory and
// its port when it is stopped and started again. Its methods are safe for concurrent
// use; they fail the test that the server was made for.
type RedisServer struct {
	t        testing.TB // nil for the shared server
	dir      string
	disk     *Disk
	port     int
	password string
	settings [][2]string

	mu      sync.Mutex // guards process
	process *process
}

// RedisOption changes a setting of [Redis].
type RedisOption func(*RedisServer)

// Set gives redis-server a setting as redis.conf spells it. A later Set wins.
func Set(key, value string) RedisOption {
	return func(s *RedisServer) { s.settings = append(s.settings, [2]string{key, value}) }
}

// AppendFsync sets when the append-only file is synced: "always", "everysec" or "no".
func AppendFsync(when string) RedisOption { return Set("appendfsync", when) }

// OnDisk keeps the server's files on a disk of the test.
func OnDisk(d *Disk) RedisOption { return func(s *RedisServer) { s.disk = d } }

// NoAOF turns the append-only file off: a restart begins empty.
func NoAOF() RedisOption { return Set("appendonly", "no") }

// MaxMemory bounds the memory, for example "8mb".
func MaxMemory(size string) RedisOption { return Set("maxmemory", size) }

// MaxMemoryPolicy says what is evicted when the memory is full. The default is
// volatile-lfu, as in production.
func MaxMemoryPolicy(policy string) RedisOption { return Set("maxmemory-policy", policy) }

// Password makes clients authenticate. [RedisServer.URL] has it.
func Password(secret string) RedisOption {
	return func(s *RedisServer) {
		s.password = secret
		s.settings = append(s.settings, [2]string{"requirepass", secret})
	}
}

// Redis starts a redis-server for this test alone: empty, append-only file on and
// synced every second, no snapshots. It ends with the test.
func Redis(t testing.TB, opts ...RedisOption) *RedisServer {
	t.Helper()
	s, err := newRedis(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(s.Kill)
	return s
}

var shared = sync.OnceValues(func() (*RedisServer, error) { return newRedis(nil) })

// SharedRedis returns the one server of this test binary, for tests that need neither
// an empty one nor its death. Keep them apart with [Prefix].
func SharedRedis(t testing.TB) *RedisServer {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newRedis(opts []RedisOption) (*RedisServer, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redis-server is not installed: %s", install)
	}
	s := &RedisServer{settings: [][2]string{
		{"bind", "127.0.0.1"}, {"appendonly", "yes"}, {"appendfsync", "everysec"}, {"save", ""},
		{"maxmemory-policy", "volatile-lfu"}, {"hash-max-listpack-value", "1024"},
	}}
	for _, o := range opts {
		o(s)
	}
	if s.dir, err = s.disk.Dir("redis"); err != nil {
		return nil, err
	}
	return s, claim(&s.port, func() error { return s.launch(binary) })
}

func (s *RedisServer) logFile() string { return filepath.Join(s.dir, "redis.log") }

// Logged counts the lines of the server's log that have a text.
func (s *RedisServer) Logged(text string) int { return logged(s.logFile(), text) }

func (s *RedisServer) launch(binary string) error {
	args := []string{"--port", strconv.Itoa(s.port), "--dir", s.dir}
	for _, kv := range s.settings {
		args = append(args, "--"+kv[0], kv[1])
	}
	p, err := spawn(exec.Command(binary, args...), s.logFile(), syscall.SIGKILL)
	if err != nil {
		return err
	}
	if err := p.answers(func() error { return s.ping(p) }); err != nil {
		_ = p.end(syscall.SIGKILL)
		return fmt.Errorf("start redis-server on %s: %w\n%s", s.Addr(), err, tail(s.logFile()))
	}
	s.process = p
	return nil
}

// ping asks for the process id: another server may listen on the port.
func (s *RedisServer) ping(p *process) error {
	client := redis.NewClient(s.options())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", p.cmd.Process.Pid)) {
		return errors.New("another server has the port")
	}
	return client.Ping(ctx).Err() // an error while the data are being loaded
}

func (s *RedisServer) options() *redis.Options {
	return &redis.Options{
		Addr: s.Addr(), Password: s.password,
		MaxRetries:               -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// Addr is the server's host and port. It never changes.
func (s *RedisServer) Addr() string { return loopback(s.port) }

// URL is the server's redis:// URL, its password included.
func (s *RedisServer) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr(), Path: "/0"}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

// Client returns a client without retries, closed when t ends.
func (s *RedisServer) Client(t testing.TB) *redis.Client {
	client := redis.NewClient(s.options())
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Kill ends the server at once, as a crash does. What the append-only file had not
// yet been given is lost; what the kernel was given survives.
func (s *RedisServer) Kill() { s.stop(syscall.SIGKILL) }

// Stop ends the server cleanly.
func (s *RedisServer) Stop() { s.stop(syscall.SIGTERM) }

func (s *RedisServer) stop(signal syscall.Signal) {
	s.own()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.end(signal); err != nil {
		s.t.Errorf("stop redis-server: %v", err)
	}
}

// Start starts a stopped or killed server on the same data and port, and waits until
// it has loaded them. It does nothing to a running one.
func (s *RedisServer) Start() {
	s.own()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process.running() {
		return
	}
	if err := s.launch(s.process.cmd.Path); err != nil {
		s.t.Fatal(err)
	}
}

// Restart kills the server and starts it on its append-only file.
func (s *RedisServer) Restart() {
	s.Kill()
	s.Start()
}

// Copy copies the server's append-only file as it is, and returns what puts that older
// state back: a kill and a start on the copy.
func (s *RedisServer) Copy() (putBack func()) {
	s.own()
	file, kept := filepath.Join(s.dir, "appendonlydir"), filepath.Join(s.dir, "copy")
	if err := os.CopyFS(kept, os.DirFS(file)); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.Kill()
		if err := errors.Join(os.RemoveAll(file), os.Rename(kept, file)); err != nil {
			s.t.Fatal(err)
		}
		s.Start()
	}
}

// Running reports whether the server has not ended, by itself or by a test.
func (s *RedisServer) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.running()
}

// Pause freezes the server: connections stay open and nothing answers.
func (s *RedisServer) Pause() { s.freeze(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *RedisServer) Resume() { s.freeze(syscall.SIGCONT) }

func (s *RedisServer) freeze(signal syscall.Signal) {
	s.own()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.signal(signal); err != nil {
		s.t.Errorf("%s to redis-server: %v", signal, err)
	}
}

// own keeps a test from stopping the server that others share.
func (s *RedisServer) own() {
	if s.t == nil {
		panic("testkit: the shared Redis cannot be stopped; use testkit.Redis")
	}
}
