package pending_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// tagged fails, or notes what was invalidated.
type tagged struct {
	pending.Changed
	fails error
	watch []string
}

func (t *tagged) InvalidateTags(_ context.Context, _ *schema.Entity, watched string, ids []string) error {
	t.watch = append(t.watch, watched+" "+strconv.Itoa(len(ids)))
	return t.fails
}

// Where values depend on records, an ack marks none before their tags are invalidated: a worker that dies between
// the two leaves the records pending, and the next flush does both again.
func TestAnAckFollowsItsTags(t *testing.T) {
	b := setup(t)
	until := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
	changed := &tagged{Changed: b.Cache, fails: errors.New("down")}
	backlog := pending.New(b.Cache.Redis(), b.Cache.Prefix(), pending.Config{Changed: changed})
	at := b.E.Partition("a")
	for _, field := range []string{"w", "x"} {
		b.Put(t, "a", field)
		require.NoError(t, b.RDB.HSet(t.Context(), b.StatsKey(at), field, until).Err())
		for _, fails := range []error{errors.New("down"), nil} {
			batch := b.DueIn(t, at)
			require.Len(t, batch.Due, 1)
			changed.fails, changed.watch = fails, nil
			n, err := backlog.Ack(t.Context(), b.E, at, batch, b.Commit(batch))
			require.ErrorIs(t, err, fails)
			require.Equal(t, []string{field + " 1"}, changed.watch)
			if fails != nil {
				require.Zero(t, n)
				require.Len(t, b.DueIn(t, at).Due, 1)
			} else {
				require.Equal(t, 1, n)
				require.Empty(t, b.DueIn(t, at).Due)
			}
		}
		require.NoError(t, b.RDB.HDel(t.Context(), b.StatsKey(at), field).Err())
	}
}
