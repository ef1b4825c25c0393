package afterwrite_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// What the program itself writes past its table, by gorm over the same pool, is read within a
// second, where the table is watched.
func TestWatch(t *testing.T) {
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		rdb, g := ownRedis(t, testkit.Redis(t)), gormOf(t, url)
		db, err := afterwrite.Open(t.Context(), afterwrite.Config{Redis: rdb, GORM: g, Prefix: testkit.Prefix(t),
			Logger: testkit.Logger(t)}, afterwrite.Model[Counter]())
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		require.ErrorIs(t, db.Migrate(t.Context(), afterwrite.Watch("nobody")), schema.ErrUnknownEntity)
		require.NoError(t, db.Migrate(t.Context(), afterwrite.Watch("counter")))
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- db.Work(ctx) }()
		counters := afterwrite.Table[Counter](db)
		for n := range int64(3) {
			w, err := counters.Put(t.Context(), &Counter{ID: "a", N: n})
			require.NoError(t, err)
			require.NoError(t, w.Wait(t.Context()))
			require.NoError(t, g.Model(&Counter{}).Where("id = ?", "a").Update("n", 100+n).Error)
			testkit.Eventually(t, "the row is read", func() bool {
				got, err := counters.Get(t.Context(), "a")
				return err == nil && got.Value.N == 100+n
			})
		}
		require.NoError(t, db.Migrate(t.Context(), afterwrite.Unwatch()))
		stop()
		require.NoError(t, <-ended)
	})
}
