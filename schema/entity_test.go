package schema_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// account is an entity with a field of every type.
func account(t testing.TB) *schema.Entity {
	t.Helper()
	e := &schema.Entity{
		Name: "account",
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, MaxLength: 20, Required: true},
			{Name: "bio", Type: schema.Text},
			{Name: "logins", Type: schema.Int, Default: "0", Min: "0"},
			{Name: "score", Type: schema.Float},
			{Name: "balance", Type: schema.Decimal, Default: `"7.5"`},
			{Name: "active", Type: schema.Bool, Default: "true", Required: true},
			{Name: "joined", Type: schema.Time},
			{Name: "profile", Type: schema.JSON},
			{Name: "avatar", Type: schema.Bytes},
			{Name: "token", Type: schema.UUID},
		},
	}
	require.NoError(t, e.Init())
	return e
}

func TestInitFillsDefaults(t *testing.T) {
	e := &schema.Entity{Name: "user", Fields: []schema.Field{
		{Name: "price", Type: schema.Decimal, Default: `"1"`, Unique: true},
		{Name: "rate", Type: schema.Decimal, Precision: 9},
	}}
	require.NoError(t, e.Init())
	require.Equal(t, "user", e.Table)
	require.Equal(t, schema.ID{Column: "id", Type: schema.String, Max: 255}, e.ID)
	require.Equal(t, schema.WriteBehind, e.Write)
	require.Equal(t, 16, e.Partitions)
	require.Equal(t, schema.FlushPolicy{Batch: 500, MaxPending: 1_000_000, Queue: "default"}, e.Flush)
	require.Equal(t, schema.CachePolicy{TTL: time.Hour, NegativeTTL: 30 * time.Second}, e.Cache)
	require.Equal(t, schema.DefaultRetryPolicy(), e.Retry)
	require.Equal(t, "price", e.Fields[0].Column)
	require.Equal(t, []int{38, 2}, []int{e.Fields[0].Precision, e.Fields[0].Scale})
	require.Equal(t, `"1.00"`, e.Fields[0].Default, "a default is canonical")
	require.Equal(t, []int{9, 0}, []int{e.Fields[1].Precision, e.Fields[1].Scale})
	require.Equal(t, "uq_user_price", e.UniqueKeys()[0].Index)

	i, ok := e.Field("rate")
	require.True(t, ok)
	require.Equal(t, 1, i)
	_, ok = e.Field("id")
	require.False(t, ok)
}

// A setting that is given stays when its neighbours take their defaults.
func TestInitFillsOneRetrySettingAtATime(t *testing.T) {
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "f", Type: schema.Int}}}
	e.Retry.Base = time.Hour
	e.Retry.Jitter = schema.JitterNone
	require.NoError(t, e.Init())
	want := schema.DefaultRetryPolicy()
	want.Base, want.Cap, want.Jitter = time.Hour, time.Hour, schema.JitterNone
	require.Equal(t, want, e.Retry)
}

func TestInitRefuses(t *testing.T) {
	long := strings.Repeat("x", schema.MaxNameBytes+1)
	field := func(f schema.Field) func(*schema.Entity) {
		return func(e *schema.Entity) { e.Fields[0] = f }
	}
	for reason, spoil := range map[string]func(*schema.Entity){
		`entity "User": a name is`:      func(e *schema.Entity) { e.Name = "User" },
		`entity "": a name is`:          func(e *schema.Entity) { e.Name = "" },
		`table: "` + long + `" is not`:  func(e *schema.Entity) { e.Table = long },
		`table: "a\x00" is not`:         func(e *schema.Entity) { e.Table = "a\x00" },
		`id.column: "\n" is not`:        func(e *schema.Entity) { e.ID.Column = "\n" },
		`id.type: "float" is not`:       func(e *schema.Entity) { e.ID.Type = schema.Float },
		`id.max must be from 1 to 1024`: func(e *schema.Entity) { e.ID.Max = 1025 },
		`fields: there must be from 1`:  func(e *schema.Entity) { e.Fields = nil },
		`fields: there must be from 1 `: func(e *schema.Entity) { e.Fields = make([]schema.Field, 500+1) },
		`write: "behnd" is not`:         func(e *schema.Entity) { e.Write = "behnd" },
		`partitions must be from 1`:     func(e *schema.Entity) { e.Partitions = schema.MaxPartitions + 1 },
		`partitions must be from 1 `:    func(e *schema.Entity) { e.Partitions = -1 },
		`flush.batch must be`:           func(e *schema.Entity) { e.Flush.Batch = schema.MaxFlushBatch + 1 },
		`flush.delay must be`:           func(e *schema.Entity) { e.Flush.Delay = -1 },
		`flush.max_pending must be`:     func(e *schema.Entity) { e.Flush.MaxPending = -1 },
		`flush.max_pending must be `:    func(e *schema.Entity) { e.Flush.MaxPending = math.MaxInt },
		`flush.queue: a name is`:        func(e *schema.Entity) { e.Flush.Queue = "a b" },
		`cache.ttl must be`:             func(e *schema.Entity) { e.Cache.TTL = time.Millisecond },
		`cache.jitter must be`:          func(e *schema.Entity) { e.Cache.Jitter = 1.1 },
		`cache.jitter must be `:         func(e *schema.Entity) { e.Cache.Jitter = math.NaN() },
		`cache.negative_ttl must be`:    func(e *schema.Entity) { e.Cache.NegativeTTL = time.Microsecond },
		`retry.base must be from 1ms`:   func(e *schema.Entity) { e.Retry.Base = 1 },
		`fields.f is there twice`:       func(e *schema.Entity) { e.Fields = append(e.Fields, e.Fields[0]) },
		`column "F" is also that of f`: func(e *schema.Entity) {
			e.Fields = append(e.Fields, schema.Field{Name: "g", Column: "F", Type: schema.Int})
		},
		`column "ID" is also that of id`: field(schema.Field{Name: "f", Column: "ID", Type: schema.Int}),
		`rank.by: "nope" is not`:         func(e *schema.Entity) { e.RankBy = "nope" },
		`fields.limit: a name is`:        field(schema.Field{Name: "limit", Type: schema.Int}),
		`fields.F: a name is`:            field(schema.Field{Name: "F", Type: schema.Int}),
		`column: "` + long + `" is not`:  field(schema.Field{Name: "f", Column: long, Type: schema.Int}),
		`type: "integer" is not one of`:  field(schema.Field{Name: "f", Type: "integer"}),
		`precision and scale are for`:    field(schema.Field{Name: "f", Type: schema.Int, Scale: 1}),
		`precision must be from 1`:       field(schema.Field{Name: "f", Type: schema.Decimal, Precision: 2, Scale: 3}),
		`max: a length is for`:           field(schema.Field{Name: "f", Type: schema.Int, MaxLength: 1}),
		`min: "a" does not bound`:        field(schema.Field{Name: "f", Type: schema.Int, Min: "a"}),
		`max: "1" does not bound`:        field(schema.Field{Name: "f", Type: schema.String, Max: "1"}),
		`min: 2 is greater than max 1`:   field(schema.Field{Name: "f", Type: schema.Int, Min: "2", Max: "1"}),
		`default: is too large`:          field(schema.Field{Name: "f", Type: schema.Int, Max: "1", Default: "2"}),
		`unique: texts of json`:          field(schema.Field{Name: "f", Type: schema.JSON, Unique: true}),
		`unique: the index's name`: field(schema.Field{Name: "f", Column: long[1:], Type: schema.Int,
			Unique: true}),
	} {
		e := &schema.Entity{Name: "thing", Fields: []schema.Field{{Name: "f", Type: schema.Int}}}
		spoil(e)
		require.ErrorContains(t, e.Init(), strings.TrimSpace(reason), reason)
	}
}

