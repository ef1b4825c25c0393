package stream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a relay keeps does not grow with the number of its streams, nor with how far they
// are behind. One that is behind is told.
func TestI6RelayIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	reader, sleeper := &Stream{woken: make(chan struct{}, 1)}, &Stream{woken: make(chan struct{}, 1)}
	r := &relay{streams: map[*Stream]struct{}{reader: {}, sleeper: {}}}
	const size, count = 1000, 2 * relayBytes / 1000
	for at := range int64(count) {
		r.add(piece{mark: mark{number: at}, text: make([]byte, size)})
		<-reader.woken
		p, ok, behind := r.take(at)
		require.True(t, ok && !behind)
		require.Equal(t, at, p.mark.number)
		require.LessOrEqual(t, len(r.kept)*size, relayBytes)
	}
	_, ok, behind := r.take(count)
	require.False(t, ok || behind, "nothing has come")
	_, ok, behind = r.take(0)
	require.True(t, behind && !ok, "the sleeper is behind")
	p, ok, _ := r.take(count - relayBytes/size)
	require.True(t, ok)
	require.EqualValues(t, count-relayBytes/size, p.mark.number)
	r.add(piece{text: make([]byte, 2*relayBytes)})
	p, ok, _ = r.take(count)
	require.True(t, ok, "a message that is larger is kept alone")
	require.Len(t, p.text, 2*relayBytes)
	r.lose()
	_, _, behind = r.take(count + 1)
	require.True(t, behind, "whoever had everything has lost something")
	_, ok, behind = r.take(r.end())
	require.False(t, ok || behind)
}
