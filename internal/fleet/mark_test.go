package fleet_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/fleet"
)

// marksFault fails the one that leaves a mark, before or after Redis has done it.
type marksFault struct {
	fail bool // the command does not reach Redis
	lose bool // its reply is lost
}

func (f *marksFault) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *marksFault) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f *marksFault) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "hset" || !f.fail && !f.lose {
			return next(ctx, cmd)
		}
		if f.lose {
			_ = next(ctx, cmd) // as if it were
		}
		cmd.SetErr(errors.New("injected"))
		return cmd.Err()
	}
}

// A process sees that Redis holds an older mark than it left, once, and takes neither a
// lost reply nor a Redis that is empty or another for that.
func TestMarkTellsAnOlderState(t *testing.T) {
	fault := &marksFault{}
	b := setup(t, fault)
	key := b.prefix + ":{_}:marks"
	state := func() map[string]string { return b.rdb.HGetAll(t.Context(), key).Val() }
	restore := func(s map[string]string) {
		require.NoError(t, b.rdb.Del(t.Context(), key).Err())
		for name, value := range s {
			require.NoError(t, b.rdb.HSet(t.Context(), key, name, value).Err())
		}
	}
	m := b.NewMark()
	back := func(m *fleet.Mark) bool {
		t.Helper()
		back, err := m.Renew(t.Context())
		require.NoError(t, err)
		return back
	}
	unknown := func(m *fleet.Mark) {
		t.Helper()
		back, err := m.Renew(t.Context())
		require.Error(t, err)
		require.False(t, back)
	}
	require.False(t, back(m))
	before := state()
	require.False(t, back(m))
	require.False(t, back(m), "what it finds is what it left")
	restore(before)
	require.True(t, back(m))
	require.False(t, back(m), "it is told once")

	fault.fail = true
	unknown(m)
	unknown(m)
	fault.fail = false
	require.False(t, back(m), "nothing was written")
	fault.lose = true
	unknown(m)
	late := state()
	unknown(m)
	fault.lose = false
	require.False(t, back(m), "it was written")
	restore(late)
	require.False(t, back(m), "what was given up is perhaps done late")

	other := b.NewMark()
	before = state()
	require.False(t, back(other))
	restore(before)
	require.True(t, back(other), "the older state has no mark of it")

	require.NoError(t, b.rdb.Del(t.Context(), key).Err())
	require.False(t, back(m), "an empty Redis is nothing older")
	require.False(t, back(other))
	require.False(t, back(m))
	require.NoError(t, m.Leave(t.Context()))
	require.NoError(t, other.Leave(t.Context()))
	require.Equal(t, []string{"born"}, slices.Collect(maps.Keys(state())))

	require.NoError(t, b.rdb.HSet(t.Context(), key, "killed", "7@1000").Err())
	require.False(t, back(b.NewMark()))
	require.NotContains(t, state(), "killed", "it was long ago")
}
