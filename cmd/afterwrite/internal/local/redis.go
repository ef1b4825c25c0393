// Package local gives a run of dev or bench what it has of its own on this machine: a Redis, a directory and its lock,
// and processes that end with it.
package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Times of a redis-server child.
const (
	childStart = 20 * time.Second // loading its append-only file
	childStop  = 10 * time.Second
)

// Redis is a Redis for a run.
type Redis struct {
	URL       string
	What      string // for people
	InProcess bool   // it forgets everything when the process ends
	Stop      func()
}

// FindRedis finds a Redis: the configured one, a child that shares the lock of the data
// directory, or one inside the process.
func FindRedis(ctx context.Context, log *slog.Logger, c *config.Config, dir string, lock *os.File) (Redis, error) {
	program, missing := exec.LookPath("redis-server")
	switch {
	case c.Named("redis.url"):
		return configuredRedis(ctx, c)
	case missing == nil:
		return ChildRedis(ctx, log, program, filepath.Join(dir, "redis"), lock)
	}
	return inProcessRedis(log)
}

// configuredRedis must answer: who tries the example on a machine without Redis would
// else wait for one that never comes.
func configuredRedis(ctx context.Context, c *config.Config) (Redis, error) {
	r := Redis{URL: c.Redis.URL, What: rdb.Redact(c.Redis.URL) + " (configured)", Stop: func() {}}
	if err := Ping(ctx, c.Redis.URL); err != nil {
		return r, fmt.Errorf("the configured Redis does not answer: %w; start it, or leave redis.url out of %s and dev brings its own", err, c.File)
	}
	return r, nil
}

// Ping asks a Redis whether it is there.
func Ping(ctx context.Context, url string) error {
	o, err := rdb.ParseURL(url)
	if err != nil {
		return fmt.Errorf("%w: %w", process.ErrConfig, err)
	}
	o.MaxRetries = -1
	client := redis.NewUniversalClient(o)
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return client.Ping(ctx).Err()
}

// childConfig is the configuration of the child, given on its standard input so that
// the password is in no list of processes. Appending every second can lose one second at
// a power loss; listpacks up to 1024 bytes keep records compact.
const childConfig = `bind 127.0.0.1
port %d
requirepass %s
dir %s
logfile redis.log
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
hash-max-listpack-value 1024
`

// ChildRedis runs a redis-server that keeps its files in a directory and ends with this process.
func ChildRedis(ctx context.Context, log *slog.Logger, program, dir string, lock *os.File) (Redis, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Redis{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Redis{}, fmt.Errorf("make the directory of redis: %w", err)
	}
	port, err := FreePort()
	if err != nil {
		return Redis{}, err
	}
	secret := rand.Text()
	cmd := exec.Command(program, "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(childConfig, port, secret, quoteRedis(dir)))
	cmd.ExtraFiles = []*os.File{lock}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	exited, err := Start(cmd, syscall.SIGTERM)
	if err != nil {
		return Redis{}, fmt.Errorf("start %s: %w", program, err)
	}
	address := url.URL{Scheme: "redis", User: url.UserPassword("", secret), Host: fmt.Sprintf("127.0.0.1:%d", port),
		Path: "/0"}
	r := Redis{
		URL: address.String(), What: fmt.Sprintf("127.0.0.1:%d, a redis-server child, append-only file in %s", port,
			dir),
		Stop: sync.OnceFunc(func() { stopChild(log, cmd.Process, exited) }),
	}
	if err := awaitRedis(ctx, r.URL, exited); err != nil {
		r.Stop()
		return Redis{}, fmt.Errorf("redis-server did not start: %w; its log is %s %s", err,
			filepath.Join(dir, "redis.log"), bytes.TrimSpace(said.Bytes()))
	}
	return r, nil
}

// quoteRedis writes a path as a redis.conf takes it.
func quoteRedis(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// FreePort finds a free port. Another process may take it before Redis
// does, which then says so in its log.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func awaitRedis(ctx context.Context, url string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, childStart)
	defer cancel()
	for {
		err := Ping(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stopChild lets Redis write its file and end.
func stopChild(log *slog.Logger, child *os.Process, exited <-chan struct{}) {
	_ = child.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-exited:
		return
	case <-time.After(childStop):
	}
	log.Warn("redis-server did not stop, killing it", "pid", child.Pid)
	_ = child.Kill()
	<-exited
}

// inProcessRedis runs a Redis inside the process. It expires nothing by itself, so its
// clock is moved on.
func inProcessRedis(log *slog.Logger) (Redis, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return Redis{}, fmt.Errorf("start the redis inside the process: %w", err)
	}
	log.Warn("redis-server is not installed: this Redis lives inside the process and keeps nothing when it ends; accepted writes are drained into the database first")
	const step = 100 * time.Millisecond
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(step)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				m.FastForward(step)
			}
		}
	})
	return Redis{
		URL: "redis://" + m.Addr() + "/0", What: m.Addr() + ", inside this process: it keeps nothing", InProcess: true,
		Stop: sync.OnceFunc(func() { close(end); done.Wait(); m.Close() }),
	}, nil
}
