package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// sequence is that of a table in memory.
type sequence struct {
	last atomic.Int64
	err  error
}

func (s *sequence) Draw(_ context.Context, _ *schema.Entity, n int) ([]string, error) {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.FormatInt(s.last.Add(1), 10)
	}
	return ids, s.err
}

// counting is a producer of an entity whose ids a sequence makes.
func counting(t *testing.T) (*bundle, *sequence) {
	t.Helper()
	from := &sequence{}
	return setup(t, func(e *schema.Entity, cfg *producer.Config) {
		e.ID = schema.ID{Column: "id", Type: schema.Int, Made: schema.MadeSequence, Max: 255}
		cfg.Sequences = from
	}), from
}

// A create without an id takes the sequence's next number, and its repeat the same, while the
// database is away, too.
func TestCreateTakesTheSequencesNumber(t *testing.T) {
	b, from := counting(t)
	create := producer.Request{Op: cache.OpCreate, Entity: "user", Fields: schema.Fields{"name": "x"}}
	seen := map[string]bool{}
	for range 5 {
		a, err := b.Do(t.Context(), create)
		require.NoError(t, err)
		seen[a.ID] = true
	}
	keyed := create
	keyed.Key = "k"
	first, err := b.Do(t.Context(), keyed)
	require.NoError(t, err)
	seen[first.ID] = true
	requests := make([]producer.Request, 100)
	for i := range requests {
		requests[i] = create
	}
	for _, r := range b.DoAll(t.Context(), requests) {
		require.NoError(t, r.Err)
		seen[r.ID] = true
	}
	require.Len(t, seen, 106)
	for id := range seen {
		require.NotNil(t, b.fields(t, id), id)
	}

	from.err = errors.New("down")
	for range 2000 { // what is left of the block
		if _, err = b.Do(t.Context(), create); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, schema.ErrDatabaseUnavailable)
	again, err := b.Do(t.Context(), keyed)
	require.NoError(t, err)
	require.True(t, again.Again)
	require.Equal(t, first.ID, again.ID)
	keyed.Key = "other"
	_, err = b.Do(t.Context(), keyed)
	require.ErrorIs(t, err, schema.ErrDatabaseUnavailable)
	b.conserved(t)
}

// A number that a row has already is passed over; a sequence far behind its rows is named.
func TestNumbersThatRowsHave(t *testing.T) {
	b, _ := counting(t)
	rows := func(from, to int) {
		b.table.mu.Lock()
		defer b.table.mu.Unlock()
		for i := from; i <= to; i++ {
			b.table.rows[fmt.Sprint(i)] = schema.Values{`"row"`, "null", "null", "0", "null"}
		}
	}
	rows(1, 5)
	create := producer.Request{Op: cache.OpCreate, Entity: "user", Fields: schema.Fields{"name": "x"}}
	a, err := b.Do(t.Context(), create)
	require.NoError(t, err)
	assert.Equal(t, "6", a.ID)
	rows(7, 9)
	results := b.DoAll(t.Context(), []producer.Request{create, create})
	require.NoError(t, results[0].Err)
	require.NoError(t, results[1].Err)
	require.NotEqual(t, results[0].ID, results[1].ID)
	rows(10, 200)
	_, err = b.Do(t.Context(), create)
	require.ErrorIs(t, err, schema.ErrNoID)
	require.ErrorContains(t, err, "set it beyond the largest id")
	given := create
	given.ID = "100"
	_, err = b.Do(t.Context(), given)
	require.ErrorIs(t, err, schema.ErrExists, "an id that the caller gave is the caller's")
	b.conserved(t)
}
