package store_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// TestI3ReadAheadCountsOnlyAlone: what was read before the lock is written only if nobody
// has committed meanwhile; else the batch is read again.
func TestI3ReadAheadCountsOnlyAlone(t *testing.T) {
	t.Parallel()
	url, e := testkit.SQLite(t), account(t)
	first, second := setup(t, url, []*schema.Entity{e}), open(t, url, []*schema.Entity{e})
	state, reads := 1, 0
	flush := func(meanwhile func()) {
		due := func() []schema.Change {
			read := put("a", email(1), strconv.Itoa(state))
			reads++
			return []schema.Change{read}
		}
		look, err := first.Look(t.Context(), e, 0)
		require.NoError(t, err)
		require.True(t, look.Useful())
		changes := due()
		meanwhile()
		f, err := first.Begin(t.Context(), e, 0)
		require.NoError(t, err)
		defer f.Rollback()
		if !f.Follows(look) {
			changes = due()
		}
		_, err = f.Write(t.Context(), changes)
		require.NoError(t, err)
		require.NoError(t, f.Commit(t.Context()))
		require.Equal(t, schema.Values{email(1), strconv.Itoa(state)}, first.load(e, "a")["a"])
	}
	flush(func() {})
	require.Equal(t, 1, reads, "nobody was there")
	reads = 0
	flush(func() {
		state = 2
		second.flush(e, put("a", email(1), "2"))
	})
	require.Equal(t, 2, reads, "another had committed")
	reads = 0
	flush(func() {
		_, err := second.Flush(t.Context(), e, 1, batch(put("b", email(2), "1")))
		require.NoError(t, err)
	})
	require.Equal(t, 1, reads, "another partition's fence is none of its business")
}

// The model of one record, one partition and its fence: what Redis and the database have,
// and how far two flushers and a write-through have come. Every order of their steps is
// tried, each flusher may crash before each, and any reply may be lost, which is a crash
// after the step.
type (
	aheadState struct {
		newest, row byte // version in Redis; in the database
		pending     bool
		fence       byte // transactions that held it and committed
		holder      byte // of its lock: 0 nobody, else who + 1
		writes      byte // that are still to be accepted
		who         [3]aheadFlusher
	}
	aheadFlusher struct {
		step        byte
		fence, read byte // what it saw; read 0: nothing is due
		runs        byte // flushes that it may still begin
	}
	// aheadRules are the conditions under test.
	aheadRules struct {
		check     bool // an early read counts only if the fence is as it was
		lookFirst bool // and the look at the fence comes before the read
	}
)

// aheadNever is what no fence is at.
const aheadNever = 255

// Steps of a flusher.
const (
	aheadIdle = iota
	aheadLooked
	aheadWaits
	aheadLocked
	aheadCommitted
	aheadThrough // a write-through that holds the lock
)

// next returns every state that one step leads to, and whether a row has moved back.
func (r aheadRules) next(s aheadState) (states []aheadState, back bool) {
	add := func(change func(*aheadState)) {
		to := s
		change(&to)
		back = back || to.row < s.row
		states = append(states, to)
	}
	if s.writes > 0 {
		add(func(to *aheadState) { to.newest, to.pending, to.writes = s.newest+1, true, s.writes-1 })
	}
	due := func() byte {
		if s.pending {
			return s.newest
		}
		return 0
	}
	for i, f := range s.who {
		set := func(to *aheadState, step byte) { to.who[i].step = step }
		if f.step != aheadIdle {
			add(func(to *aheadState) { // a crash: the database undoes what was not committed
				if to.who[i] = (aheadFlusher{runs: f.runs}); s.holder == byte(i+1) {
					to.holder = 0
				}
			})
		}
		switch f.step {
		case aheadIdle:
			if f.runs > 0 {
				// a flush that does not read ahead: what it reads counts only behind the lock
				add(func(to *aheadState) {
					set(to, aheadWaits)
					to.who[i].runs--
					to.who[i].fence = aheadNever
				})
				add(func(to *aheadState) {
					set(to, aheadLooked)
					to.who[i].runs--
					if to.who[i].fence = s.fence; !r.lookFirst {
						to.who[i].read = due()
					}
				})
			}
			if i == 2 && s.holder == 0 && !s.pending && s.writes > 0 { // one that found nothing pending behind its lock
				add(func(to *aheadState) { set(to, aheadThrough); to.holder = byte(i + 1) })
			}
		case aheadLooked:
			add(func(to *aheadState) {
				set(to, aheadWaits)
				if r.lookFirst {
					to.who[i].read = due()
				} else {
					to.who[i].fence = s.fence
				}
			})
		case aheadWaits:
			if s.holder == 0 {
				add(func(to *aheadState) {
					set(to, aheadLocked)
					to.holder = byte(i + 1)
					if (r.check || f.fence == aheadNever) && f.fence != s.fence {
						to.who[i].read = due()
					}
				})
			}
		case aheadLocked:
			add(func(to *aheadState) {
				to.holder = 0
				if f.read == 0 {
					set(to, aheadIdle)
					return
				}
				set(to, aheadCommitted)
				to.row, to.fence = f.read, s.fence+1
			})
		case aheadCommitted: // the ack
			add(func(to *aheadState) {
				set(to, aheadIdle)
				if s.pending && s.newest == f.read {
					to.pending = false
				}
			})
		case aheadThrough:
			add(func(to *aheadState) {
				set(to, aheadIdle)
				to.holder = 0
				if s.writes > 0 && !s.pending { // else it goes behind
					to.newest, to.row, to.writes, to.fence = s.newest+1, s.newest+1, s.writes-1, s.fence+1
				}
			})
		}
	}
	return states, back
}

// explore visits every state that can be reached, and reports whether a row moved back.
func (r aheadRules) explore() (visited int, back bool) {
	start := aheadState{writes: 3}
	start.who[0].runs, start.who[1].runs, start.who[2].runs = 2, 2, 1
	seen := map[aheadState]bool{start: true}
	for todo := []aheadState{start}; len(todo) > 0 && !back; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		var states []aheadState
		states, back = r.next(s)
		for _, to := range states {
			if !seen[to] {
				seen[to] = true
				todo = append(todo, to)
			}
		}
	}
	return len(seen), back
}

// TestI3ReadAheadModel tries every order of steps, and that each condition is needed.
func TestI3ReadAheadModel(t *testing.T) {
	t.Parallel()
	visited, back := aheadRules{check: true, lookFirst: true}.explore()
	require.False(t, back)
	t.Logf("%d states", visited)
	for name, rules := range map[string]aheadRules{
		"without the look at the fence": {lookFirst: true},
		"with the look after the read":  {check: true},
	} {
		_, back := rules.explore()
		require.True(t, back, name)
	}
}
