package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

// devRedis is the Redis of dev.
type devRedis struct {
	url       string
	what      string // for people
	envFile   string
	inProcess bool // it forgets everything when the process ends
	stop      func()
}

// devRedis finds a Redis: the configured one, a child that shares the lock of the data
// directory, or one inside the process.
func (a *app) devRedis(ctx context.Context, c *config.Config, dir string, lock *os.File) (devRedis, error) {
	var r devRedis
	var err error
	program, missing := exec.LookPath("redis-server")
	switch {
	case c.Named("redis.url"):
		r, err = configuredRedis(ctx, c)
	case missing == nil:
		r, err = a.childRedis(ctx, program, filepath.Join(dir, "redis"), lock)
	default:
		r, err = a.inProcessRedis()
	}
	r.envFile = filepath.Join(dir, envFile)
	return r, err
}

// configuredRedis must answer: who tries the example on a machine without Redis would
// else wait for one that never comes.
func configuredRedis(ctx context.Context, c *config.Config) (devRedis, error) {
	r := devRedis{url: c.Redis.URL, what: rdb.Redact(c.Redis.URL) + " (configured)", stop: func() {}}
	if err := ping(ctx, c.Redis.URL); err != nil {
		return r, fmt.Errorf("the configured Redis does not answer: %w; start it, or leave redis.url out of %s and dev brings its own", err, c.File)
	}
	return r, nil
}

func ping(ctx context.Context, url string) error {
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

func (a *app) childRedis(ctx context.Context, program, dir string, lock *os.File) (devRedis, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return devRedis{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return devRedis{}, fmt.Errorf("make the directory of redis: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return devRedis{}, err
	}
	secret := rand.Text()
	cmd := exec.Command(program, "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(childConfig, port, secret, quoteRedis(dir)))
	cmd.ExtraFiles = []*os.File{lock}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	exited, err := start(cmd, syscall.SIGTERM)
	if err != nil {
		return devRedis{}, fmt.Errorf("start %s: %w", program, err)
	}
	address := url.URL{Scheme: "redis", User: url.UserPassword("", secret), Host: fmt.Sprintf("127.0.0.1:%d", port),
		Path: "/0"}
	r := devRedis{
		url: address.String(), what: fmt.Sprintf("127.0.0.1:%d, a redis-server child, append-only file in %s", port,
			dir),
		stop: sync.OnceFunc(func() { a.stopChild(cmd.Process, exited) }),
	}
	if err := awaitRedis(ctx, r.url, exited); err != nil {
		r.stop()
		return devRedis{}, fmt.Errorf("redis-server did not start: %w; its log is %s %s", err,
			filepath.Join(dir, "redis.log"), bytes.TrimSpace(said.Bytes()))
	}
	return r, nil
}

// quoteRedis writes a path as a redis.conf takes it.
func quoteRedis(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// freePort finds a port that nobody has now. Another process may take it before Redis
// does, which then says so in its log.
func freePort() (int, error) {
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
		err := ping(ctx, url)
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
func (a *app) stopChild(child *os.Process, exited <-chan struct{}) {
	_ = child.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-exited:
		return
	case <-time.After(childStop):
	}
	a.log.Warn("redis-server did not stop, killing it", "pid", child.Pid)
	_ = child.Kill()
	<-exited
}

// inProcessRedis runs a Redis inside the process. It expires nothing by itself, so its
// clock is moved on.
func (a *app) inProcessRedis() (devRedis, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return devRedis{}, fmt.Errorf("start the redis inside the process: %w", err)
	}
	a.log.Warn("redis-server is not installed: this Redis lives inside the process and keeps nothing when it ends; accepted writes are drained into the database first")
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
	return devRedis{
		url: "redis://" + m.Addr() + "/0", what: m.Addr() + ", inside this process: it keeps nothing", inProcess: true,
		stop: sync.OnceFunc(func() { close(end); done.Wait(); m.Close() }),
	}, nil
}
