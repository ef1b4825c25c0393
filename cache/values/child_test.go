package values_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
)

// childURL is the variable by which this test binary, run again, learns that it is to be
// another process of the cache, and on which Redis.
const childURL = "AFTERWRITE_CACHE_CHILD"

func TestMain(m *testing.M) {
	if address := os.Getenv(childURL); address != "" {
		if err := beChild(address, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	m.Run()
}

// A process of the cache loads values from what Redis has at these keys, as another program
// would from a database.
const (
	truth   = "truth:" // of a key
	counted = "loads"  // INCR by each load
	held    = "hold"   // loads wait while it is there
)

// actor is a process that uses values: this one, or a child.
type actor interface {
	load(key string) (string, error)
	do(command) error
}

// command is what an actor is told: load, set, delete, tag, match, or readers.
type command struct {
	Op    string
	Key   string `json:",omitempty"`
	Value string `json:",omitempty"`
	N     int    `json:",omitempty"`
}

type reply struct {
	Value string `json:",omitempty"`
	Err   string `json:",omitempty"`
}

// process is the side of a cache in one process.
type process struct {
	c      *cache.Cache
	values *values.Values[string]
	rdb    *redis.Client
	begun  sync.WaitGroup // readers that have begun
	over   sync.WaitGroup // readers
	mu     sync.Mutex     // guards wrong
	wrong  error          // of readers
}

func newProcess(address string) (*process, error) {
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, err
	}
	p := &process{rdb: redis.NewClient(o)}
	// Neither a busy Redis nor a load that stands still on a busy machine is what is tested.
	p.c, err = cache.New(cache.Config{URL: address, Log: slog.New(slog.DiscardHandler), KeptTags: 100,
		Timeout: time.Minute, Lease: time.Minute})
	if err != nil {
		return nil, err
	}
	p.values, err = values.New[string](p.c, values.Policy{Group: "m", L1: inProcess, TTL: time.Hour,
		LoadTimeout: 5 * time.Minute}, nil)
	return p, err
}

func (p *process) close() error { return errors.Join(p.c.Close(), p.rdb.Close()) }

func (p *process) load(key string) (string, error) {
	return p.values.Load(context.Background(), key, func(ctx context.Context) (string, error) {
		values.AddTags(ctx, values.NamedTag("of "+key))
		if err := p.rdb.Incr(ctx, counted).Err(); err != nil {
			return "", err
		}
		got, err := p.rdb.Get(ctx, truth+key).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return "", err
		}
		return got, p.wait(ctx)
	})
}

// wait holds a load up for as long as the test wants.
func (p *process) wait(ctx context.Context) error {
	for {
		n, err := p.rdb.Exists(ctx, held).Result()
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *process) do(c command) error {
	ctx := context.Background()
	switch c.Op {
	case "set":
		return p.values.Set(ctx, c.Key, c.Value, values.NamedTag("of "+c.Key))
	case "delete":
		_, err := p.values.Delete(ctx, c.Key)
		return err
	case "tag":
		return values.InvalidateTags(ctx, p.c, values.NamedTag("of "+c.Key))
	case "match":
		_, err := p.values.InvalidateMatch(ctx, c.Key, nil)
		return err
	case "readers":
		p.read(c)
		return nil
	case "join":
		p.over.Wait()
		return p.wrong
	}
	return fmt.Errorf("no such command: %q", c.Op)
}

// read lets many callers load a key at once, and returns when all have begun.
func (p *process) read(c command) {
	p.begun.Add(c.N)
	for range c.N {
		p.over.Go(func() {
			p.begun.Done()
			got, err := p.load(c.Key)
			if err == nil && got == c.Value {
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.wrong = fmt.Errorf("a reader got %q, %w", got, err)
		})
	}
	p.begun.Wait()
}

// beChild answers commands until there are no more.
func beChild(address string, in io.Reader, out io.Writer) error {
	p, err := newProcess(address)
	if err != nil {
		return err
	}
	commands, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c command
		if err := commands.Decode(&c); errors.Is(err, io.EOF) {
			return p.close()
		} else if err != nil {
			return err
		}
		var r reply
		if c.Op == "load" {
			r.Value, err = p.load(c.Key)
		} else {
			err = p.do(c)
		}
		if err != nil {
			r.Err = err.Error()
		}
		if err := replies.Encode(r); err != nil {
			return err
		}
	}
}

// child is an actor in a process of its own, which ends with the test.
type child struct {
	mu       sync.Mutex // held for one command
	commands *json.Encoder
	replies  *json.Decoder
}

func newChild(t *testing.T, address string) *child {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childURL+"="+address)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})
	return &child{commands: json.NewEncoder(in), replies: json.NewDecoder(out)}
}

func (c *child) ask(what command) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.commands.Encode(what); err != nil {
		return "", err
	}
	var r reply
	if err := c.replies.Decode(&r); err != nil {
		return "", fmt.Errorf("the child has ended: %w", err)
	}
	if r.Err != "" {
		return "", errors.New(r.Err)
	}
	return r.Value, nil
}

func (c *child) load(key string) (string, error) { return c.ask(command{Op: "load", Key: key}) }

func (c *child) do(what command) error {
	_, err := c.ask(what)
	return err
}
