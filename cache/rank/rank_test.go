package rank_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// byCount ranks the users of a test by their count, in three partitions.
func byCount(e *schema.Entity, _ *cache.Config) { e.RankBy, e.Partitions = "count", 3 }

// ranks are the places that records with these values have.
func ranks(e *schema.Entity, by rank.By, records map[string]schema.Values) []rank.Place {
	var places []rank.Place
	for id, v := range records {
		if n, err := strconv.ParseFloat(v[2], 64); err == nil {
			places = append(places, rank.Place{ID: id, Score: n})
		}
	}
	slices.SortFunc(places, func(a, b rank.Place) int {
		if c := cmp.Compare(b.Score, a.Score); c != 0 || by == rank.ByBytes || e.ID.Type != schema.Int {
			return cmp.Or(c, strings.Compare(a.ID, b.ID))
		}
		left, _ := strconv.ParseInt(a.ID, 10, 64)
		right, _ := strconv.ParseInt(b.ID, 10, 64)
		return cmp.Compare(left, right)
	})
	for i := range places {
		places[i].Rank = int64(i) + 1
	}
	return places
}

// requireRanks compares everything that can be read of a rank with what it should be.
func (b *bundle) requireRanks(t *testing.T, r *rand.Rand, want []rank.Place) {
	t.Helper()
	got, total, err := b.Top(t.Context(), b.E, rank.Max)
	require.NoError(t, err)
	require.EqualValues(t, len(want), total)
	require.Equal(t, want, append([]rank.Place(nil), got...))
	if len(want) == 0 {
		return
	}
	n := r.IntN(len(want)+2) + 1
	got, _, err = b.Top(t.Context(), b.E, n)
	require.NoError(t, err)
	require.Equal(t, want[:min(n, len(want))], got)

	at := r.IntN(len(want))
	from := max(0, min(at-(n-1)/2, len(want)-n))
	got, total, err = b.Around(t.Context(), b.E, want[at].ID, n)
	require.NoError(t, err)
	require.EqualValues(t, len(want), total)
	require.Equal(t, want[from:min(len(want), from+n)], got, "%d around place %d of %d", n, at+1, len(want))
}

// TestRankModel does random things to records and compares the rank with a map. The rank is rebuilt in either order of
// the ids, as it is beside processes of an older build and after they have ended.
func TestRankModel(t *testing.T) {
	texts := []string{"a", "b", "B", "ba", "é", "~", "10", "9", "z", "zz", "𝄞", "a b"}
	ints := []string{"0", "1", "9", "10", "11", "-1", "-9", "-10", "100", "-100", "9223372036854775807",
		"-9223372036854775808"}
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			m := &rankModel{r: testkit.Random(t), ids: texts, by: rank.ByValues, now: map[string]schema.Values{}}
			m.bundle = setup(t, byCount, func(e *schema.Entity, _ *cache.Config) {
				if i%2 == 1 {
					e.ID.Type, m.ids = schema.Int, ints
				}
			})
			m.rebuild(t)
			for range 150 {
				m.step(t)
				if m.r.IntN(4) == 0 {
					m.requireRanks(t, m.r, ranks(m.E, m.by, m.now))
				}
			}
			m.Flush(t)
			m.requireRanks(t, m.r, ranks(m.E, m.by, m.now))
			m.Total(t)
		})
	}
}

type rankModel struct {
	*bundle
	r   *rand.Rand
	ids []string
	by  rank.By                  // of the last rebuild
	now map[string]schema.Values // the newest accepted state
}

