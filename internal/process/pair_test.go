package process

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
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

// A process whose redis.url names another Redis, empty or of another life, does not take the database from the
// processes that serve: what they have accepted would be taken for older than what it flushes. Where none serves it
// does. A process whose own Redis is emptied goes on at once.
func TestNoDatabaseIsTakenFromARedisInUse(t *testing.T) {
	onOlder(t, func(t *testing.T, b *olderBench) {
		b.put("a", 1)
		require.NoError(t, b.flush(1))
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		defer serving.Wait()
		defer cancel()
		serving.Go(func() {
			for ctx.Err() == nil {
				if held, err := b.Cache.Pairing(ctx); err == nil {
					b.answerInUse(ctx, held, "host/1/x")
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		pair, _, err := b.Sides(t.Context())
		require.NoError(t, err)
		server := testkit.Redis(t)
		client := server.Client(t)
		defer func() { _ = client.Close() }()
		other := joinOlder(t, b.Config.Database.URL, server.URL(), client)
		other.Config.Worker.PollInterval = time.Minute // it waits for an answer as long as it takes
		err = other.CheckPairing(t.Context())
		require.ErrorIs(t, err, schema.ErrUnpaired)
		require.ErrorContains(t, err, "host/1/x")
		require.ErrorIs(t, other.Paired(t.Context()), schema.ErrUnpaired, "of commands and doctor")
		_, err = other.Cache.Pair(t.Context(), schema.Pairing{}, schema.Pairing{Deployment: pair.Deployment, Life: "k"})
		require.NoError(t, err)
		require.ErrorIs(t, other.CheckPairing(t.Context()), schema.ErrUnpaired, "one of another life")
		_, stored, err := b.Sides(t.Context())
		require.NoError(t, err)
		require.Equal(t, pair, stored)
		losses, err := b.Losses(t.Context(), b.Config.Entities)
		require.NoError(t, err)
		require.Empty(t, losses)

		mine := b.server.Client(t)
		require.NoError(t, mine.FlushAll(t.Context()).Err())
		require.NoError(t, mine.Close())
		b.Config.Worker.PollInterval = time.Hour // a question would take as long
		require.NoError(t, b.CheckPairing(t.Context()))

		cancel()
		serving.Wait()
		other.Config.Worker.PollInterval = 0
		require.NoError(t, other.CheckPairing(t.Context()))
		held, stored, err := other.Sides(t.Context())
		require.NoError(t, err)
		require.Equal(t, held, stored)
	})
}
