package layout

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// source is what Load makes of a script.
func source(script string) string {
	return shared(script) + script
}

func TestAScriptHasTheFunctionsThatItCalls(t *testing.T) {
	require.NotContains(t, source("return 1 -- as tell() does"), "local function")
	with := source("tell('s', 'x', 'c', 1, now_ms(), { 'held', '1' })\nreturn 1")
	for _, name := range []string{"number", "tell", "now_ms"} {
		require.Equal(t, 1, strings.Count(with, "local function "+name+"("), name)
	}
	require.Less(t, strings.Index(with, "function number("), strings.Index(with, "function tell("), "before its caller")
	for _, name := range []string{"claim", "place", "seat", "chunked"} {
		require.NotContains(t, with, "local function "+name+"(")
	}
	own := source("local function number(text) return 1 end\nreturn number('2')")
	require.Equal(t, 1, strings.Count(own, "local function number("))
}

// TestTheFunctionsDo runs each of them.
func TestTheFunctionsDo(t *testing.T) {
	client, key := testkit.SharedRedis(t).Client(t), testkit.Prefix(t)
	run := func(code string) any {
		t.Helper()
		reply, err := client.Eval(t.Context(), source(code), []string{key + "a", key + "b", key + "c"}).Result()
		require.NoError(t, err)
		return reply
	}
	require.Equal(t, "9007199254740991", run("return whole(2 ^ 53 - 1)"))
	require.Equal(t, int64(1), run("return math.abs(now_us() - now_ms() * 1000) < 1000 and 1 or 0"))
	require.Equal(t, int64(3), run("return number('3') + number(false)"))
	require.Equal(t, "8", run("return next_version('7', 5)"))
	require.Equal(t, "50", run("return next_version(false, 50)"))
	require.Equal(t, []any{"3", "-4", nil}, run("return { place('-3'), place('4'), place('null') or false }"))
	require.Equal(t, []any{"6", "6", "1010"}, run(
		"local g = claim(KEYS[1], '5', 1000, '10') return { g, unpack(redis.call('HMGET', KEYS[1], 'g', 'u')) }"))
	require.Equal(t, int64(1),
		run("lasts(KEYS[1], 'e', 60000) lasts(KEYS[1], 'e', 1) return number(redis.call('HGET', KEYS[1], 'e')) > now_ms() + 50000 and 1 or 0"))
	require.Equal(t, []any{"-2", "-2", int64(0)}, run(
		"redis.call('HSET', KEYS[1], 'k', 'n', 'kb', 'n#:t', 'ku', 9) redis.call('SADD', KEYS[3], 'x') "+
			"seat(KEYS[1], KEYS[1] .. 'r', KEYS[2], KEYS[3], 8, 'x', 'm', '2') "+
			"return { redis.call('ZSCORE', KEYS[1] .. 'r', 'x'), redis.call('ZSCORE', KEYS[2], 'm'), redis.call('SCARD', KEYS[3]) }"))
	require.Equal(t, []any{int64(0), "inf"}, run("seat(KEYS[1], KEYS[1] .. 'r', KEYS[2], KEYS[3], 8, 'x', 'm', 'null') "+
		"return { redis.call('ZCARD', KEYS[1] .. 'r'), redis.call('ZSCORE', KEYS[2], 'm') }"))
	require.Equal(t, []any{"-3", "-3", int64(1)}, run(
		"redis.call('HSET', KEYS[1], 'k', 'n#', 'kb', 'n:t') seat(KEYS[1], KEYS[1] .. 'r', KEYS[2], KEYS[3], 8, 'x', 'm', '3') "+
			"seat(KEYS[1], KEYS[1] .. 'r', KEYS[2], KEYS[3], 9, 'y', 'n', 'null') "+
			"return { redis.call('ZSCORE', KEYS[1] .. 'r', 'm'), redis.call('ZSCORE', KEYS[2], 'x'), redis.call('ZCARD', KEYS[1] .. 'r') }"))
	require.Equal(t, int64(2500), run(
		"local list = {} for i = 1, 2500 do list[i] = i end chunked(list, 'SADD', KEYS[3]) return redis.call('SCARD', KEYS[3])"))
	require.Equal(t, []any{"held", "77/1", "id", "9"}, run(
		"tell(KEYS[1], KEYS[2] .. 's', 'nowhere', 10, 77, { 'held', '77', 'id', '9' }) "+
			"return cjson.decode(redis.call('XRANGE', KEYS[2] .. 's', '-', '+')[1][2][2])"))
}

// TestEveryFunctionIsCalled keeps the prelude from growing: what one script alone calls belongs to it.
func TestEveryFunctionIsCalled(t *testing.T) {
	callers := map[string]int{}
	for _, dir := range []string{"../../cache/lua", "../../cache/events/lua", "../../cache/values/lua", "../../cache/rank/lua",
		"../../cache/internal/tags/lua", "../../cache/pending/lua", "../fleet/lua", "../inspect/lua"} {
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(dir + "/" + file.Name())
			require.NoError(t, err)
			for _, name := range defined.FindAllStringSubmatch(shared(string(text)), -1) {
				callers[name[1]]++
			}
		}
	}
	require.NotEmpty(t, functions)
	for _, f := range functions {
		name := defined.FindStringSubmatch(f.text)[1]
		require.GreaterOrEqual(t, callers[name]+strings.Count(prelude, name+"(")-1, 1, name)
	}
}

func TestAScriptThatIsMissingPanics(t *testing.T) {
	require.Panics(t, func() { Load(fstest.MapFS{}, "none") })
}