// rebuild rebuilds the rank in an order that it draws, in pages between which records are written.
func (m *rankModel) rebuild(t *testing.T) {
	by, pages := rank.By(m.r.IntN(2) == 0), m.Table.Pages(3)
	require.NoError(t, m.Rebuild(t.Context(), m.E, by, func(ctx context.Context, after string) ([]schema.Row, error) {
		id, score := m.ids[m.r.IntN(len(m.ids))], m.score()
		require.NoError(t, m.Loading(t, cache.Write{Op: cache.OpPut, ID: id, Values: whole.Row("n", "1", score)}).Err)
		m.now[id] = whole.Row("n", "1", score)
		if m.r.IntN(2) == 0 {
			m.Flush(t)
			m.Evict(t, id)
			m.Got(t, id) // a fill
		}
		return pages(ctx, after)
	}, nil))
	m.by = by
	complete, err := m.Complete(t.Context(), m.E, by)
	require.NoError(t, err)
	require.True(t, complete)
	complete, err = m.Complete(t.Context(), m.E, !by)
	require.NoError(t, err)
	require.Equal(t, !rank.Ordered(m.E), complete)
}

// score is drawn from few values, so that ties are common, and from the extremes.
func (m *rankModel) score() string {
	switch m.r.IntN(8) {
	case 0:
		return "null"
	case 1:
		return strconv.Itoa((1<<53 - 1) - m.r.IntN(2))
	case 2:
		return strconv.Itoa(-(1<<53 - 1) + m.r.IntN(2))
	}
	return strconv.Itoa(m.r.IntN(5) - 2)
}

func (m *rankModel) step(t *testing.T) {
	id := m.ids[m.r.IntN(len(m.ids))]
	score := m.score()
	old, exists := m.now[id]
	switch m.r.IntN(12) {
	case 0, 1, 2:
		require.NoError(t, m.Loading(t, cache.Write{Op: cache.OpPut, ID: id, Values: whole.Row("n", "1", score)}).Err)
		m.now[id] = whole.Row("n", "1", score)
	case 3:
		got := m.Loading(t, cache.Write{Op: cache.OpPatch, ID: id, Values: schema.Values{"", "", score}})
		if exists {
			require.NoError(t, got.Err)
			m.now[id] = schema.Values{old[0], old[1], score}
		}
	case 4:
		got := m.Loading(t, cache.Write{Op: cache.OpPatch, ID: id, Values: schema.Values{`"other"`, "", ""}})
		require.Equal(t, exists, got.Err == nil)
	case 5, 6:
		got := m.Loading(t, cache.Write{Op: cache.OpIncrement, ID: id,
			Deltas: []cache.Delta{{Field: 2, By: int64(m.r.IntN(5) - 2)}}})
		if got.Err == nil {
			m.now[id] = schema.Values{old[0], old[1], got.Values[2]}
		}
	case 7:
		got := m.Loading(t, cache.Write{Op: cache.OpDelete, ID: id})
		require.Equal(t, exists, got.Err == nil)
		delete(m.now, id)
	case 8:
		m.Flush(t)
	case 9:
		m.Evict(t, id)
	case 10:
		m.change(t, id, score)
	case 11:
		m.lose(t)
	}
}

// change changes a row in the database past everything, and says so.
func (m *rankModel) change(t *testing.T, id, score string) {
	m.Flush(t)
	if score == "null" {
		m.Table.Set(id, nil)
		delete(m.now, id)
	} else {
		m.Table.Set(id, whole.Row("direct", "1", score))
		m.now[id] = whole.Row("direct", "1", score)
	}
	_, err := m.Invalidate(t.Context(), m.E, []string{id})
	require.NoError(t, err)
}

// lose drops the rank, and what else is persisted, as a Redis that came back empty has.
func (m *rankModel) lose(t *testing.T) {
	if m.r.IntN(3) > 0 {
		m.rebuild(t) // beside what is pending
		return
	}
	for i := range m.E.Partitions {
		base := strings.TrimSuffix(m.StatsKey(i), "stats")
		require.NoError(t, m.RDB.Del(t.Context(), base+"rank").Err())
		require.NoError(t, m.RDB.HDel(t.Context(), base+"stats", "k").Err())
	}
	_, _, err := m.Top(t.Context(), m.E, 1)
	require.ErrorIs(t, err, rank.ErrIncomplete)
	m.rebuild(t)
}

