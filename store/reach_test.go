package store_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The model of one record and its partition, whose Redis may be put back to a copy of itself at
// any moment: two flushers, one of which may read
// ahead, a write through, and a process that repairs an
// older Redis. Every order of their steps is tried, and each may crash before each step; a lost
// reply is a crash after it. Contents are numbered as they were accepted.
type (
	turnRedis struct {
		last                    byte // version given last
		notes                   turnNotesOf
		acked                   turnOf // that an ack has told to be committed: a database without it went back
		version, content, since byte   // of the record; the version at which it became pending
		pending                 bool
		tokens                  [2]turnToken // of a read ahead of the lock, and behind it
	}
	turnNotesOf struct{ before, last byte } // turns that are noted
	turnOf      struct{ number, id byte }
	turnToken   struct{ listed, read byte } // the read that has listed last; and that has read a record
	turnState   struct {
		redis, copy   turnRedis
		copied, went  bool
		returns       byte // times that the copy may still be put back
		writes, given byte // that may still be accepted; contents accepted
		clock         byte // the newest version that was ever given
		row           byte // the content in the database
		turn, id      byte // of the fence, and of the transaction that committed last
		reach         turnReach
		holder        byte // of its lock: 0 nobody, else actor + 1
		who           [4]turnActor
	}
	turnActor struct {
		step, seen       byte
		split            bool // its second transaction was refused
		before, id       byte // the turn before its own, and that
		number           byte // of its turn
		notes            turnNotesOf
		reach            turnReach
		version, content byte // what it read, or writes; version 0: nothing
		persisted        bool // the verdict
		runs             byte
	}
	// turnReach is what a flush leaves in the fence: a record that is pending since before or
	// earlier was read, at a version not below it; none that is pending since a time after last
	// was read; newest is the newest that was read.
	turnReach struct{ before, last, version, newest byte }
	// turnRules are the conditions under test.
	turnRules struct {
		setBack bool // the clock is set back whenever Redis is: versions go on from the last
		check   bool // a flush writes nothing if the turn before its own is not noted
		before  bool // the turn is noted before it is committed, not after
		ack     bool // nothing is acked if the turn of its flush is not noted
		lock    bool // the repairer holds the fence when it reads the reach
		behind  bool // a turn is noted behind the lock, not by who reads ahead of it
		after   bool // and after the read
		token   bool // only where Redis has what was read
		ids     bool // a turn has an id beside its number
		breaks  bool // who has repaired breaks the reads that are under way
		doubt   bool // where the clock was set back a record is compared with its row
		part    byte // what the second flusher is: see turnWhole
		keeps   bool // a flush of only some records leaves the version of the reach with the time that it is of
		own     bool // an ack is of the turn that was committed, not of the one that was noted last
	}
)

// Actors.
const (
	turnFlusher  = 0 // and 1
	turnThrough  = 2
	turnRepairer = 3
)

// Steps.
const (
	turnIdle = iota
	turnLooked
	turnListed
	turnWaits
	turnLocked
	turnLists
	turnNotes
	turnRead
	turnCommitted
	turnJudge
	turnYield
	turnLockAgain
	turnRepaired
)

// What the second flusher is: a flush of what is due; of some records alone, as those that
// exchange unique values with records of other partitions: of the model's record, or of others;
// a flush of what is due that leaves out the model's record, because the database refuses it; or a
// flush in two transactions, of which COMMIT refuses the second.
const (
	turnWhole = iota
	turnSome
	turnOthers
	turnRefused
	turnSplit
)

// turnFault is what must never happen.
type turnFault string

