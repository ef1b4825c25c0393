package whole

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// Bundle is a cache of one entity on the shared Redis, with a table in memory in the
// place of the database.
type Bundle struct {
	Redis
	E      *schema.Entity
	RDB    *redis.Client
	Under  string // the prefix of the keys
	Table  *Table
	Faults *testkit.RedisFaults
}

// Setup makes a bundle whose configuration change has changed.
func Setup(t *testing.T, change ...func(*schema.Entity, *cache.Config)) *Bundle {
	t.Helper()
	t.Parallel()
	server := testkit.SharedRedis(t)
	b := &Bundle{RDB: server.Client(t), Under: testkit.Prefix(t), Table: &Table{Rows: map[string]schema.Values{}},
		Faults: &testkit.RedisFaults{}}
	b.E = &schema.Entity{
		Name: "user", ID: schema.ID{Max: 64}, Partitions: 2,
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, Required: true},
			{Name: "age", Type: schema.Int, Min: "0", Max: "150"},
			{Name: "count", Type: schema.Int, Default: "0"},
		},
	}
	cfg := cache.Config{URL: server.URL(), Prefix: b.Under, Loader: b.Table, Log: testkit.Logger(t),
		Hooks: []redis.Hook{b.Faults}}
	for _, f := range change {
		f(b.E, &cfg)
	}
	require.NoError(t, b.E.Init())
	c, err := cache.New(cfg)
	require.NoError(t, err)
	b.Redis = With(c, pending.Config{FlagMargin: cfg.FlagMargin, OpAge: cfg.OpAge, Registerer: cfg.Registerer})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// Table is a database table in memory.
type Table struct {
	Mu    sync.Mutex
	Rows  map[string]schema.Values
	Loads int
	Hold  chan struct{} // if set, a load waits for it after it has read
	Began chan struct{} // if set, told when a load has read
}

func (d *Table) Load(ctx context.Context, _ *schema.Entity, ids []string) (map[string]schema.Values, error) {
	d.Mu.Lock()
	d.Loads++
	hold, began := d.Hold, d.Began
	rows := map[string]schema.Values{}
	for _, id := range ids {
		if values, ok := d.Rows[id]; ok {
			rows[id] = values
		}
	}
	d.Mu.Unlock()
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

func (d *Table) Set(id string, values schema.Values) {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	if values == nil {
		delete(d.Rows, id)
	} else {
		d.Rows[id] = values
	}
}

func (d *Table) Copy() map[string]schema.Values {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	return maps.Clone(d.Rows)
}

// Row is the values of a record.
func Row(name, age, count string) schema.Values {
	return schema.Values{`"` + name + `"`, age, count}
}

// Send sends one write and returns its result and order.
func (b *Bundle) Send(t *testing.T, w cache.Write) (cache.Written, schema.Order) {
	t.Helper()
	g := &cache.Group{Entity: b.E, Partition: b.E.Partition(w.ID), Writes: []cache.Write{w}}
	b.Write(t.Context(), g)
	return g.Results[0], g.Order
}

// Loading sends one write, with its row where that is asked for.
func (b *Bundle) Loading(t *testing.T, w cache.Write) cache.Written {
	t.Helper()
	got, _ := b.Send(t, w)
	if got.Token == "" {
		return got
	}
	rows, err := b.Table.Load(t.Context(), b.E, []string{w.ID})
	require.NoError(t, err)
	v, ok := rows[w.ID]
	w.Row, w.Token = &schema.Row{ID: w.ID, Exists: ok, Values: v}, got.Token
	got, _ = b.Send(t, w)
	return got
}

func (b *Bundle) Put(t *testing.T, id, name string) schema.Version {
	t.Helper()
	got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: id, Values: Row(name, "30", "0")})
	require.NoError(t, got.Err)
	require.NotZero(t, got.Version)
	return got.Version
}

// DueIn reads what is due in a partition.
func (b *Bundle) DueIn(t *testing.T, partition int) pending.Batch {
	t.Helper()
	batch, err := b.Due(t.Context(), b.E, partition, 100, 1<<20)
	require.NoError(t, err)
	return batch
}

// Commit writes a batch to the table.
func (b *Bundle) Commit(batch pending.Batch) []schema.Change {
	var changes []schema.Change
	for _, d := range batch.Due {
		if d.Deleted {
			b.Table.Set(d.ID, nil)
		} else {
			b.Table.Set(d.ID, d.Values)
		}
		changes = append(changes, d.Change)
	}
	return changes
}

