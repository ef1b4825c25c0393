// Compare measures the cache package beside other caches for Go, and the library beside what a program does by hand,
// with one Redis, one database and one process, in turns:
//
//	go run .                                            # Redis and SQLite of its own; about a minute and a half
//	go run . --database postgres://user@host/name
//
// Each way has a client of its own, tuned alike, and turns JSON into the same struct. The table has the median of the
// turns, the ratio to Afterwrite turn by turn, and the processor time of this process and of Redis for one operation.
// The keys begin with "compare" and the tables with "compare_"; the Redis is emptied of neither.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	log.SetFlags(0)
	var o options
	redisURL := flag.String("redis", "", "`URL` of the Redis (default: one of its own)")
	flag.StringVar(&o.database, "database", "", "`URL` of the database (default: a SQLite file of its own)")
	flag.IntVar(&o.turns, "turns", 5, "turns of each way")
	flag.DurationVar(&o.time, "time", 500*time.Millisecond, "time of one turn")
	flag.IntVar(&o.callers, "callers", 50, "concurrent callers")
	flag.Parse()
	if err := run(context.Background(), o, *redisURL); err != nil {
		log.Fatal("compare: ", err)
	}
}

type options struct {
	redis    *redis.Options
	database string
	turns    int
	time     time.Duration
	callers  int
}

func run(ctx context.Context, o options, redisURL string) error {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if redisURL == "" {
		stop, err := ownRedis(ctx, dir)
		if err != nil {
			return err
		}
		defer stop()
		redisURL = "unix://" + filepath.Join(dir, "redis.sock")
	}
	if o.redis, err = redis.ParseURL(redisURL); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	if o.database == "" {
		o.database = "sqlite://" + filepath.Join(dir, "compare.db")
	}
	if err := compareCaches(ctx, o); err != nil {
		return err
	}
	return compareByHand(ctx, o)
}

// ownRedis starts a redis-server with an append-only file on a socket.
func ownRedis(ctx context.Context, dir string) (stop func(), err error) {
	socket := filepath.Join(dir, "redis.sock")
	server := exec.CommandContext(ctx, "redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir,
		"--appendonly", "yes", "--save", "", "--maxmemory", "1gb", "--maxmemory-policy", "volatile-lfu",
		"--hash-max-listpack-value", "1024")
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start a Redis (or give one by --redis): %w", err)
	}
	stop = func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer client.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = client.Ping(ctx).Err(); err == nil {
			return stop, nil
		}
		if time.Now().After(end) {
			stop()
			return nil, fmt.Errorf("the redis-server that was started does not answer: %w", err)
		}
	}
}
