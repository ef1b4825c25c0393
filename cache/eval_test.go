package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

const countSource = `return redis.call('INCRBY', KEYS[1], ARGV[1])`

// TestEvalSendsAgainOnlyWhatMayBe loses the reply of a script once: one that may be sent
// again is, the other is not, and says that its outcome is unknown.
func TestEvalSendsAgainOnlyWhatMayBe(t *testing.T) {
	server := testkit.SharedRedis(t)
	for name, tt := range map[string]struct {
		script  *cache.Script
		retries int
		count   string
		err     error
	}{
		"again":             {cache.NewScript("count", countSource), 0, "3", nil},
		"again, not wanted": {cache.NewScript("count_unwanted", countSource), -1, "2", schema.ErrUnavailable},
		"once":              {cache.NewOnceScript("count_once", countSource), 0, "2", schema.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := testkit.NewProxy(t, server.Addr())
			b := setup(t, func(_ *schema.Entity, cfg *cache.Config) {
				cfg.URL, cfg.Timeout, cfg.Retries = proxy.URL(t, server.URL()), 20*time.Second, tt.retries
			})
			key := b.Key("test", name, "n")
			_, err := b.Eval(t.Context(), tt.script, []string{key}, 1) // loads the source
			require.NoError(t, err)
			proxy.LoseReplies()
			done := make(chan error, 1)
			go func() {
				_, err := b.Eval(context.Background(), tt.script, []string{key}, 1)
				done <- err
			}()
			testkit.Eventually(t, "the script has run, and its reply is lost", func() bool {
				return b.RDB.Get(t.Context(), key).Val() == "2" && proxy.Lost() > 0
			})
			proxy.Restore()
			require.ErrorIs(t, <-done, tt.err)
			require.Equal(t, tt.count, b.RDB.Get(t.Context(), key).Val())
		})
	}
}

func TestEvalMany(t *testing.T) {
	b := setup(t)
	script := cache.NewScript("answer", `if ARGV[1] == '' then return false end return {ARGV[1], 7}`)
	runs := []*cache.Call{{Args: []any{"a"}}, {Args: []any{""}}, {Args: []any{"b"}}}
	for i, r := range runs {
		r.Keys = []string{b.Key("test", string(rune('a'+i)), "k")}
	}
	b.EvalMany(t.Context(), script, runs...)
	require.Equal(t, []any{"a", int64(7)}, runs[0].Reply)
	require.Nil(t, runs[1].Reply, "a Lua false is no error")
	require.NoError(t, runs[1].Err)
	require.Equal(t, []any{"b", int64(7)}, runs[2].Reply)
	_, err := b.Eval(t.Context(), cache.NewScript("bad", `return redis.call('NOPE')`), nil)
	require.ErrorIs(t, err, schema.ErrUnavailable)
}

// TestKeysOfSpaces shows that no tag gets out of its space, or into that of an entity.
func TestKeysOfSpaces(t *testing.T) {
	b := setup(t)
	require.Equal(t, b.Under+":{_limit/ada}:x", b.Key("limit", "ada", "x"))
	require.NotContains(t, b.Key("limit", "a}:{user/0", "x"), "user")
	require.NotEqual(t, b.Key("limit", "a{", "x"), b.Key("limit", "a}", "x"))
}