func TestInitTakesARank(t *testing.T) {
	e := &schema.Entity{Name: "player", RankBy: "score", Fields: []schema.Field{{Name: "score", Type: schema.Float}}}
	require.NoError(t, e.Init())
	e = &schema.Entity{Name: "player", RankBy: "score", Fields: []schema.Field{{Name: "score", Type: schema.String}}}
	require.ErrorContains(t, e.Init(), "is not an int or float field")
}

func TestIntBounds(t *testing.T) {
	for _, c := range []struct {
		min, max  string
		low, high int64
	}{
		{"", "", math.MinInt64, math.MaxInt64},
		{"0", "150", 0, 150},
		{"-1.5", "1.5", -1, 1},
		{"0.2", "1e3", 1, 1000},
		{"-9223372036854775808", "9223372036854775807", math.MinInt64, math.MaxInt64},
		{"-9223372036854775807.5", "9223372036854775806.5", math.MinInt64 + 1, math.MaxInt64 - 1},
		{"-1e30", "1e30", math.MinInt64, math.MaxInt64},
	} {
		f := initialised(t, schema.Field{Type: schema.Int, Min: c.min, Max: c.max})
		low, high := f.IntBounds()
		require.Equal(t, []int64{c.low, c.high}, []int64{low, high}, "min %s max %s", c.min, c.max)
	}
}

func TestPartition(t *testing.T) {
	e := account(t)
	counts := make([]int, e.Partitions)
	for i := range 16_000 {
		p := e.Partition(strings.Repeat("k", i%7) + string(rune('a'+i%26)) + time.Duration(i).String())
		counts[p]++
	}
	for p, n := range counts {
		require.InDelta(t, 1000, n, 200, "partition %d", p)
	}
	// The number is stored in Redis and in the database: it never changes.
	require.Equal(t, []int{4, 11, 9}, []int{e.Partition("1"), e.Partition("日本"), e.Partition("")})
}

func TestPartitionLimit(t *testing.T) {
	for _, c := range []struct{ maxPending, partitions, want int }{
		{1_000_000, 16, 78_125}, {1, 16, 1}, {16, 16, 2}, {100, 1, 125}, {3, 2, 2},
		{1_000_000_000, 1, 1_250_000_000},
	} {
		e := &schema.Entity{Partitions: c.partitions, Flush: schema.FlushPolicy{MaxPending: c.maxPending}}
		require.Equal(t, c.want, e.PartitionLimit(), "%d over %d", c.maxPending, c.partitions)
	}
}

// An entity of which Init was forgotten says so, where it would divide by no partitions.
func TestReady(t *testing.T) {
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.EqualError(t, e.Ready(),
		`entity "user" is not complete: call its Init, once, before anything else is given it`)
	require.PanicsWithError(t, e.Ready().Error(), func() { e.Partition("1") })
	require.EqualError(t, (*schema.Entity)(nil).Ready(), "an entity is nil")
	require.EqualError(t, (*schema.Entity)(nil).Init(), "an entity is nil")
	require.NoError(t, e.Init())
	require.NoError(t, e.Ready())
	require.NotPanics(t, func() { e.Partition("1") })
}
