package values_test

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// bundle is a cache of one entity on the shared Redis, with a table in memory in the
// place of the database.
type bundle struct {
	whole.Redis
	e      *schema.Entity
	rdb    *redis.Client
	prefix string
	table  *table
	faults *testkit.RedisFaults
}

func setup(t *testing.T, change ...func(*schema.Entity, *cache.Config)) *bundle {
	t.Helper()
	t.Parallel()
	server := testkit.SharedRedis(t)
	b := &bundle{rdb: server.Client(t), prefix: testkit.Prefix(t), table: &table{rows: map[string]schema.Values{}},
		faults: &testkit.RedisFaults{}}
	b.e = &schema.Entity{
		Name: "user", ID: schema.ID{Max: 64}, Partitions: 2,
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, Required: true},
			{Name: "age", Type: schema.Int, Min: "0", Max: "150"},
			{Name: "count", Type: schema.Int, Default: "0"},
		},
	}
	cfg := cache.Config{URL: server.URL(), Prefix: b.prefix, Loader: b.table, Log: testkit.Logger(t),
		Hooks: []redis.Hook{b.faults}}
	for _, f := range change {
		f(b.e, &cfg)
	}
	require.NoError(t, b.e.Init())
	c, err := cache.New(cfg)
	require.NoError(t, err)
	b.Redis = whole.With(c, pending.Config{FlagMargin: cfg.FlagMargin, OpAge: cfg.OpAge, Registerer: cfg.Registerer})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// table is a database table in memory.
type table struct {
	mu    sync.Mutex
	rows  map[string]schema.Values
	loads int
	hold  chan struct{} // if set, a load waits for it after it has read
	began chan struct{} // if set, told when a load has read
}

func (d *table) Load(ctx context.Context, _ *schema.Entity, ids []string) (map[string]schema.Values, error) {
	d.mu.Lock()
	d.loads++
	hold, began := d.hold, d.began
	rows := map[string]schema.Values{}
	for _, id := range ids {
		if values, ok := d.rows[id]; ok {
			rows[id] = values
		}
	}
	d.mu.Unlock()
	if began != nil {
		began <- struct{}{}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return rows, nil
}

func (d *table) set(id string, values schema.Values) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if values == nil {
		delete(d.rows, id)
	} else {
		d.rows[id] = values
	}
}

func row(name, age, count string) schema.Values {
	return schema.Values{`"` + name + `"`, age, count}
}

// write sends one write and returns its result and order.
func (b *bundle) write(t *testing.T, w cache.Write) (cache.Written, schema.Order) {
	t.Helper()
	g := &cache.Group{Entity: b.e, Partition: b.e.Partition(w.ID), Writes: []cache.Write{w}}
	b.Write(t.Context(), g)
	return g.Results[0], g.Order
}

func (b *bundle) put(t *testing.T, id, name string) schema.Version {
	t.Helper()
	got, _ := b.write(t, cache.Write{Op: cache.OpPut, ID: id, Values: row(name, "30", "0")})
	require.NoError(t, got.Err)
	require.NotZero(t, got.Version)
	return got.Version
}

// read reads what is due in a partition.
func (b *bundle) read(t *testing.T, partition int) pending.Batch {
	t.Helper()
	batch, err := b.Due(t.Context(), b.e, partition, 100, 1<<20)
	require.NoError(t, err)
	return batch
}

// commit writes a batch to the table.
func (b *bundle) commit(batch pending.Batch) []schema.Change {
	var changes []schema.Change
	for _, d := range batch.Due {
		if d.Deleted {
			b.table.set(d.ID, nil)
		} else {
			b.table.set(d.ID, d.Values)
		}
		changes = append(changes, d.Change)
	}
	return changes
}

// flush persists all that is due.
func (b *bundle) flush(t *testing.T) {
	t.Helper()
	for partition := range b.e.Partitions {
		for {
			batch := b.read(t, partition)
			changes := b.commit(batch)
			_, err := b.Ack(t.Context(), b.e, partition, batch, changes)
			require.NoError(t, err)
			if !batch.More {
				break
			}
		}
	}
}

func (b *bundle) statsKey(partition int) string {
	return b.prefix + ":{user/" + string(rune('0'+partition)) + "}:stats"
}

// another is a second process's cache on the same keys.
func (b *bundle) another(t *testing.T) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Config{
		URL: testkit.SharedRedis(t).URL(), Prefix: b.prefix, Loader: b.table, Log: testkit.Logger(t),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}
