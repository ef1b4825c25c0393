package cache

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/schema"
)

//go:embed lua/*.lua
var sources embed.FS

// script is one of the Lua files; its header says what it takes and returns.
type script struct {
	name, text string
	source     *redis.Script
}

func newScript(name, text string) *script {
	return &script{name: name, text: text, source: redis.NewScript(text)}
}

func load(name string) *script { return newScript(name, source("lua/"+name+".lua")) }

// source is the text of one file.
func source(path string) string {
	text, err := sources.ReadFile(path)
	if err != nil {
		panic(err) // the file is embedded: its absence is a build error
	}
	return string(text)
}

var (
	writeScript      = load("write")
	leaseScript      = load("lease")
	fillScript       = load("fill")
	dueScript        = load("due")
	ackScript        = load("ack")
	holdScript       = load("hold")
	dropScript       = load("drop")
	beginScript      = load("begin")
	endScript        = load("end")
	sweepScript      = load("sweep")
	statsScript      = load("stats")
	invalidateScript = load("invalidate")
	listenScript     = load("listen")
	reserveScript    = load("reserve")
	retireScript     = load("retire")
	beatScript       = load("beat")
	leadScript       = load("lead")
	peekScript       = load("peek")
	dieScript        = load("die")
	retryScript      = load("retry")
	rescheduleScript = load("reschedule")
	pauseScript      = load("pause")
	nowScript        = load("now")
	barScript        = load("bar")
	unbarScript      = load("unbar")
	vleaseScript     = load("vlease")
	vfillScript      = load("vfill")
	vrenewScript     = load("vrenew")
	vsetScript       = load("vset")
	stampScript      = load("stamp")
	touchScript      = load("touch")
	watchScript      = load("watch")
	watchedScript    = load("watched")
)

// run calls one script through the client whose commands may be sent again: what a
// script run this way does twice is what it does once.
func (c *Cache) run(ctx context.Context, s *script, keys []string, args ...any) ([]any, error) {
	reply, err := c.runAny(ctx, s, keys, args...)
	if err != nil {
		return nil, err
	}
	list, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("%s script: reply is a %T, not a list", s.name, reply)
	}
	return list, nil
}

func (c *Cache) runInt(ctx context.Context, s *script, keys []string, args ...any) (int, error) {
	reply, err := c.runAny(ctx, s, keys, args...)
	if err != nil {
		return 0, err
	}
	n, ok := reply.(int64)
	if !ok {
		return 0, fmt.Errorf("%s script: reply is a %T, not a number", s.name, reply)
	}
	return int(n), nil
}

func (c *Cache) runAny(ctx context.Context, s *script, keys []string, args ...any) (any, error) {
	start := time.Now()
	reply, err := s.source.Run(ctx, c.redis, keys, args...).Result()
	c.metrics.script(s.name, start)
	if err != nil {
		return nil, fault(s.name, err)
	}
	return reply, nil
}

// call is one run of a script in a pipeline: the words of EVALSHA, of which [send] sets
// the first two.
type call struct {
	words []any // command, script, number of keys, keys, arguments
	cmd   *redis.Cmd
}

// callHead is the number of words before the keys.
const callHead = 3

func newCall(keys []string, args ...any) *call {
	words := make([]any, callHead, callHead+len(keys)+len(args))
	words[callHead-1] = len(keys)
	for _, key := range keys {
		words = append(words, key)
	}
	return &call{words: append(words, args...)}
}

// pipeline runs one script many times in one round trip. A call that Redis refused
// because it does not know the script has not run, and is sent again with its source;
// nothing else is ever sent again here: that is the client's own business.
func (c *Cache) pipeline(ctx context.Context, client redis.UniversalClient, s *script, calls []*call) {
	start := time.Now()
	send(ctx, client, calls, "evalsha", s.source.Hash())
	var again []*call
	for _, one := range calls {
		if err := one.cmd.Err(); err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
			again = append(again, one)
		}
	}
	if len(again) > 0 {
		send(ctx, client, again, "eval", s.text)
	}
	c.metrics.script(s.name, start)
}

// send makes one trip. Each command carries its own error; an error of the whole, such as
// a pool without a free connection, is put on commands that have none.
func send(ctx context.Context, client redis.UniversalClient, calls []*call, command, script string) {
	for _, one := range calls {
		one.words[0], one.words[1] = command, script
		one.cmd = redis.NewCmd(ctx, one.words...)
		if one.words[callHead-1] != 0 {
			one.cmd.SetFirstKeyPos(callHead)
		}
	}
	if len(calls) == 1 {
		_ = client.Process(ctx, calls[0].cmd) // the command has the error
		return
	}
	p := client.Pipeline()
	for _, one := range calls {
		_ = p.Process(ctx, one.cmd)
	}
	if _, err := p.Exec(ctx); err != nil {
		for _, one := range calls {
			if one.cmd.Err() == nil && one.cmd.Val() == nil {
				one.cmd.SetErr(err)
			}
		}
	}
}

// fault names an error of Redis or of the way to it, for a command that changes
// nothing or may be repeated.
func fault(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return unavailable(what, err)
}

// writeFault names an error of a write, which is never sent again: where Redis answered,
// or was never reached, nothing was written; else nobody knows.
func writeFault(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "PARTITIONS "); ok {
		return fmt.Errorf("write: %w: it has %s", schema.ErrPartitionsChanged, text)
	}
	if answered(err) && !brokenOff(err) || neverSent(err) {
		return unavailable("write", err)
	}
	return fmt.Errorf("write: %w: %w", schema.ErrOutcomeUnknown, err)
}

// brokenOff reports whether a script ended at an error that may have come after its first
// write: it met a key that another program made, or a command that its user may not call.
// What Redis refuses of a script's writes for its own state, it refuses at the first.
func brokenOff(err error) bool {
	return strings.Contains(err.Error(), "user_script") && refusal(err) == nil
}

// answered reports whether the error is Redis's own reply.
func answered(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

func neverSent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) || errors.Is(err, redis.ErrClosed)
}