// TestRankOfOlderBuild: a process of an older build puts the id itself into a rank by values when it reads a record.
func TestRankOfOlderBuild(t *testing.T) {
	b := setup(t, byCount, func(e *schema.Entity, _ *cache.Config) { e.ID.Type = schema.Int })
	b.Table.Set("9", whole.Row("n", "1", "5"))
	b.Table.Set("10", whole.Row("n", "1", "5"))
	b.RebuildRank(t)
	places, _, err := b.Top(t.Context(), b.E, 2)
	require.NoError(t, err)
	require.Equal(t, []rank.Place{{Rank: 1, ID: "9", Score: 5}, {Rank: 2, ID: "10", Score: 5}}, places)
	key := strings.TrimSuffix(b.StatsKey(b.E.Partition("9")), "stats") + "rank"
	require.NoError(t, b.RDB.ZAdd(t.Context(), key, redis.Z{Score: -5, Member: "9"}).Err())
	_, _, err = b.Top(t.Context(), b.E, 2)
	require.ErrorIs(t, err, rank.ErrIncomplete)
	complete, err := b.Complete(t.Context(), b.E, rank.ByValues)
	require.NoError(t, err)
	require.False(t, complete)
	b.RebuildRank(t)
	_, total, err := b.Top(t.Context(), b.E, 2)
	require.NoError(t, err)
	require.EqualValues(t, 2, total)
}

// TestRebuildMeanwhile lets something happen to a record between the moment in which a
// rebuild reads its row and the moment in which the row arrives. In each case a rebuild
// that just adds rows would rank the record by what it was.
func TestRebuildMeanwhile(t *testing.T) {
	const id = "ada"
	put := func(t *testing.T, b *bundle, score string) {
		t.Helper()
		require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpPut, ID: id, Values: whole.Row("n", "1", score)}).Err)
	}
	remove := func(t *testing.T, b *bundle) {
		t.Helper()
		require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpDelete, ID: id}).Err)
	}
	leave := func(t *testing.T, b *bundle) { b.Flush(t); b.Evict(t, id) }
	for name, tt := range map[string]struct {
		before, meanwhile func(*testing.T, *bundle)
		want              string // the score in the end, "" unranked
	}{
		"nothing":                    {nil, nil, "1"},
		"written":                    {nil, func(t *testing.T, b *bundle) { put(t, b, "5") }, "5"},
		"written and gone":           {nil, func(t *testing.T, b *bundle) { put(t, b, "5"); leave(t, b) }, "5"},
		"deleted":                    {nil, remove, ""},
		"deleted and gone":           {nil, func(t *testing.T, b *bundle) { remove(t, b); leave(t, b) }, ""},
		"scored null and gone":       {nil, func(t *testing.T, b *bundle) { put(t, b, "null"); leave(t, b) }, ""},
		"pending before":             {func(t *testing.T, b *bundle) { put(t, b, "5") }, nil, "5"},
		"pending before, then gone":  {func(t *testing.T, b *bundle) { put(t, b, "5") }, leave, "5"},
		"deleted before, then gone":  {remove, leave, ""},
		"unscored before, then gone": {func(t *testing.T, b *bundle) { put(t, b, "null") }, leave, ""},
		"held before": {func(t *testing.T, b *bundle) { put(t, b, "5"); b.HoldAll(t, time.Hour) }, nil,
			"5"},
		"changed in the database": {nil, func(t *testing.T, b *bundle) {
			b.Table.Set(id, whole.Row("direct", "1", "5"))
			_, err := b.Invalidate(t.Context(), b.E, []string{id})
			require.NoError(t, err)
		}, "5"},
		"changed in the database and read": {nil, func(t *testing.T, b *bundle) {
			b.Table.Set(id, whole.Row("direct", "1", "5"))
			_, err := b.Invalidate(t.Context(), b.E, []string{id})
			require.NoError(t, err)
			b.Got(t, id)
			b.Evict(t, id)
		}, "5"},
		"written through": {nil, func(t *testing.T, b *bundle) {
			bar, err := b.Bar(t.Context(), b.E, id, 0, time.Minute, cache.Turn{})
			require.NoError(t, err)
			v := whole.Row("through", "1", "5")
			b.Table.Set(id, v)
			require.NoError(t, b.Unbar(t.Context(), bar, &schema.Change{ID: id, Values: v}, false))
		}, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, byCount)
			b.Table.Set(id, whole.Row("n", "1", "1"))
			if tt.before != nil {
				tt.before(t, b)
			}
			page := b.Table.Pages(10)
			read := func(ctx context.Context, after string) ([]schema.Row, error) {
				rows, err := page(ctx, after)
				if after == "" && tt.meanwhile != nil {
					tt.meanwhile(t, b)
				}
				return rows, err
			}
			err := b.Rebuild(t.Context(), b.E, rank.ByValues, read, nil)
			require.NoError(t, err)
			got, _, err := b.Around(t.Context(), b.E, id, 1)
			if tt.want == "" {
				require.ErrorIs(t, err, rank.ErrUnranked)
				return
			}
			require.NoError(t, err)
			score, _ := strconv.ParseFloat(tt.want, 64)
			require.Equal(t, []rank.Place{{Rank: 1, ID: id, Score: score}}, got)
		})
	}
}

