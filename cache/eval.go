package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Script is a Lua script of a package that is built on the cache. Make it once, at package level, from an embedded file
// whose header documents its keys, arguments and reply. It is safe for concurrent use.
type Script struct {
	script *rdb.Script
	once   bool
}

// NewScript makes a script that is sent again if its reply was lost: it must be idempotent, or harmless to repeat. The
// name labels afterwrite_redis_script_duration_seconds.
func NewScript(name, source string) *Script {
	return &Script{script: rdb.NewScript(name, source)}
}

// NewOnceScript makes a script that is never sent again: if its reply was lost, [Cache.Eval] returns ErrOutcomeUnknown.
func NewOnceScript(name, source string) *Script {
	s := NewScript(name, source)
	s.once = true
	return s
}

// Key names a key of a package built on the cache. All keys of one space and tag are in one slot of a Redis Cluster, so
// one script can use them together; a script must not use keys of two tags. The space separates packages; the tag can
// be any text.
func (c *Cache) Key(space, tag, name string) string {
	if strings.ContainsAny(tag, "{}") {
		sum := sha256.Sum256([]byte(tag)) // the hash tag has braces of its own
		tag = "#" + hex.EncodeToString(sum[:])
	}
	return string(c.prefix) + ":{_" + space + "/" + tag + "}:" + name
}

// Call is one run of a script, with its outcome.
type Call struct {
	Keys []string
	Args []any

	Reply any   // string, int64, []any, or nil for a Lua nil or false
	Err   error // ErrUnavailable, ErrOutcomeUnknown, or the error of an ended context
}

// Eval runs a script. Its errors are as for [Call].
func (c *Cache) Eval(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	one := &Call{Keys: keys, Args: args}
	c.EvalMany(ctx, s, one)
	return one.Reply, one.Err
}

// EvalMany runs a script several times in one round trip, each on its own slot. The runs are not a transaction.
func (c *Cache) EvalMany(ctx context.Context, s *Script, runs ...*Call) {
	calls := make([]*rdb.Call, len(runs))
	for i, r := range runs {
		calls[i] = s.script.Call(r.Keys, r.Args...)
	}
	if s.once {
		c.redis.SendOnce(ctx, calls...)
	} else {
		c.redis.Send(ctx, calls...)
	}
	for i, r := range runs {
		r.Reply, r.Err = calls[i].Result()
		switch {
		case errors.Is(r.Err, redis.Nil):
			r.Err = nil
		case r.Err != nil:
			r.Err = s.fault(r.Err)
		}
	}
}

func (s *Script) fault(err error) error {
	if s.once {
		return rdb.OnceFault(s.script.Name, err)
	}
	return rdb.Fault(s.script.Name, err)
}
