package worker

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// A column of one entity is gone: its records wait, blamed for nothing, and another entity
// is flushed as ever.
func TestI5AnEntityWithoutItsColumnDelaysNoOther(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		user, product := testkit.Entity(t, "user"), testkit.Entity(t, "product")
		user.Partitions, user.Retry, product.Partitions = 3, quick, 1
		b := setupFor(t, url, testkit.SharedRedis(t).URL(), user, product)
		db := testkit.SQL(t, url)
		must := func(statement string) {
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		must("ALTER TABLE users RENAME COLUMN age TO years")
		w := b.worker()
		for i := range 30 {
			b.put(id(i), "x")
		}
		waiting := map[int]schema.Order{} // the newest of each partition
		for _, o := range b.orders.take() {
			waiting[o.Partition] = o
		}
		require.Len(t, waiting, 3)
		for range suspicion + 2 {
			for _, o := range waiting {
				require.Error(t, w.sync(t.Context(), task(o)))
			}
			require.Zero(t, testutil.ToFloat64(w.metrics.breaker), "closed")
		}

		b.e = product
		values, err := product.Whole(schema.Fields{"name": "p", "price": "1.00"})
		require.NoError(t, err)
		b.write(cache.Write{Op: cache.OpPut, ID: "1", Values: values})
		require.NoError(t, w.sync(t.Context(), task(b.orders.take()[0])))
		b.quiet(0)

		b.e = user
		require.EqualValues(t, 30, b.stats().Pending, "no record is blamed")
		must("ALTER TABLE users RENAME COLUMN years TO age")
		b.drain(w)
		b.quiet(0)
		require.Len(t, b.names(), 30)
	})
}

// A trigger looks for a table that is not there, for some records only: they are refused,
// and their neighbours persisted. (SQLite compiles a trigger with the statement, so there it
// fails for all records or for none.)
func TestI5ATriggersMissingTableIsOfItsRecords(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t).Database(t)
	b := setup(t, url)
	b.e.Retry.MaxAttempts = 1000
	_, err := testkit.SQL(t, url).ExecContext(t.Context(), `
		CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF new.name = 'bad' THEN INSERT INTO log VALUES (1); END IF; RETURN new; END $$;
		CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()`)
	require.NoError(t, err)
	w := b.worker()
	for i := range 20 {
		b.put(id(i), map[bool]string{true: "bad", false: "good"}[i == 7])
	}
	b.drain(w)
	b.quiet(1)
	require.Len(t, b.names(), 19)
	state, err := b.cache.Status(t.Context(), b.e, id(7))
	require.NoError(t, err)
	require.Equal(t, schema.KindPoison, state.Refusal.Kind)
}
