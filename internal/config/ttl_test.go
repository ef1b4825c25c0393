package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/schema"
)

func loadText(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "afterwrite.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return config.Load(file, nil)
}

func TestTTLPolicies(t *testing.T) {
	c, err := loadText(t, `
entities:
  product:
    cache:
      ttl: product
      changed_by: updated_at
      adaptive: [{older_than: 24h, ttl: static}, {older_than: 6h, ttl: 30m}, {ttl: 5m}]
      l1: {bytes: 16MiB, age: 10s}
    fields: {updated_at: {type: time}}
ttl_classes: {static: 24h, product: 30m, session: 2h, live: 5s}
`)
	require.NoError(t, err)
	got := c.Entities[0].Cache
	assert.Equal(t, 30*time.Minute, got.TTL)
	assert.Equal(t, schema.L1{Bytes: 16 << 20, Age: 10 * time.Second}, got.L1)
	assert.Equal(t, []schema.AgedTTL{
		{OlderThan: 24 * time.Hour, TTL: 24 * time.Hour}, {OlderThan: 6 * time.Hour, TTL: 30 * time.Minute},
		{TTL: 5 * time.Minute},
	}, got.Adaptive)
}

func TestBadTTLPoliciesNameTheirFault(t *testing.T) {
	const fields = "    fields: {updated_at: {type: time}, name: {type: string}}\n"
	for cache, want := range map[string]string{
		"{ttl: produkt}":                            `"produkt" is no class; the ttl_classes are product, static`,
		"{ttl: product, adaptiv: 1}":                "is not a setting",
		"{adaptive: 5m}":                            "must be a list",
		"{adaptive: [{ttl: 5m}]}":                   "adaptive needs one",
		"{adaptive: [{ttl: 5m}], changed_by: name}": "not a time field",
		"{adaptive: [{older_than: 1h, ttl: 5m}], changed_by: updated_at}":                                       "the last step, and it alone",
		"{adaptive: [{older_than: 1h, ttl: 5m}, {older_than: 2h, ttl: 5m}, {ttl: 1m}], changed_by: updated_at}": "older_than must fall",
		"{changed_by: updated_at}": "adaptive, which is not set",
		"{l1: {bytes: 10}}":        "cache.l1.bytes: must be 0 or at least",
	} {
		_, err := loadText(t, "ttl_classes: {product: 30m, static: 24h}\nentities:\n  product:\n    cache: "+cache+"\n"+
			fields)
		require.ErrorIs(t, err, config.ErrInvalid, cache)
		assert.ErrorContains(t, err, want, cache)
	}
	_, err := loadText(t, "entities:\n  product:\n    cache: {ttl: x}\n"+fields)
	assert.ErrorContains(t, err, "there are no ttl_classes")
}