// next returns every state that one step leads to.
func (r turnRules) next(s turnState) (states []turnState, fault turnFault) {
	add := func(change func(*turnState)) {
		to := s
		change(&to)
		if to.row < s.row {
			fault = "a row moved back"
		}
		to.forget()
		states = append(states, to)
	}
	if s.writes > 0 {
		add(func(to *turnState) { r.accept(to, true) })
	}
	if !s.copied {
		add(func(to *turnState) { to.copy, to.copied = s.redis, true })
	}
	if s.copied && s.returns > 0 {
		add(func(to *turnState) { to.redis, to.went, to.returns = s.copy, true, s.returns-1 })
	}
	for i, a := range s.who {
		if a.step != turnIdle {
			add(func(to *turnState) { // a crash: the database undoes what was not committed
				if to.who[i] = (turnActor{runs: a.runs}); s.holder == byte(i+1) {
					to.holder = 0
				}
			})
		}
		step := r.flush
		switch i {
		case turnThrough:
			step = r.through
		case turnRepairer:
			step = r.repair
		}
		if found := step(s, i, add); found != "" {
			fault = found
		}
	}
	return states, fault
}

// forget drops what no later step looks at, so that states that differ in nothing else are one:
// a copy that is not put back any more, what a record was that is not pending, and the tokens of
// reads that have ended.
func (s *turnState) forget() {
	if s.returns == 0 {
		s.copy = turnRedis{}
	}
	for _, redis := range []*turnRedis{&s.redis, &s.copy} {
		if !redis.pending {
			redis.version, redis.content, redis.since = 0, 0, 0
		}
		for field := range redis.tokens {
			for _, token := range []*byte{&redis.tokens[field].listed, &redis.tokens[field].read} {
				if *token != 0 && !s.reads(*token) {
					*token = 0
				}
			}
		}
	}
	for i := range s.who {
		if a := &s.who[i]; a.step == turnCommitted {
			a.content, a.reach = 0, turnReach{}
		}
	}
}

// reads reports whether the flush of the token is under way, so that it may still ask for it.
func (s *turnState) reads(token byte) bool {
	a := s.who[(token-1)/8]
	return a.step != turnIdle && a.step < turnRead && token == turnRunOf((token-1)/8, a)
}

// turnRunOf numbers the runs of all actors: it is the token of a run's reads, and the id of its transaction.
func turnRunOf(i byte, a turnActor) byte { return i*8 + a.runs + 1 }

// accept gives a write its version and content.
func (r turnRules) accept(to *turnState, pending bool) (version byte) {
	to.given++
	to.writes--
	version = to.redis.last + 1
	if !r.setBack {
		version = to.clock + 1
	}
	to.clock, to.redis.last = max(to.clock, version), version
	if pending {
		if !to.redis.pending {
			to.redis.since = version
		}
		to.redis.version, to.redis.content, to.redis.pending = version, to.given, true
	}
	return version
}

// note is what turned in internal/layout/prelude.lua does.
func (r turnRules) note(to *turnState, before, id byte) (older bool) {
	if r.before {
		if before != 0 && !to.redis.notes.has(before) {
			return true
		}
		to.redis.notes = turnNotesOf{before, id}
	}
	return false
}

func (n turnNotesOf) has(turn byte) bool { return n.before == turn || n.last == turn }

// beyond reports whether the database lacks a turn that was committed. In the model it never does.
func (t turnOf) beyond(s turnState) bool {
	return t.number > s.turn || t.number > 0 && t.number == s.turn && t.id != s.id
}

// idOf is the id of a transaction of an actor.
func (r turnRules) idOf(s turnState, i int) byte {
	if r.ids {
		return turnRunOf(byte(i), s.who[i])
	}
	return s.turn + 1
}

