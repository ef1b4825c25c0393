package worker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// family returns a bench of customers and their orders, which are tried again after an
// hour by their policy. The tables are the test's: migrations add no foreign keys.
func family(t *testing.T, url string) (b *bench, customer, order *schema.Entity) {
	t.Helper()
	customer = &schema.Entity{Name: "customer", Table: "customers", ID: schema.ID{Type: schema.Int}, Partitions: 2,
		Fields: []schema.Field{
			{Name: "name", Type: schema.Text}}}
	order = &schema.Entity{Name: "order", Table: "orders", Partitions: 2, Fields: []schema.Field{
		{Name: "customer", Type: schema.Int, References: "customer"},
		{Name: "follows", Column: "after_order", Type: schema.String, References: "order"}}}
	for _, e := range []*schema.Entity{customer, order} {
		e.Retry = quick
		e.Retry.Base, e.Retry.Cap = time.Hour, time.Hour
		require.NoError(t, e.Init())
	}
	db := testkit.SQL(t, url)
	execute(t, db, `CREATE TABLE customers (id bigint PRIMARY KEY, name text)`)
	execute(t, db, testkit.Spell(url, `CREATE TABLE orders (id varchar(255) PRIMARY KEY, customer bigint REFERENCES customers (id),
		after_order varchar(255) REFERENCES orders (id))`))
	return setupFor(t, url, testkit.SharedRedis(t).URL(), order, customer), customer, order
}

// of accepts a record of the entity, and returns the order that it asks for.
func (b *bench) of(e *schema.Entity, id string, fields schema.Fields) (schema.Order, schema.Version) {
	b.t.Helper()
	values, err := e.Whole(fields)
	require.NoError(b.t, err)
	g := &cache.Group{Entity: e, Partition: e.Partition(id), Writes: []cache.Write{{Op: cache.OpPut, ID: id,
		Values: values}}}
	b.cache.Write(b.t.Context(), g)
	require.NoError(b.t, g.Results[0].Err)
	return g.Order, g.Results[0].Version
}

func onFamilies(t *testing.T, fn func(t *testing.T, b *bench, customer, order *schema.Entity)) {
	t.Helper()
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		b, customer, order := family(t, url)
		fn(t, b, customer, order)
	})
}

func TestAChildBeforeItsParentHealsByItself(t *testing.T) {
	onFamilies(t, func(t *testing.T, b *bench, customer, order *schema.Entity) {
		w := b.strict()
		child, _ := b.of(order, "o1", schema.Fields{"customer": 7})
		_, _ = b.of(customer, "7", schema.Fields{"name": "Ann"})
		require.NoError(t, w.sync(t.Context(), task(child)))
		s := b.status("o1")
		require.Equal(t, schema.Held, s.Record.Status)
		require.Equal(t, schema.KindForeignKey, s.Refusal.Kind)
		require.Equal(t, 1, s.Attempts)
		require.Less(t, time.Until(s.NextAttempt), time.Minute, "an hour by its policy")

		stop := b.run(b.worker(b.serving))
		testkit.Eventually(t, "both are persisted", func() bool {
			b.e = customer
			customers := b.stats()
			b.e = order
			return customers.Persisted == 1 && b.stats().Persisted == 1
		})
		stop()
		require.Zero(t, b.count(ledger.LetterFilter{}))
		b.check()
	})
}

// However often a child comes too early, it does not come nearer to death.
func TestAChildWaitsAsLongAsItsParentIsPending(t *testing.T) {
	onFamilies(t, func(t *testing.T, b *bench, customer, order *schema.Entity) {
		w := b.strict()
		child, version := b.of(order, "o1", schema.Fields{"customer": 7})
		parent, _ := b.of(customer, "7", schema.Fields{"name": "Ann"})
		require.NoError(t, w.sync(t.Context(), task(child)))
		for range 2 * quick.MaxAttempts {
			b.hasten("o1")
			require.NoError(t, w.sync(t.Context(), task(schema.Order{Entity: order, Partition: child.Partition})))
			b.flush(w) // where the process paused, it was due again, and its task has a successor
			s := b.status("o1")
			require.Equal(t, schema.Held, s.Record.Status)
			require.Equal(t, 1, s.Attempts)
		}
		require.NoError(t, w.sync(t.Context(), task(parent)))
		b.hasten("o1")
		require.NoError(t, w.sync(t.Context(), task(schema.Order{Entity: order, Partition: child.Partition})))
		b.flush(w)
		s := b.status("o1")
		require.Equal(t, schema.Persisted, s.Record.Status)
		require.Equal(t, version, s.Record.Version)
		b.check()
	})
}

