package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a Redis with a replica, watched by a sentinel that makes the replica the
// master when the master is away.
type Sentinel struct {
	Nodes [2]*RedisServer // the first begins as master

	t      testing.TB
	port   int
	client *redis.SentinelClient
}

const masterName = "mymaster"

// RedisSentinel starts them for this test alone, and waits until the sentinel knows both.
func RedisSentinel(t testing.TB, opts ...RedisOption) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t}
	opts = append(opts, Set("repl-diskless-sync-delay", "0"))
	s.Nodes[0] = Redis(t, opts...)
	s.Nodes[1] = Redis(t, append(opts, Set("replicaof", "127.0.0.1 "+strconv.Itoa(s.Nodes[0].port)))...)
	var err error
	if s.port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	s.client = redis.NewSentinelClient(&redis.Options{Addr: loopback(s.port)})
	t.Cleanup(func() { _ = s.client.Close() })
	s.launch()
	Eventually(t, "the replica follows, and the sentinel knows it", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		replicas, err := s.client.Replicas(ctx, masterName).Result()
		return err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
	})
	return s
}

func (s *Sentinel) launch() {
	s.t.Helper()
	dir, err := scratchDir("sentinel")
	if err != nil {
		s.t.Fatal(err)
	}
	conf := filepath.Join(dir, "sentinel.conf") // it writes to it
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 1\nsentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 5000\n",
		s.port, dir, masterName, s.Nodes[0].port, masterName, masterName)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	log := filepath.Join(dir, "sentinel.log")
	p, err := spawn(exec.Command("redis-server", conf, "--sentinel"), log, syscall.SIGKILL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.end(syscall.SIGKILL) }) // it may have ended
	if err := p.answers(func() error { return s.client.Ping(context.Background()).Err() }); err != nil {
		s.t.Fatal(fmt.Errorf("start the sentinel: %w\n%s", err, tail(log)))
	}
}

// URL names the sentinel.
func (s *Sentinel) URL() string { return "redis-sentinel://" + loopback(s.port) + "/" + masterName }

// Failover makes the replica the master, and the master a replica, as an operator does.
func (s *Sentinel) Failover(ctx context.Context) error {
	return s.client.Failover(ctx, masterName).Err()
}

// DownAfter sets how long the master may be silent before it is taken for dead.
func (s *Sentinel) DownAfter(ctx context.Context, d time.Duration) error {
	return s.client.Set(ctx, masterName, "down-after-milliseconds", strconv.FormatInt(d.Milliseconds(), 10)).Err()
}

// Roles are the nodes as the sentinel has them.
func (s *Sentinel) Roles(ctx context.Context) (master, replica *RedisServer, err error) {
	addr, err := s.Master(ctx)
	if err != nil {
		return nil, nil, err
	}
	if addr == s.Nodes[1].Addr() {
		return s.Nodes[1], s.Nodes[0], nil
	}
	return s.Nodes[0], s.Nodes[1], nil
}

// Master is the address of the master, as the sentinel has it.
func (s *Sentinel) Master(ctx context.Context) (string, error) {
	addr, err := s.client.GetMasterAddrByName(ctx, masterName).Result()
	if err != nil || len(addr) != 2 {
		return "", err
	}
	return addr[0] + ":" + addr[1], nil
}
