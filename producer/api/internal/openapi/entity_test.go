package openapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// What an entity's writes refuse is not offered.
func TestOnlyWritesBehindTakeOperationIDs(t *testing.T) {
	t.Parallel()
	for mode, offered := range map[schema.WriteMode]bool{schema.WriteBehind: true, schema.WriteThrough: false,
		schema.WriteAround: false} {
		e := &schema.Entity{Name: "order", Write: mode, Fields: []schema.Field{{Name: "n", Type: schema.Int}}}
		require.NoError(t, e.Init())
		text, err := json.Marshal(entityPaths(e))
		require.NoError(t, err)
		require.Equal(t, offered, strings.Contains(string(text), "/Idempotency-Key"), mode)
	}
}