func (r turnRules) flush(s turnState, i int, add func(func(*turnState))) (fault turnFault) {
	a := s.who[i]
	me := func(to *turnState) *turnActor { return &to.who[i] }
	note := func(to *turnState, before, id byte) (older bool) {
		me(to).id = id
		older = r.note(to, before, id)
		if older && !s.went || s.redis.acked.beyond(s) {
			fault = "a false alarm"
		}
		return older && r.check
	}
	token := turnRunOf(byte(i), a)
	part := byte(turnWhole)
	if i == turnFlusher+1 {
		part = r.part
	}
	list := func(to *turnState, field int) {
		me(to).version = 0
		me(to).reach = turnReach{before: to.clock, last: to.clock, version: to.redis.last, newest: to.redis.last}
		if to.redis.pending || part == turnOthers {
			me(to).version = 1
		}
		to.redis.tokens[field].listed = token
	}
	read := func(to *turnState, field int) {
		m := me(to)
		if to.redis.tokens[field].read = token; m.version == 0 || part == turnOthers {
			return
		}
		if m.version = 0; to.redis.pending {
			m.version, m.content = to.redis.version, to.redis.content
			m.reach.newest = max(m.reach.newest, m.version)
		}
	}
	release := func(to *turnState) { *me(to), to.holder = turnActor{runs: a.runs}, 0 }
	switch a.step {
	case turnIdle:
		if a.runs == 0 {
			return
		}
		add(func(to *turnState) { me(to).step, me(to).seen, me(to).runs = turnWaits, aheadNever, a.runs-1 })
		if i == turnFlusher {
			add(func(to *turnState) { me(to).step, me(to).seen, me(to).runs = turnLooked, s.turn, a.runs-1 })
		}
	case turnLooked:
		add(func(to *turnState) {
			me(to).before, me(to).id = s.id, r.idOf(s, i)
			if !r.behind && note(to, s.id, r.idOf(s, i)) {
				*me(to) = turnActor{runs: a.runs}
				return
			}
			list(to, 0)
			me(to).step = turnListed
		})
	case turnListed:
		add(func(to *turnState) { read(to, 0); me(to).step = turnWaits })
	case turnWaits:
		if s.holder == 0 {
			add(func(to *turnState) { to.holder, me(to).step = byte(i+1), turnLocked })
		}
	case turnLocked:
		if a.seen == s.turn {
			add(func(to *turnState) { me(to).step = turnNotes })
			return
		}
		add(func(to *turnState) {
			if !r.after && note(to, s.id, r.idOf(s, i)) {
				release(to)
				return
			}
			me(to).seen = aheadNever
			list(to, 1)
			me(to).step = turnLists
		})
	case turnLists:
		add(func(to *turnState) { read(to, 1); me(to).step = turnNotes })
	case turnNotes:
		add(func(to *turnState) {
			field := 1
			if a.seen != aheadNever {
				field = 0
			}
			switch {
			case a.version == 0:
				release(to)
				return
			case r.token && s.redis.tokens[field] != turnToken{token, token}:
				release(to)
				return
			case (r.behind && r.after || field == 0 && r.behind) && note(to, s.id, r.idOf(s, i)):
				release(to)
				return
			}
			me(to).step = turnRead
		})
	case turnRead:
		add(func(to *turnState) {
			if a.version == 0 {
				release(to)
				return
			}
			to.holder, me(to).step = 0, turnCommitted
			to.turn, to.id, to.reach = s.turn+1, a.id, a.reach
			me(to).number = to.turn
			if part == turnWhole || part == turnSome || part == turnSplit {
				to.row = a.content
			}
			me(to).before = s.id
			to.reach.newest, to.reach.last = max(s.reach.newest, a.reach.newest), max(s.reach.last, a.reach.last)
			if part != turnWhole && part != turnSplit {
				if to.reach.before = s.reach.before; r.keeps {
					to.reach.version = s.reach.version
				}
			}
		})
	case turnCommitted:
		if part == turnSplit && !a.split && s.holder == 0 {
			add(func(to *turnState) {
				id := 64 + r.idOf(s, i)
				if older := note(to, s.id, id); older {
					*me(to) = turnActor{runs: a.runs} // the whole flush fails, and nothing is acked
					return
				}
				if me(to).split, me(to).id = true, a.id; !r.own {
					me(to).number, me(to).id = s.turn+1, id
				}
			})
		}
		add(func(to *turnState) {
			if !r.before {
				to.redis.notes = turnNotesOf{a.before, a.id}
			}
			*me(to) = turnActor{runs: a.runs}
			known := !r.ack || to.redis.notes.has(a.id)
			if known && to.redis.notes.last == a.id {
				to.redis.acked = turnOf{a.number, a.id}
			}
			persists := part == turnWhole || part == turnSome || part == turnSplit
			if persists && s.redis.pending && s.redis.version == a.version && known {
				to.redis.pending = false
				if s.row < s.redis.content {
					fault = "an accepted write was acked that is not in the database"
				}
			}
		})
	}
	return fault
}