// TestRebuildUnderWrites rebuilds again and again while writers, a flusher and evictions
// are at work: in the end the rank is that of the records.
func TestRebuildUnderWrites(t *testing.T) {
	b := setup(t, byCount)
	const ids = 60
	for i := range ids {
		b.Table.Set(fmt.Sprint("p", i), whole.Row("n", "1", strconv.Itoa(i%7)))
	}
	b.RebuildRank(t)
	var stop atomic.Bool
	var all sync.WaitGroup
	seed := testkit.Random(t).Uint64()
	for w := range 4 {
		r := rand.New(rand.NewPCG(seed, uint64(w)))
		all.Go(func() {
			for !stop.Load() {
				b.anyWrite(fmt.Sprint("p", r.IntN(ids)), r)
			}
		})
	}
	all.Go(func() {
		r := rand.New(rand.NewPCG(seed, 9))
		for !stop.Load() {
			b.Flush(t)
			for range ids / 2 {
				b.Evict(t, fmt.Sprint("p", r.IntN(ids)))
			}
		}
	})
	rebuilds := 0
	for end := time.Now().Add(testkit.ChaosTime(t, 2*time.Second)); time.Now().Before(end); rebuilds++ {
		b.RebuildRank(t)
		_, _, err := b.Top(t.Context(), b.E, 10)
		require.NoError(t, err, "the old rank answers until the new one is there")
	}
	stop.Store(true)
	all.Wait()
	b.Flush(t)
	t.Logf("%d rebuilds", rebuilds)
	b.requireRanks(t, testkit.Random(t), ranks(b.E, rank.ByValues, b.Table.Copy()))
}

func (b *bundle) anyWrite(id string, r *rand.Rand) {
	score := strconv.Itoa(r.IntN(9))
	w := []cache.Write{
		{Op: cache.OpPut, ID: id, Values: whole.Row("n", "1", score)},
		{Op: cache.OpPatch, ID: id, Values: schema.Values{"", "", score}},
		{Op: cache.OpIncrement, ID: id, Deltas: []cache.Delta{{Field: 2, By: 1}}},
		{Op: cache.OpDelete, ID: id},
	}[r.IntN(4)]
	for range 2 {
		g := &cache.Group{Entity: b.E, Partition: b.E.Partition(id), Writes: []cache.Write{w}}
		b.Write(context.Background(), g)
		if g.Results[0].Token == "" {
			return
		}
		rows, _ := b.Table.Load(context.Background(), b.E, []string{id})
		v, ok := rows[id]
		w.Row, w.Token = &schema.Row{ID: id, Exists: ok, Values: v}, g.Results[0].Token
	}
}