// A parent that is on no way to the database leaves its child to the policy.
func TestAChildWithoutAParentHasItsPolicy(t *testing.T) {
	onFamilies(t, func(t *testing.T, b *bench, customer, order *schema.Entity) {
		w := b.strict()
		child, version := b.of(order, "o1", schema.Fields{"customer": 8})
		require.NoError(t, w.sync(t.Context(), task(child)))
		s := b.status("o1")
		require.Greater(t, time.Until(s.NextAttempt), 30*time.Minute)
		for range quick.MaxAttempts - 1 {
			b.hasten("o1")
			require.NoError(t, w.sync(t.Context(), task(schema.Order{Entity: order, Partition: child.Partition})))
		}
		l, err := b.store.LetterOf(t.Context(), "order", "o1", version)
		require.NoError(t, err)
		require.Equal(t, schema.KindForeignKey, l.Refusal.Kind)
		require.Equal(t, quick.MaxAttempts, l.Attempts)
		b.check()
	})
}

// Records of one entity may refer to each other, in a chain against their order.
func TestAChainHealsByItself(t *testing.T) {
	onFamilies(t, func(t *testing.T, b *bench, customer, order *schema.Entity) {
		order.Retry.Base = 10 * time.Millisecond
		order.Retry.Cap = 10 * time.Millisecond
		order.Retry.MaxAttempts = 100
		_, _ = b.of(order, "o3", schema.Fields{"follows": "o2", "customer": 7})
		_, _ = b.of(order, "o2", schema.Fields{"follows": "o1"})
		_, _ = b.of(order, "o1", schema.Fields{"customer": 7})
		_, _ = b.of(customer, "7", schema.Fields{"name": "Ann"})
		stop := b.run(b.worker(b.serving))
		testkit.Eventually(t, "all are persisted", func() bool { return b.stats().Persisted == 3 })
		stop()
		require.Zero(t, b.count(ledger.LetterFilter{}))
		b.check()
	})
}

// hasten makes a held record due.
func (b *bench) hasten(id string) {
	b.t.Helper()
	partition := b.e.Partition(id)
	held, err := b.backlog.Waiting(b.t.Context(), b.e, partition, 0, 10)
	require.NoError(b.t, err)
	for _, w := range held {
		if w.ID == id {
			_, err := b.backlog.Reschedule(b.t.Context(), b.e, partition,
				[]pending.Move{{ID: id, From: w.Next, To: w.At}})
			require.NoError(b.t, err)
		}
	}
}

// arriving is a cache whose first question where records stand comes too late.
type arriving struct {
	whole.Redis
	meanwhile func()
}

func (a *arriving) Peek(ctx context.Context, e *schema.Entity, partition int, ids []string) ([]schema.Cached, error) {
	if do := a.meanwhile; do != nil {
		a.meanwhile = nil
		do()
	}
	return a.Cache.Peek(ctx, e, partition, ids)
}

// A parent that is flushed between the child's refusal and the look for it does not leave
// the child to a policy of one attempt.
func TestAParentMayArriveMeanwhile(t *testing.T) {
	onFamilies(t, func(t *testing.T, b *bench, customer, order *schema.Entity) {
		order.Retry.MaxAttempts = 1
		child, _ := b.of(order, "o1", schema.Fields{"customer": 7})
		parent, _ := b.of(customer, "7", schema.Fields{"name": "Ann"})
		other := b.strict()
		w := b.strict(func(c *Config) {
			c.Redis = &arriving{b.redisOf(), func() { require.NoError(t, other.sync(t.Context(), task(parent))) }}
		})
		require.NoError(t, w.sync(t.Context(), task(child)))
		require.Equal(t, schema.Held, b.status("o1").Record.Status)
		b.hasten("o1")
		require.NoError(t, w.sync(t.Context(), task(schema.Order{Entity: order, Partition: child.Partition})))
		require.Equal(t, schema.Persisted, b.status("o1").Record.Status)
		require.Zero(t, b.count(ledger.LetterFilter{}))
		b.check()
	})
}
