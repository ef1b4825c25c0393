package worker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The model of two records that swap a unique value, each in a partition of its own: a flusher of each partition, two
// workers that persist both together, and writes meanwhile. Every order of their steps is tried, and each may crash
// before each step; a lost reply is a crash after it. That a Redis goes back is the subject of TestI3OlderRedisModel,
// for each partition by itself.
type (
	exchangeState struct {
		written [2]byte // the newest accepted version of each record
		pending [2]bool
		row     [2]byte // the version in the database
		holder  [2]byte // of each fence: 0 free, else actor + 1
		writes  byte    // that may still be accepted
		actors  [4]exchangeActor
	}
	exchangeActor struct {
		step, runs byte
		read       [2]byte // versions; 0: none
	}
	// exchangeRules are the conditions under test.
	exchangeRules struct {
		ordered bool // fences are locked in ascending order
		behind  bool // records are read when both are locked
		own     bool // each record is acked by the version that was read
	}
)

// exchangeValues are the values that the versions of each record have, from that of version 1 on: they swap them,
// the second gives the circle up, the first goes on.
var exchangeValues = [2]string{"abc", "bab"}

func (s exchangeState) unique() bool {
	return exchangeValues[0][s.row[0]-1] != exchangeValues[1][s.row[1]-1]
}

// partitions are those of an actor, in the order in which it locks them: of a flusher one.
func (r exchangeRules) partitions(actor int) []int {
	switch {
	case actor < 2:
		return []int{actor}
	case r.ordered || actor == 2:
		return []int{0, 1}
	}
	return []int{1, 0}
}

// next returns every state that one step leads to. It is a deadlock if nothing but a crash ends a wait for a fence.
func (r exchangeRules) next(s exchangeState) (states []exchangeState, fault string) {
	add := func(change func(*exchangeState)) {
		to := s
		change(&to)
		for p := range to.row {
			if to.row[p] < s.row[p] {
				fault = "a row moved back"
			}
			if !to.pending[p] && to.row[p] < to.written[p] {
				fault = "an accepted write was acked that is not in the database"
			}
		}
		states = append(states, to)
	}
	waits := false
	for i, a := range s.actors {
		before := len(states)
		r.act(s, i, add)
		waits = waits || a.step > 0 && len(states) == before
	}
	if waits && len(states) == 0 {
		return nil, "a deadlock"
	}
	for i, a := range s.actors {
		if a.step > 0 {
			add(func(to *exchangeState) { to.end(i) })
		}
	}
	for p, version := range s.written {
		if s.writes > 0 && int(version) < len(exchangeValues[p]) {
			add(func(to *exchangeState) {
				to.writes--
				to.written[p], to.pending[p] = version+1, true
			})
		}
	}
	return states, fault
}

// end undoes what an actor has not committed, and lets go of its fences.
func (s *exchangeState) end(actor int) {
	s.actors[actor] = exchangeActor{runs: s.actors[actor].runs}
	for p, holder := range s.holder {
		if holder == byte(actor+1) {
			s.holder[p] = 0
		}
	}
}

// act adds the next step of an actor: it begins, locks each fence, reads each record, commits, and acks each record.
func (r exchangeRules) act(s exchangeState, i int, add func(func(*exchangeState))) {
	a, partitions := s.actors[i], r.partitions(i)
	n := len(partitions)
	step, locks, reads := int(a.step)-1, 0, n
	if !r.behind {
		locks, reads = n, 0
	}
	onward := func(to *exchangeState) { to.actors[i].step++ }
	switch {
	case step < 0:
		if a.runs > 0 {
			add(func(to *exchangeState) { to.actors[i] = exchangeActor{step: 1, runs: a.runs - 1} })
		}
	case step >= locks && step < locks+n:
		if p := partitions[step-locks]; s.holder[p] == 0 {
			add(func(to *exchangeState) { to.holder[p] = byte(i + 1); onward(to) })
		}
	case step >= reads && step < reads+n:
		add(func(to *exchangeState) {
			if p := partitions[step-reads]; s.pending[p] {
				to.actors[i].read[p] = s.written[p]
			}
			onward(to)
		})
	case step == 2*n:
		add(func(to *exchangeState) {
			missing := false
			for _, p := range partitions {
				to.row[p], missing = a.read[p], missing || a.read[p] == 0
			}
			if missing || !to.unique() {
				to.row = s.row
				to.end(i)
				return
			}
			to.end(i)
			to.actors[i] = exchangeActor{step: a.step + 1, runs: a.runs, read: a.read}
		})
	default:
		add(func(to *exchangeState) {
			p := partitions[step-2*n-1]
			if onward(to); step == 3*n {
				to.end(i)
			}
			if a.read[p] > 0 && s.pending[p] && (!r.own || a.read[p] == s.written[p]) {
				to.pending[p] = false
			}
		})
	}
}

func (r exchangeRules) explore() (visited int, fault string, swapped bool) {
	start := exchangeState{written: [2]byte{1, 1}, row: [2]byte{1, 1}, writes: 4}
	start.actors = [4]exchangeActor{{runs: 2}, {runs: 2}, {runs: 2}, {runs: 2}}
	seen, todo := map[exchangeState]bool{start: true}, []exchangeState{start}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		swapped = swapped || s.row == [2]byte{2, 2} && s.pending == [2]bool{}
		states, fault := r.next(s)
		if fault != "" {
			return len(seen), fault, swapped
		}
		for _, to := range states {
			if !seen[to] {
				seen[to] = true
				todo = append(todo, to)
			}
		}
	}
	return len(seen), "", swapped
}

// TestI3ExchangeModel tries every order of steps, and that each condition is needed.
func TestI3ExchangeModel(t *testing.T) {
	t.Parallel()
	all := exchangeRules{ordered: true, behind: true, own: true}
	visited, fault, swapped := all.explore()
	t.Logf("%d states", visited)
	require.Empty(t, fault)
	require.True(t, swapped)
	for want, without := range map[string]func(r *exchangeRules){
		"a deadlock":       func(r *exchangeRules) { r.ordered = false },
		"a row moved back": func(r *exchangeRules) { r.behind = false },
		"an accepted write was acked that is not in the database": func(r *exchangeRules) { r.own = false },
	} {
		rules := all
		without(&rules)
		_, fault, _ := rules.explore()
		require.Equal(t, want, fault)
	}
}