// TestRebuildOvertaken shows that of two rebuilds the later wins, and that one which was
// stopped for too long gives up: what it did not hear of meanwhile it cannot know.
func TestRebuildOvertaken(t *testing.T) {
	b := setup(t, byCount)
	b.Table.Set("a", whole.Row("n", "1", "1"))
	page := b.Table.Pages(1)
	once := sync.OnceFunc(func() { b.RebuildRank(t) })
	err := b.Rebuild(t.Context(), b.E, rank.ByValues, func(ctx context.Context, after string) ([]schema.Row, error) {
		once()
		return page(ctx, after)
	}, nil)
	require.ErrorIs(t, err, rank.ErrRebuildLost)

	late := sync.OnceFunc(func() {
		for i := range b.E.Partitions {
			require.NoError(t, b.RDB.HSet(t.Context(), b.StatsKey(i), "ku", "1").Err())
		}
	})
	err = b.Rebuild(t.Context(), b.E, rank.ByValues, func(ctx context.Context, after string) ([]schema.Row, error) {
		late()
		return page(ctx, after)
	}, nil)
	require.ErrorIs(t, err, rank.ErrRebuildLost)
	b.requireRanks(t, testkit.Random(t), ranks(b.E, rank.ByValues, b.Table.Copy()))
}

// TestWhatMakesARankIncomplete shows each thing after which a rank may lack records.
func TestWhatMakesARankIncomplete(t *testing.T) {
	complete := func(t *testing.T, b *bundle) bool {
		t.Helper()
		ok, err := b.Complete(t.Context(), b.E, rank.ByValues)
		require.NoError(t, err)
		return ok
	}
	b := setup(t, byCount)
	require.NoError(t, b.Adopt(t.Context(), b.E))
	require.False(t, complete(t, b), "before the first rebuild")
	b.Put(t, "a", "n")
	require.False(t, complete(t, b), "a write completes nothing")
	b.RebuildRank(t)
	require.True(t, complete(t, b))
	b.Put(t, "a", "n")
	require.True(t, complete(t, b))

	ours := b.E
	for _, other := range []string{"", "age"} {
		theirs := *ours
		theirs.RankBy = other
		b.E = &theirs
		b.Put(t, "a", "n")
		b.E = ours
		require.False(t, complete(t, b), "after a write of a process that ranks by %q", other)
		b.RebuildRank(t)
	}

	b.Flush(t)
	var many []string
	for i := range 4000 {
		many = append(many, fmt.Sprint(i))
	}
	_, err := b.Invalidate(t.Context(), b.E, many)
	require.NoError(t, err)
	require.False(t, complete(t, b), "after more changed rows than are worth reading one by one")
	b.RebuildRank(t)

	b.E.Partitions = 2
	require.NoError(t, b.Adopt(t.Context(), b.E))
	require.False(t, complete(t, b), "after another number of partitions")
	b.RebuildRank(t)
	b.requireRanks(t, testkit.Random(t), ranks(b.E, rank.ByValues, b.Table.Copy()))
}

// TestRankOfWritesThroughInEveryOrder lets two writes of a record through the database end
// in every way and order. The rank is the row's as soon as none is under way.
func TestRankOfWritesThroughInEveryOrder(t *testing.T) {
	const id = "ada"
	for _, keep := range []bool{true, false} {
		for _, secondCommits := range []bool{true, false} {
			for _, order := range []string{"first, second", "second, first", "second alone", "first alone", "neither"} {
				t.Run(fmt.Sprint(keep, secondCommits, order), func(t *testing.T) {
					b := setup(t, byCount)
					b.Table.Set(id, whole.Row("n", "1", "1"))
					b.RebuildRank(t)
					bar := func() cache.Barrier {
						barrier, err := b.Bar(t.Context(), b.E, id, 0, time.Minute, cache.Turn{})
						require.NoError(t, err)
						return barrier
					}
					commit := func(score string) *schema.Change {
						v := whole.Row("n", "1", score)
						b.Table.Set(id, v)
						return &schema.Change{ID: id, Values: v}
					}
					one, first := bar(), commit("2")
					two := bar()
					var second *schema.Change
					if secondCommits {
						second = commit("3")
					}
					ends := map[string]func(){
						"first":  func() { require.NoError(t, b.Unbar(t.Context(), one, first, keep)) },
						"second": func() { require.NoError(t, b.Unbar(t.Context(), two, second, keep)) },
					}
					for _, name := range strings.Split(order, ", ") {
						if end := ends[strings.TrimSuffix(name, " alone")]; end != nil {
							end()
						}
					}
					b.RDB.HDel(t.Context(), b.RecordKey(id), "_b") // a barrier that was left ends by itself
					b.requireRanks(t, testkit.Random(t), ranks(b.E, rank.ByValues, b.Table.Copy()))
				})
			}
		}
	}
}

