package testkit

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// RedisFaults is a hook of a Redis client that makes commands fail. Below it the
// client and the server are the real ones. It is safe for concurrent use; its zero
// value does nothing.
//
// A pipeline fails as a connection does: a fault that strikes one of its commands
// takes the commands behind it along.
type RedisFaults struct{ faults[redis.Cmder] }

var _ redis.Hook = (*RedisFaults)(nil)

// Inject makes commands that match fail.
func (f *RedisFaults) Inject(mode Mode, match func(redis.Cmder) bool, opts ...FaultOption) *Fault {
	return f.inject(mode, match, opts)
}

// Command matches commands by name, in any case.
func Command(name string) func(redis.Cmder) bool {
	return func(c redis.Cmder) bool { return strings.EqualFold(c.Name(), name) }
}

// Script matches the calls of the script of that name, whether by its text or by its hash.
func Script(t testing.TB, name string) func(redis.Cmder) bool {
	t.Helper()
	known := func(s *rdb.Script) bool { return s.Name == name }
	if !slices.ContainsFunc(rdb.Loaded(), known) {
		t.Fatalf("no package of this test has a script %q", name)
	}
	return func(c redis.Cmder) bool {
		args := c.Args()
		if len(args) < 2 || !strings.HasPrefix(strings.ToLower(c.Name()), "eval") {
			return false
		}
		shown, _ := args[1].(string)
		return rdb.NameOf(shown) == name
	}
}

// Root returns the directory of the module: the one above the test that has go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's directory")
		}
		dir = filepath.Dir(dir)
	}
}

// DialHook leaves dialling alone.
func (f *RedisFaults) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook makes one command fail.
func (f *RedisFaults) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		fault := f.find(cmd)
		if fault == nil {
			return next(ctx, cmd)
		}
		err := fault.strike(ctx, func() error { return next(ctx, cmd) })
		if err != cmd.Err() {
			forget(cmd, err)
		}
		return err
	}
}

// ProcessPipelineHook makes a pipeline fail from the first command that a fault
// strikes.
func (f *RedisFaults) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		at, fault := f.first(cmds)
		if fault == nil {
			return next(ctx, cmds)
		}
		switch fault.mode {
		case Refuse:
			at = 0 // no connection: nothing is sent
		case Vanish:
			at = f.breakOff(ctx, next, cmds, at)
		}
		var own error // what the commands say for themselves
		err := fault.strike(ctx, func() error { own = next(ctx, cmds); return own })
		if err != nil && err != own {
			for _, cmd := range cmds[at:] {
				forget(cmd, err)
			}
		}
		return err
	}
}

// breakOff sends what comes before the command at which the connection breaks, and
// returns the first command without effect: a transaction without its EXEC has none.
func (f *RedisFaults) breakOff(ctx context.Context, next redis.ProcessPipelineHook, cmds []redis.Cmder, at int) int {
	if at == 0 || cmds[0].Name() == "multi" {
		return 0
	}
	_ = next(ctx, cmds[:at]) // each command has its own error
	return at
}

func (f *RedisFaults) first(cmds []redis.Cmder) (int, *Fault) {
	for i, cmd := range cmds {
		if fault := f.find(cmd); fault != nil {
			return i, fault
		}
	}
	return 0, nil
}

// forget puts an error in the place of a reply.
func forget(cmd redis.Cmder, err error) {
	if c, ok := cmd.(*redis.Cmd); ok {
		c.SetVal(nil)
	}
	cmd.SetErr(err)
}

// Passing is a hook of a Redis client that counts the commands that a breaker lets through, those of new connections
// left out. It is safe for concurrent use.
type Passing struct {
	Most, All atomic.Int64 // at a time, and ever
	now       atomic.Int64
}

var _ redis.Hook = (*Passing)(nil)

// DialHook leaves dialling alone.
func (p *Passing) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook counts a command.
func (p *Passing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "hello" {
			return next(ctx, cmd)
		}
		defer p.pass()()
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook counts a pipeline as one.
func (p *Passing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "hello" {
			return next(ctx, cmds)
		}
		defer p.pass()()
		return next(ctx, cmds)
	}
}

func (p *Passing) pass() (passed func()) {
	now := p.now.Add(1)
	for most := p.Most.Load(); now > most && !p.Most.CompareAndSwap(most, now); most = p.Most.Load() {
	}
	p.All.Add(1)
	return func() { p.now.Add(-1) }
}
