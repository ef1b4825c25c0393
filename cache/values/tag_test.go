package values_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

func TestATagInvalidatesWhatHasIt(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "page"})
	s := &source{text: "old"}
	tagged := func(tag string) values.Loading[string] {
		return func(ctx context.Context) (string, error) {
			values.AddTags(ctx, values.NamedTag(tag))
			return s.load(ctx)
		}
	}
	for _, key := range []string{"a", "b"} {
		_, err := v.Load(t.Context(), key, tagged("x"))
		require.NoError(t, err)
	}
	_, err := v.Load(t.Context(), "c", tagged("y"))
	require.NoError(t, err)
	s.set("new")
	require.NoError(t, values.InvalidateTags(t.Context(), b, values.NamedTag("x")))
	for key, want := range map[string]string{"a": "new", "b": "new", "c": "old"} {
		got, err := v.Load(t.Context(), key, tagged("x"))
		require.NoError(t, err)
		assert.Equal(t, want, got, key)
	}
	assert.Equal(t, 5, s.count())
}

// A load that had begun when its tag was invalidated, and whose tag nobody knew then.
func TestATagInvalidatesLoadsUnderWay(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "page"})
	s := &source{text: "old"}
	goOn := s.slow()
	began := s.began
	load := func(ctx context.Context) (string, error) {
		text, err := s.load(ctx)
		values.AddTags(ctx, values.NamedTag("x"))
		return text, err
	}
	done := make(chan string)
	go func() {
		got, err := v.Load(t.Context(), "a", load)
		assert.NoError(t, err)
		done <- got
	}()
	<-began
	s.set("new")
	require.NoError(t, values.InvalidateTags(t.Context(), b, values.NamedTag("x")))
	goOn()
	assert.Equal(t, "old", <-done, "its call began before the invalidation")
	got, err := v.Load(t.Context(), "a", load)
	require.NoError(t, err)
	assert.Equal(t, "new", got)
}

// page is a value that was made of a record.
func (b *bundle) page(t *testing.T, v *values.Values[string], key, id string) string {
	t.Helper()
	got, err := v.Load(t.Context(), key, func(ctx context.Context) (string, error) {
		rows, err := b.Table.Load(ctx, b.E, []string{id})
		if err != nil || rows[id] == nil {
			return "none", err
		}
		return rows[id][0], nil
	})
	require.NoError(t, err)
	return got
}

// A page of the database's rows is never older than a change that is over, whichever way
// the change came.
func TestEntityChangesInvalidateTheirTags(t *testing.T) {
	for _, one := range []string{"entity", "record"} {
		t.Run(one, func(t *testing.T) {
			b := setup(t)
			tag := values.EntityTag(b.E)
			if one == "record" {
				tag = values.RecordTag(b.E, "a")
			}
			v := group[string](t, b.Cache, values.Policy{Group: "page", Tags: []values.Tag{tag}})
			assert.Equal(t, "none", b.page(t, v, "p", "a"))
			b.Put(t, "a", "Ann")
			b.page(t, v, "p", "a") // loaded while the write is pending
			b.Flush(t)
			assert.Equal(t, `"Ann"`, b.page(t, v, "p", "a"), "persisted")
			n := b.Table.Loads
			b.page(t, v, "p", "a")
			assert.Equal(t, n, b.Table.Loads, "a page is cached")

			b.Table.Set("a", whole.Row("Bob", "1", "1"))
			_, err := b.Invalidate(t.Context(), b.E, []string{"a"})
			require.NoError(t, err)
			assert.Equal(t, `"Bob"`, b.page(t, v, "p", "a"), "invalidated")

			b.Table.Set("a", whole.Row("Cid", "1", "1"))
			_, err = b.InvalidateMatch(t.Context(), b.E, "nothing-cached", nil)
			require.NoError(t, err)
			assert.Equal(t, `"Cid"`, b.page(t, v, "p", "a"), "invalidated by pattern")

			barrier, err := b.Bar(t.Context(), b.E, "a", 0, time.Minute, cache.Turn{})
			require.NoError(t, err)
			b.page(t, v, "p", "a")
			b.Table.Set("a", whole.Row("Dan", "1", "1"))
			change := schema.Change{ID: "a", Version: barrier.Version, Values: whole.Row("Dan", "1", "1")}
			require.NoError(t, b.Unbar(t.Context(), barrier, &change, true))
			assert.Equal(t, `"Dan"`, b.page(t, v, "p", "a"), "written through")

			b.Put(t, "other", "x")
			n = b.Table.Loads
			b.page(t, v, "p", "a")
			assert.Equal(t, one == "entity", b.Table.Loads > n, "another record")
		})
	}
}

// A tag that a load adds is not known when it begins: the first such value of a process
// is not cached, and those after it hear of changes.
func TestAddedEntityTagsAreWatchedBeforeTheyCount(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "page"})
	load := func(ctx context.Context) (string, error) {
		read, err := b.Get(ctx, b.E, "a")
		values.AddTags(ctx, values.RecordTag(b.E, "a"))
		if read.Deleted {
			return "none", err
		}
		return read.Values[0], err
	}
	for _, want := range []values.Source{values.Missed, values.Filled, values.Hit} {
		a, err := v.Read(t.Context(), "p", load)
		require.NoError(t, err)
		assert.Equal(t, want, a.Source)
		assert.Equal(t, "none", a.Value)
	}
	b.Put(t, "a", "Ann")
	a, err := v.Read(t.Context(), "p", load)
	require.NoError(t, err)
	assert.Equal(t, `"Ann"`, a.Value)
}