func (r turnRules) through(s turnState, i int, add func(func(*turnState))) turnFault {
	a := s.who[i]
	switch {
	case a.step == turnIdle && a.runs > 0 && s.holder == 0 && s.writes > 0:
		add(func(to *turnState) { to.who[i].step, to.who[i].runs, to.holder = turnLocked, a.runs-1, byte(i+1) })
	case a.step == turnLocked:
		add(func(to *turnState) {
			if s.redis.pending || s.writes == 0 { // it goes behind
				to.who[i], to.holder = turnActor{runs: a.runs}, 0
				return
			}
			r.accept(to, false)
			r.note(to, s.id, r.idOf(s, i))
			to.who[i].step, to.who[i].content, to.who[i].id = turnRead, to.given, r.idOf(s, i)
		})
	case a.step == turnRead:
		add(func(to *turnState) {
			to.row, to.turn, to.id, to.who[i].step, to.holder = a.content, s.turn+1, a.id, turnCommitted, 0
			to.who[i].before = s.id
		})
	case a.step == turnCommitted:
		add(func(to *turnState) {
			if to.who[i] = (turnActor{runs: a.runs}); !r.before {
				to.redis.notes = turnNotesOf{a.before, a.id}
			}
		})
	}
	return ""
}

func (r turnRules) repair(s turnState, i int, add func(func(*turnState))) (fault turnFault) {
	a := s.who[i]
	me := func(to *turnState) *turnActor { return &to.who[i] }
	switch a.step {
	case turnIdle:
		if a.runs == 0 || s.turn == 0 || s.redis.notes.has(s.id) || !r.before {
			return
		}
		if !s.went {
			return "a false alarm"
		}
		if s.holder == 0 || !r.lock {
			add(func(to *turnState) {
				if me(to).step, me(to).id, me(to).reach = turnLocked, s.id, s.reach; r.lock {
					to.holder = byte(i + 1)
				}
			})
		}
	case turnLocked:
		add(func(to *turnState) {
			if r.lock {
				to.holder = 0
			}
			if s.redis.notes.has(a.id) {
				*me(to) = turnActor{runs: a.runs}
				return
			}
			me(to).step, me(to).notes = turnJudge, s.redis.notes
			to.redis.last = max(to.redis.last, a.reach.newest)
			to.clock = max(to.clock, to.redis.last)
		})
	case turnJudge:
		add(func(to *turnState) {
			me(to).step = turnLockAgain
			if q := s.redis; q.pending && q.version <= a.reach.newest && (q.since <= a.reach.last || r.setBack) {
				me(to).step, me(to).version = turnYield, q.version
				me(to).persisted = q.version <= a.reach.version && (q.since <= a.reach.before || r.setBack) &&
					(!r.setBack || !r.doubt)
			}
		})
	case turnYield:
		add(func(to *turnState) {
			me(to).step = turnLockAgain
			if q := s.redis; q.pending && q.version == a.version {
				to.redis.pending = false
				if a.persisted && s.row < q.content { // else it becomes a letter
					fault = "an accepted write was dropped that is not in the database"
				}
			}
		})
	case turnLockAgain:
		if s.holder == 0 || !r.lock {
			add(func(to *turnState) {
				if me(to).step, me(to).id = turnRepaired, s.id; r.lock {
					to.holder = byte(i + 1)
				}
			})
		}
	case turnRepaired:
		add(func(to *turnState) {
			if *me(to) = (turnActor{runs: a.runs - 1}); r.lock {
				to.holder = 0
			}
			if s.redis.notes == a.notes {
				to.redis.acked = turnOf{}
				if to.redis.notes = (turnNotesOf{before: a.id}); r.breaks {
					to.redis.tokens = [2]turnToken{}
				}
			}
		})
	}
	return fault
}

