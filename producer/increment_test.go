package producer

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

func TestDeltas(t *testing.T) {
	e := &schema.Entity{Name: "account", Fields: []schema.Field{{Name: "name", Type: schema.String},
		{Name: "score", Type: schema.Float}, {Name: "logins", Type: schema.Int, Min: "0", Max: "100"}}}
	require.NoError(t, e.Init())
	faults := func(err error) (names []string) {
		var invalid *schema.InvalidError
		require.ErrorAs(t, err, &invalid)
		for _, f := range invalid.Fields {
			names = append(names, f.Field)
		}
		return names
	}
	deltas, err := Deltas(e, schema.Fields{"logins": json.RawMessage("-9223372036854775808")})
	require.NoError(t, err)
	require.Equal(t, []cache.Delta{{Field: 2, By: math.MinInt64}}, deltas,
		"the field's bounds are for the sum, not for the addend")

	two := &schema.Entity{Name: "two", Fields: []schema.Field{{Name: "b", Type: schema.Int},
		{Name: "a", Type: schema.Int}}}
	require.NoError(t, two.Init())
	deltas, err = Deltas(two, schema.Fields{"a": 1, "b": json.RawMessage("2")})
	require.NoError(t, err)
	require.Equal(t, []cache.Delta{{Field: 0, By: 2}, {Field: 1, By: 1}}, deltas, "in the order of the fields")

	_, err = Deltas(e, nil)
	require.Equal(t, []string{"fields"}, faults(err))
	_, err = Deltas(e, schema.Fields{"logins": nil, "score": 1, "nope": 1})
	require.Equal(t, []string{"logins", "nope", "score"}, faults(err))
	_, err = Deltas(e, schema.Fields{"logins": json.RawMessage("9223372036854775808")})
	require.ErrorContains(t, err, "logins is beyond 64 bits")
	_, err = Deltas(e, schema.Fields{"logins": json.RawMessage("1.5")})
	require.ErrorContains(t, err, "logins must be a whole number")
}
