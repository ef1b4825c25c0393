package pending_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// What Redis remembers of letters tells what became of their records; what it does not
// remember tells nothing, whatever is cached.
func TestFates(t *testing.T) {
	b := setup(t)
	const id = "a"
	partition := b.E.Partition(id)
	v := b.Put(t, id, "x")
	letter := []schema.Versioned{{ID: id, Version: v}}
	fate := func(want pending.Fate, of ...schema.Versioned) {
		t.Helper()
		told, err := b.Fates(t.Context(), b.E, partition, append(of, letter...)[:1])
		require.NoError(t, err)
		require.Equal(t, want, told[0].Fate)
	}
	fate(pending.FateWaits)
	fate(pending.FateLost, schema.Versioned{ID: "nobody", Version: v})
	fate(pending.FateLost, schema.Versioned{ID: id, Version: v + 1}) // Redis went back to an older copy
	noted, err := b.Remember(t.Context(), b.E, partition, append(letter, schema.Versioned{ID: id, Version: v - 1}))
	require.NoError(t, err)
	require.Equal(t, []bool{true, false}, noted)
	b.KillAll(t)
	fate(pending.FateWaits)
	_, _, err = b.Retry(t.Context(), b.E, partition, letter)
	require.NoError(t, err)
	fate(pending.FateWaits)
	b.Flush(t)
	fate(pending.FatePersisted)
	n, err := b.Invalidate(t.Context(), b.E, []string{id})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	fate(pending.FatePersisted)
	require.Greater(t, b.Got(t, id).Version, v, "a fill takes a version, too")
	fate(pending.FatePersisted)
	b.Put(t, id, "y")
	fate(pending.FatePersisted)
	b.Flush(t)
	fate(pending.FatePersisted)

	require.NoError(t, b.Forget(t.Context(), b.E, partition, []schema.Versioned{{ID: id, Version: v + 1}}))
	fate(pending.FatePersisted)
	require.NoError(t, b.Forget(t.Context(), b.E, partition, letter))
	fate(pending.FateLost)
	b.Put(t, id, "z")
	fate(pending.FateSuperseded) // a newer write that waits needs no memory
}

// A letter that was sent back and whose version a newer write replaced before it was acked
// was never persisted, whatever is cached when somebody looks.
func TestTheFateOfALetterThatWasOvertaken(t *testing.T) {
	b := setup(t)
	const id = "a"
	partition := b.E.Partition(id)
	letter := []schema.Versioned{{ID: id, Version: b.Put(t, id, "x")}}
	b.KillAll(t)
	_, _, err := b.Retry(t.Context(), b.E, partition, letter)
	require.NoError(t, err)
	read := b.DueIn(t, partition)
	b.Put(t, id, "y")
	_, err = b.Ack(t.Context(), b.E, partition, read, b.Commit(read)) // too late
	require.NoError(t, err)
	b.Flush(t)
	for range 2 {
		told, err := b.Fates(t.Context(), b.E, partition, letter)
		require.NoError(t, err)
		require.Equal(t, pending.FateGone, told[0].Fate)
		_, err = b.Invalidate(t.Context(), b.E, []string{id})
		require.NoError(t, err)
	}
	require.NoError(t, b.Forget(t.Context(), b.E, partition, letter))
	require.Empty(t, b.RDB.SMembers(t.Context(), strings.TrimSuffix(b.StatsKey(partition), "stats")+"letters").Val())
}

// The mark of a letter outlives it where its record is acked after all letters were
// resolved. A late ack counts nothing for it.
func TestALateAckOfARecordThatHadALetter(t *testing.T) {
	b := setup(t, func(e *schema.Entity, _ *cache.Config) { e.Partitions = 1 })
	letter := []schema.Versioned{{ID: "a", Version: b.Put(t, "a", "x")}}
	b.KillAll(t)
	_, _, err := b.Retry(t.Context(), b.E, 0, letter)
	require.NoError(t, err)
	require.NoError(t, b.Forget(t.Context(), b.E, 0, letter))
	read := b.DueIn(t, 0)
	changes := b.Commit(read)
	n, err := b.Ack(t.Context(), b.E, 0, read, changes)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	b.Put(t, "b", "y")
	b.KillAll(t) // a letter of another record
	n, err = b.Ack(t.Context(), b.E, 0, read, changes)
	require.NoError(t, err)
	require.Zero(t, n)
	b.Total(t)
}

// A record that is listed as dead, and is not there, is lost and has not moved on.
func TestTheFateOfADeadRecordThatIsGone(t *testing.T) {
	b := setup(t)
	const id = "a"
	partition := b.E.Partition(id)
	letter := []schema.Versioned{{ID: id, Version: b.Put(t, id, "x")}}
	b.KillAll(t)
	require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey(id)).Err())
	told, err := b.Fates(t.Context(), b.E, partition, letter)
	require.NoError(t, err)
	require.Equal(t, pending.FateLost, told[0].Fate)
}

// Each letter of a record is remembered for itself: the end of one tells nothing of others.
func TestLettersOfOneRecordAreRememberedEach(t *testing.T) {
	b := setup(t)
	const id = "a"
	partition := b.E.Partition(id)
	var letters []schema.Versioned
	for range 2 {
		letters = append(letters, schema.Versioned{ID: id, Version: b.Put(t, id, "x")})
		b.KillAll(t)
	}
	b.Put(t, id, "y")
	b.Flush(t)
	require.NoError(t, b.Forget(t.Context(), b.E, partition, letters[1:]))
	told, err := b.Fates(t.Context(), b.E, partition, letters)
	require.NoError(t, err)
	require.Equal(t, []pending.Fate{pending.FateGone, pending.FateLost}, []pending.Fate{told[0].Fate, told[1].Fate})

	b.Put(t, id, "z") // and then Redis loses the record
	require.NoError(t, b.RDB.Del(t.Context(), b.RecordKey(id)).Err())
	lost, err := b.Drop(t.Context(), b.E, partition, []string{id})
	require.NoError(t, err)
	require.Equal(t, 1, lost)
	told, err = b.Fates(t.Context(), b.E, partition, letters[:1])
	require.NoError(t, err)
	require.Equal(t, pending.FateLost, told[0].Fate)
}