// explore visits every state that can be reached, until something happens that must not; way is
// how it came to that.
func (r turnRules) explore(start turnState) (visited int, fault turnFault, way []turnState) {
	seen := map[turnState]struct{}{start: {}}
	var visit func(s turnState) bool
	visit = func(s turnState) bool {
		states, found := r.next(s)
		if found != "" {
			fault = found
			return false
		}
		for _, to := range states {
			if _, there := seen[to]; there {
				continue
			}
			if seen[to] = struct{}{}; !visit(to) {
				way = append(way, to)
				return false
			}
		}
		return true
	}
	visit(start)
	slices.Reverse(way)
	return len(seen), fault, way
}

// TestI3OlderRedisModel tries every order of steps, with a clock that goes on and one that is
// set back, and that each condition is needed. That the repairer needs the lock shows only with
// three writes.
func TestI3OlderRedisModel(t *testing.T) {
	t.Parallel()
	all := turnRules{check: true, before: true, ack: true, lock: true, behind: true, after: true, token: true,
		ids: true, breaks: true, doubt: true, keeps: true, own: true}
	start := func(through bool) turnState {
		s := turnState{writes: 2, returns: 1}
		s.who[turnFlusher].runs, s.who[turnRepairer].runs = 2, 1
		if through {
			s.who[turnThrough].runs = 1
		} else {
			s.who[turnFlusher+1].runs = 1
		}
		return s
	}
	explore := func(r turnRules, starts ...turnState) (fault turnFault, way []turnState) {
		for _, s := range starts {
			visited, fault, way := r.explore(s)
			if t.Logf("%d states: %q", visited, fault); fault != "" {
				return fault, way
			}
		}
		return "", nil
	}
	for _, setBack := range []bool{false, true} {
		for _, part := range []byte{turnWhole, turnSome, turnOthers, turnRefused, turnSplit} {
			rules := all
			rules.setBack, rules.part = setBack, part
			starts := []turnState{start(false)}
			if part == turnWhole {
				starts = append(starts, start(true))
			}
			fault, way := explore(rules, starts...)
			for _, s := range way {
				t.Logf("%+v", s)
			}
			require.Empty(t, fault)
		}
	}
	// A copy of a record that was accepted already, and two writes more.
	copied := start(false)
	copied.redis = turnRedis{last: 1, version: 1, content: 1, since: 1, pending: true}
	copied.given, copied.clock, copied.copied, copied.copy = 1, 1, true, copied.redis
	wide := start(true)
	wide.writes = 3
	long := start(false)
	long.writes = 3
	for name, without := range map[string]func(r *turnRules){
		"a repair without the lock":        func(r *turnRules) { r.lock = false },
		"no check":                         func(r *turnRules) { r.check = false },
		"a turn noted after its commit":    func(r *turnRules) { r.before = false },
		"a turn noted ahead of the lock":   func(r *turnRules) { r.behind = false },
		"a turn noted before the read":     func(r *turnRules) { r.after = false },
		"a turn noted without the token":   func(r *turnRules) { r.token = false },
		"a turn without an id":             func(r *turnRules) { r.ids = false },
		"a read from before the repair":    func(r *turnRules) { r.breaks = false },
		"an ack by the version alone":      func(r *turnRules) { r.ack, r.setBack = false, true },
		"no doubt of a clock that is back": func(r *turnRules) { r.doubt, r.setBack = false, true },
		"a newer version by some records":  func(r *turnRules) { r.part, r.keeps = turnOthers, false },
		"a newer version by a refusal":     func(r *turnRules) { r.part, r.keeps = turnRefused, false },
		"an ack of a turn rolled back":     func(r *turnRules) { r.part, r.own = turnSplit, false },
	} {
		rules := all
		without(&rules)
		t.Log(name)
		fault, _ := explore(rules, copied, wide, start(false), long)
		require.NotEmpty(t, fault, name)
	}
}