// TestRankOfFloats shows that a float ranks exactly, the negative and the greatest too.
func TestRankOfFloats(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) {
		e.Fields, e.RankBy = []schema.Field{{Name: "x", Type: schema.Float}}, "x"
	})
	b.RebuildRank(t)
	scores := []float64{math.MaxFloat64, 1e21, 1.5, math.Nextafter(1, 2), 1, math.SmallestNonzeroFloat64, 0, -1e-300,
		-1, -math.MaxFloat64}
	for i, s := range scores {
		text, err := b.E.Fields[0].Encode(s)
		require.NoError(t, err)
		got, _ := b.Send(t, cache.Write{Op: cache.OpPut, ID: string(rune('z' - i)), Values: schema.Values{text}})
		require.NoError(t, got.Err)
	}
	got, _, err := b.Top(t.Context(), b.E, 100)
	require.NoError(t, err)
	for i, s := range scores {
		require.Equal(t, rank.Place{Rank: int64(i) + 1, ID: string(rune('z' - i)), Score: s}, got[i])
	}
}

// TestScoresAreBoundedToWhatRanksExactly shows the bound that keeps ranks exact: a score
// beyond 2^53 is refused, whether it is put or reached.
func TestScoresAreBoundedToWhatRanksExactly(t *testing.T) {
	b := setup(t, byCount)
	require.NoError(t, b.Loading(t, cache.Write{Op: cache.OpPut, ID: "a",
		Values: whole.Row("n", "1", "9007199254740991")}).Err)
	got := b.Loading(t, cache.Write{Op: cache.OpIncrement, ID: "a", Deltas: []cache.Delta{{Field: 2, By: 1}}})
	require.ErrorIs(t, got.Err, schema.ErrInvalid)
	_, err := b.E.Fields[2].Canonical([]byte("9007199254740992"))
	require.Error(t, err)

	e := &schema.Entity{Name: "p", RankBy: "n", Fields: []schema.Field{{Name: "n", Type: schema.Int,
		Max: "9223372036854775807"}}}
	require.ErrorContains(t, e.Init(), "ranks the records")
}

func TestRankWithRedisDown(t *testing.T) {
	b := setup(t, byCount)
	b.RebuildRank(t)
	b.Faults.Inject(testkit.Refuse, testkit.Script(t, "rank"), testkit.Always())
	_, _, err := b.Top(t.Context(), b.E, 1)
	require.ErrorIs(t, err, schema.ErrUnavailable)
}

func BenchmarkRank(b *testing.B) {
	const records = 100_000
	server := testkit.SharedRedis(b)
	c, err := cache.New(cache.Config{URL: server.URL(), Prefix: testkit.Prefix(b)})
	require.NoError(b, err)
	defer func() { _ = c.Close() }()
	e := testkit.Entity(b, "player")
	require.NoError(b, rank.New(c).Rebuild(b.Context(), e, rank.ByValues, func(_ context.Context,
		after string) ([]schema.Row, error) {
		from := 0
		if after != "" {
			from, _ = strconv.Atoi(after)
			from++
		}
		var rows []schema.Row
		for i := from; i < min(records, from+1000); i++ {
			rows = append(rows, schema.Row{ID: fmt.Sprintf("%06d", i), Exists: true,
				Values: schema.Values{`"n"`, strconv.Itoa(i % 1000)}})
		}
		return rows, nil
	}, nil))
	b.Run("top 10", func(b *testing.B) {
		for b.Loop() {
			_, _, err := rank.New(c).Top(b.Context(), e, 10)
			require.NoError(b, err)
		}
	})
	b.Run("around 5", func(b *testing.B) {
		for b.Loop() {
			_, _, err := rank.New(c).Around(b.Context(), e, "050000", 5)
			require.NoError(b, err)
		}
	})
}
