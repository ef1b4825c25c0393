package layout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

func TestAdaptiveTTL(t *testing.T) {
	e := schema.Entity{
		Name:   "product",
		Fields: []schema.Field{{Name: "name", Type: schema.String}, {Name: "updated_at", Type: schema.Time}},
		Cache: schema.CachePolicy{ChangedBy: "updated_at", Adaptive: []schema.AgedTTL{
			{OlderThan: 24 * time.Hour, TTL: time.Hour}, {OlderThan: 6 * time.Hour, TTL: 30 * time.Minute},
			{TTL: 5 * time.Minute},
		}},
	}
	require.NoError(t, e.Init())
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for changed, want := range map[string]time.Duration{
		`"2026-11-22T11:59:59Z"`: time.Hour,
		`"2026-11-23T05:59:59Z"`: 30 * time.Minute,
		`"2026-11-23T11:00:00Z"`: 5 * time.Minute,
		`"2027-01-01T00:00:00Z"`: 5 * time.Minute,
		"null":                   5 * time.Minute,
	} {
		assert.Equal(t, want, ttl(&e, schema.Values{`"x"`, changed}, now), changed)
	}
}