// Flush persists all that is due.
func (b *Bundle) Flush(t *testing.T) {
	t.Helper()
	for partition := range b.E.Partitions {
		for {
			batch := b.DueIn(t, partition)
			changes := b.Commit(batch)
			_, err := b.Ack(t.Context(), b.E, partition, batch, changes)
			require.NoError(t, err)
			if !batch.More {
				break
			}
		}
	}
}

func (b *Bundle) Total(t *testing.T) pending.Stats {
	t.Helper()
	stats, err := b.Stats(t.Context(), b.E)
	require.NoError(t, err)
	total := pending.Total(stats)
	require.Zero(t, total.Imbalance(), "I7 conserved: %+v", total)
	return total
}

func (b *Bundle) Got(t *testing.T, id string) cache.Read {
	t.Helper()
	read, err := b.Get(t.Context(), b.E, id)
	require.NoError(t, err)
	return read
}

func (b *Bundle) RecordKey(id string) string {
	return b.Under + ":{user/" + string(rune('0'+b.E.Partition(id))) + "}:r:" + id
}

func (b *Bundle) StatsKey(partition int) string {
	return b.Under + ":{user/" + string(rune('0'+partition)) + "}:stats"
}

// Life is the time to live of a record.
func (b *Bundle) Life(t *testing.T, id string) time.Duration {
	t.Helper()
	life, err := b.RDB.PTTL(t.Context(), b.RecordKey(id)).Result()
	require.NoError(t, err)
	return life
}

// HoldAll has every pending record refused once.
func (b *Bundle) HoldAll(t *testing.T, after time.Duration) {
	t.Helper()
	for partition := range b.E.Partitions {
		var refused []pending.Refused
		for _, d := range b.DueIn(t, partition).Due {
			refused = append(refused, pending.Refused{
				Change: d.Change, Attempts: d.Attempts + 1, Next: time.Now().Add(after),
				Refusal: schema.Refusal{Kind: schema.KindUnique, Constraint: "uq", Message: "taken"},
			})
		}
		n, err := b.Hold(t.Context(), b.E, partition, refused)
		require.NoError(t, err)
		require.Equal(t, len(refused), n)
	}
}

// KillAll has every due record die.
func (b *Bundle) KillAll(t *testing.T) {
	t.Helper()
	for partition := range b.E.Partitions {
		var refused []pending.Refused
		for _, d := range b.DueIn(t, partition).Due {
			refused = append(refused, pending.Refused{Change: d.Change, Attempts: d.Attempts + 1,
				Refusal: schema.Refusal{Kind: schema.KindCheck, Message: "no"}})
		}
		for want := len(refused); ; want = 0 {
			n, err := b.Die(t.Context(), b.E, partition, refused)
			require.NoError(t, err)
			require.Equal(t, want, n, "a repeat changes nothing")
			if want == 0 {
				break
			}
		}
	}
}

// Another is a second process's cache on the same keys.
func (b *Bundle) Another(t *testing.T) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Config{
		URL: testkit.SharedRedis(t).URL(), Prefix: b.Under, Loader: b.Table, Log: testkit.Logger(t),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// Pages reads through the table in the order of ids.
func (d *Table) Pages(size int) rank.Rows {
	return func(_ context.Context, after string) ([]schema.Row, error) {
		var page []schema.Row
		all := d.Copy()
		for _, id := range slices.Sorted(maps.Keys(all)) {
			if id > after && len(page) < size {
				page = append(page, schema.Row{ID: id, Exists: true, Values: all[id]})
			}
		}
		return page, nil
	}
}

// RebuildRank rebuilds the rank from the table.
func (b *Bundle) RebuildRank(t *testing.T) {
	t.Helper()
	require.NoError(t, b.Rebuild(t.Context(), b.E, rank.ByValues, b.Table.Pages(7), nil))
}

// Evict takes a record out of Redis as the end of its TTL does; never one without TTL.
func (b *Bundle) Evict(t testing.TB, id string) {
	t.Helper()
	require.NoError(t, b.RDB.Eval(context.Background(),
		`if redis.call('PTTL', KEYS[1]) > 0 then return redis.call('DEL', KEYS[1]) end return 0`,
		[]string{b.RecordKey(id)}).Err())
}

// Kept reads the stored events since a time, and whether none since is missing.
func (b *Bundle) Kept(t *testing.T, since time.Time) (all []events.Event, complete bool) {
	t.Helper()
	complete = true
	for kept, err := range b.Events(t.Context(), []*schema.Entity{b.E}, since) {
		require.NoError(t, err)
		complete = complete && kept.Events != nil
		all = append(all, kept.Events...)
	}
	return all, complete
}
