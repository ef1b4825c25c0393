package process

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// Every state that two sides can be in, a pairing that was cut off between its steps
// included.
func TestCompare(t *testing.T) {
	t.Parallel()
	a1, a2, b1 := schema.Pairing{Deployment: "a", Life: "1"}, schema.Pairing{Deployment: "a", Life: "2"},
		schema.Pairing{Deployment: "b", Life: "1"}
	begun := schema.Pairing{Deployment: "a"} // by the database alone
	for name, c := range map[string]struct {
		sides sides
		want  outcome
		fails string
	}{
		"paired":       {sides: sides{redis: a1, database: a1}, want: same},
		"never paired": {sides: sides{}, want: first},
		"upgraded":     {sides: sides{persisted: true}, want: first},
		"upgraded, another database": {sides: sides{persisted: true, acked: "user"},
			fails: "persisted records of user"},
		"cut off before Redis":           {sides: sides{database: begun}, want: first},
		"cut off before Redis, upgraded": {sides: sides{database: begun, persisted: true}, want: first},
		"cut off after Redis":            {sides: sides{redis: a1, database: begun}, want: confirmed},
		"cut off, and another Redis":     {sides: sides{redis: b1, database: begun}, fails: "deployment b"},
		"a new database":                 {sides: sides{redis: a1}, fails: "another database"},
		"another deployment":             {sides: sides{redis: b1, database: a1}, fails: "deployment b"},
		"emptied":                        {sides: sides{database: a1}, want: emptied},
		"an older build's Redis":         {sides: sides{database: a1, persisted: true}, fails: "never paired"},
		"emptied, by one that keeps nothing": {sides: sides{database: a1, persisted: true, forgetful: true},
			want: emptied},
		"exchanged for another of its lives":    {sides: sides{redis: a2, database: a1}, want: exchanged},
		"put back to the life before this life": {sides: sides{redis: a1, database: a2}, want: exchanged},
	} {
		got, err := c.sides.compare()
		if c.fails != "" {
			require.ErrorIs(t, err, schema.ErrUnpaired, name)
			require.ErrorContains(t, err, c.fails, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}
