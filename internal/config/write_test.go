package config

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// TestWriteIsRead writes the entities of the example, and one with every setting, and reads
// them back as they were.
func TestWriteIsRead(t *testing.T) {
	example, err := LoadBuiltin(nil)
	require.NoError(t, err)
	attempts, base, factor, limit, jitter := 20, 2*time.Second, 1.5, time.Minute, schema.JitterNone
	whole := &schema.Entity{
		Name: "order", Table: "shop.orders", ID: schema.ID{Column: "no", Type: schema.String, Max: 64}, Partitions: 4,
		Write: schema.WriteThrough, RankBy: "n",
		Flush: schema.FlushPolicy{Batch: 7, Delay: 1500 * time.Millisecond, MaxPending: 10, Queue: "slow"},
		Cache: schema.CachePolicy{TTL: 90 * time.Second, Jitter: 0.25, NegativeTTL: time.Second},
		Fields: []schema.Field{
			{Name: "n", Column: "limit", Type: schema.Int, Min: "-5", Max: "9", Default: "3", Required: true},
			{Name: "sum", Type: schema.Decimal, Precision: 10, Scale: 2, Default: `"0.50"`, Min: "0"},
			{Name: "note", Type: schema.String, MaxLength: 20, Unique: true, Redact: true, Default: `"a \"b\" # c"`},
			{Name: "parent", Type: schema.Text, References: "user"},
			{Name: "extra", Type: schema.JSON, Default: `{"a":[1]}`},
			{Name: "open", Type: schema.Bool, Default: "true"},
			{Name: "at", Type: schema.Time, Unique: true, UniqueWhere: `"open" = true`},
			{Name: "milli", Type: schema.Time, Precision: 3}, {Name: "whole", Type: schema.Time, Precision: schema.WholeSeconds},
		},
		Unique: [][]string{{"n", "sum"}, {"note", "parent", "at"}},
		Retry: schema.RetryPolicy{MaxAttempts: 3, Base: time.Second, Factor: 2.5, Cap: time.Hour,
			Jitter: schema.JitterEqual, Timeout: 5 * time.Second,
			On: map[schema.Kind]schema.RetryOverride{schema.KindForeignKey: {MaxAttempts: &attempts, Base: &base,
				Factor: &factor, Cap: &limit, Jitter: &jitter}}},
	}
	require.NoError(t, whole.Init())
	keyed := &schema.Entity{Name: "line", Cache: schema.CachePolicy{Jitter: 0.1},
		ID:     schema.ID{Columns: []string{"tenant_id", "id"}, Type: schema.Int, Max: 50},
		Fields: []schema.Field{{Name: "n", Type: schema.Int}}}
	require.NoError(t, keyed.Init())
	want := append(example.Entities, whole, keyed)
	var text bytes.Buffer
	require.NoError(t, Write(&text, "shop", want))
	file := filepath.Join(t.TempDir(), "afterwrite.yaml")
	require.NoError(t, os.WriteFile(file, text.Bytes(), 0o600))
	got, err := Load(file, nil)
	require.NoError(t, err, text.String())
	require.Equal(t, "shop", got.Redis.Prefix)
	require.Equal(t, map[string]int{"default": 1, "slow": 1}, got.Worker.Queues)
	require.Equal(t, want, got.Entities)
}