// Nobody pays for tags while there are none.
func TestWritesTouchNoTagsUnlessValuesDependOnThem(t *testing.T) {
	b := setup(t)
	b.Put(t, "a", "Ann")
	b.Flush(t)
	assert.Zero(t, b.RDB.Exists(t.Context(), b.Under+":{_t}:tags").Val())
}

func TestForgottenTagsInvalidateToo(t *testing.T) {
	b := setup(t, func(_ *schema.Entity, c *cache.Config) { c.KeptTags = 50 })
	v := group[string](t, b.Cache, values.Policy{Group: "page"})
	s := &source{text: "old"}
	load := func(ctx context.Context) (string, error) {
		values.AddTags(ctx, values.NamedTag("x"))
		return s.load(ctx)
	}
	_, err := v.Load(t.Context(), "a", load)
	require.NoError(t, err)
	require.NoError(t, values.InvalidateTags(t.Context(), b, values.NamedTag("x")))
	s.set("new")
	for i := range 200 {
		require.NoError(t, values.InvalidateTags(t.Context(), b, values.NamedTag(fmt.Sprint(i))))
	}
	assert.LessOrEqual(t, b.RDB.ZCard(t.Context(), b.Under+":{_t}:tags").Val(), int64(60))
	got, err := v.Load(t.Context(), "a", load)
	require.NoError(t, err)
	assert.Equal(t, "new", got)
	require.NoError(t, b.RDB.Del(t.Context(), b.Under+":{_t}:tags").Err())
	s.set("newer")
	got, err = v.Load(t.Context(), "a", load)
	require.NoError(t, err)
	assert.Equal(t, "newer", got, "Redis has lost the tags")
}

func TestStaleIsNeverWhatATagHasInvalidated(t *testing.T) {
	b := setup(t)
	s := &source{text: "old"}
	v := group[string](t, b.Cache, values.Policy{
		Group: "s", TTL: 5 * time.Millisecond, Stale: time.Minute, StaleOnError: time.Minute,
		Tags: []values.Tag{values.NamedTag("x")},
	})
	_, err := v.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	s.set("new")
	testkit.Eventually(t, "the value is stale", func() bool {
		a, err := v.Read(t.Context(), "a", s.load)
		return err == nil && a.Source == values.Stale
	})
	s.fail(context.DeadlineExceeded) // for a refresh, too, that begins after the invalidation
	require.NoError(t, values.InvalidateTags(t.Context(), b, values.NamedTag("x")))
	_, err = v.Load(t.Context(), "a", s.load)
	require.Error(t, err)
	s.fail(nil)
	got, err := v.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	assert.Equal(t, "new", got)
}

// watched waits until every partition tells of its changes for that long from now.
func (b *bundle) watched(t *testing.T, life time.Duration) {
	t.Helper()
	for i := range b.E.Partitions {
		till, err := b.RDB.HGet(t.Context(), b.StatsKey(i), "w").Int64()
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Until(time.UnixMilli(till)), life, "partition %d", i)
	}
}

// Changes reach a value as long as it lives: its load may take a while, and may keep it
// for longer than the policy does.
func TestChangesReachAValueToItsEnd(t *testing.T) {
	b := setup(t)
	p := values.Policy{Group: "long", TTL: time.Hour, LoadTimeout: 10 * time.Minute,
		Tags: []values.Tag{values.EntityTag(b.E)}}
	_, err := group[string](t, b.Cache, p).Load(t.Context(), "a", (&source{text: "a"}).load)
	require.NoError(t, err)
	b.watched(t, time.Hour+9*time.Minute)

	p.Group, p.TTL, p.LoadTimeout = "longer", time.Minute, time.Minute
	a, err := group[string](t, b.Cache, p).Read(t.Context(), "a", func(ctx context.Context) (string, error) {
		values.KeepFor(ctx, 5*time.Hour)
		return "a", nil
	})
	require.NoError(t, err)
	assert.Equal(t, values.Filled, a.Source)
	b.watched(t, 5*time.Hour)
}

// A value has at most MaxValueTags tags, each counted once, those of the policy included;
// one with more is returned, and loaded again.
func TestTagsOfAValueAreBounded(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Tags: []values.Tag{values.NamedTag("policy")}})
	for _, tt := range []struct {
		added int
		hit   bool
	}{{values.MaxTags - 1, true}, {values.MaxTags, false}} {
		loads := 0
		for range 2 {
			_, err := v.Load(t.Context(), fmt.Sprint(tt.added), func(ctx context.Context) (string, error) {
				loads++
				for n := range tt.added {
					values.AddTags(ctx, values.NamedTag(fmt.Sprint(n)))
					values.AddTags(ctx, values.NamedTag(fmt.Sprint(n)), values.NamedTag("policy"))
				}
				return "x", nil
			})
			require.NoError(t, err)
		}
		require.Equal(t, tt.hit, loads == 1, tt.added)
	}
}
