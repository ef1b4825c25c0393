package pending_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// refuse holds the one due record of a partition again and says what its history is then.
func (b *bundle) refuse(t *testing.T, partition int, a schema.Attempt) pending.Due {
	t.Helper()
	due := b.DueIn(t, partition).Due
	require.Len(t, due, 1)
	d := due[0]
	_, err := b.Hold(t.Context(), b.E, partition, []pending.Refused{{
		Change: d.Change, Refusal: schema.Refusal{Kind: a.Kind, Message: a.Message},
		Attempts: d.Attempts + 1, History: append(d.History, a), Since: d.PendingSince,
		Next: time.Now().Add(-time.Second),
	}})
	require.NoError(t, err)
	due = b.DueIn(t, partition).Due
	require.Len(t, due, 1)
	return due[0]
}

func TestHistoryIsKeptThroughHolds(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "x")
	partition := b.E.Partition("a")
	since := b.DueIn(t, partition).Due[0].PendingSince
	require.False(t, since.IsZero())
	start := time.Now().UTC().Truncate(time.Millisecond)
	want := []schema.Attempt{
		{Number: 1, At: start, Kind: schema.KindUnique, Message: "taken", Worker: "w1"},
		{Number: 2, At: start, Kind: schema.KindUnique, Message: "taken", Worker: "w1"},
		{Number: 3, At: start, Kind: schema.KindCheck, Message: "no", Worker: "w1"},
		{Number: 4, At: start, Kind: schema.KindUnique, Message: "taken", Worker: "w2"},
	}
	for i := range want {
		want[i].At = start.Add(time.Duration(i) * time.Millisecond)
		d := b.refuse(t, partition, want[i])
		assert.Equal(t, want[:i+1], d.History)
		assert.Equal(t, i+1, d.Attempts)
		assert.Equal(t, since, d.PendingSince)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "x")
	partition := b.E.Partition("a")
	var d pending.Due
	for n := range 2 * layout.MaxHistory {
		d = b.refuse(t, partition, schema.Attempt{
			Number: n + 1, At: time.Now(), Kind: schema.KindCheck, Worker: "w",
			Message: fmt.Sprint(n) + strings.Repeat("é", layout.MaxHistoryMessage),
		})
	}
	require.Len(t, d.History, layout.MaxHistory)
	assert.Equal(t, layout.MaxHistory+1, d.History[0].Number, "the first are forgotten")
	assert.Equal(t, 2*layout.MaxHistory, d.Attempts, "and counted")
	for _, a := range d.History {
		assert.LessOrEqual(t, len(a.Message), layout.MaxHistoryMessage)
		assert.NotContains(t, a.Message, "\ufffd")
	}
}
