package hammer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func put(_ state, seq int64) state { return state{exists: true, seq: seq, a: seq, b: seq} }

func gone(state, int64) state { return state{} }

// TestRegister: the judge of the other tests finds what it is there for.
func TestRegister(t *testing.T) {
	t.Parallel()
	r := newRegister("doc", "1")
	require.NoError(t, r.read(r.reading(), state{}))
	first := r.begin(put)
	require.NoError(t, r.read(0, first), "begun, so it may be seen")
	require.NoError(t, r.read(0, state{}), "not ended, so it need not be seen")
	require.NoError(t, r.end("10"))
	require.ErrorContains(t, r.read(r.reading(), state{}), "a read gave absent", "lost")
	old := r.reading()
	second := r.begin(func(now state, seq int64) state { now.seq, now.a = seq, seq; return now })
	require.Equal(t, state{exists: true, seq: 2, a: 2, b: 1}, second)
	require.NoError(t, r.end("11"))
	require.NoError(t, r.read(old, first), "the read began before")
	require.ErrorContains(t, r.read(r.reading(), first), "a read gave seq 1", "stale")
	require.ErrorContains(t, r.read(r.reading(), put(state{}, 2)), "right were", "torn")
	require.NoError(t, r.seen(second))
	require.ErrorContains(t, r.seen(first), "moved back")
	require.ErrorContains(t, r.seen(put(state{}, 3)), "nobody has written")
	r.begin(put)
	r.undo()
	require.Equal(t, second, r.now())
	third := r.begin(gone)
	require.NoError(t, r.read(old, third))
	require.ErrorContains(t, r.end("11"), "version 11 was acknowledged after 11")
	require.NoError(t, r.read(r.reading(), state{}))
}
