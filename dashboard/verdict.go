package dashboard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// level says how much a finding matters. A page shows it as a mark and a word, never
// by colour alone.
type level int

const (
	fine level = iota
	warning
	failure
)

func (l level) String() string { return [...]string{"ok", "warning", "failure"}[l] }

// Class names the level in app.css.
func (l level) Class() string { return [...]string{"fine", "warning", "failure"}[l] }

// Mark is the sign that stands beside the word.
func (l level) Mark() string { return [...]string{"✓", "!", "✕"}[l] }

// finding is one sentence about the state of the system.
type finding struct {
	Level level
	Text  string
}

// slow is the lag, beyond an entity's own flush delay, from which an operator should know.
const slow = 10 * time.Second

// verdict answers the one question of the overview, whether accepted writes reach the
// database, in one sentence: the gravest finding. The others follow it.
func (s *snapshot) verdict(why reasons) (first finding, rest []finding) {
	found := slices.Concat(s.systems(), s.records(why))
	if len(found) == 0 {
		return s.allIsWell(), nil
	}
	slices.SortStableFunc(found, func(a, b finding) int { return int(b.Level - a.Level) })
	return found[0], found[1:]
}

// redisDown reports whether Redis does not answer. One that answers, with a policy that
// is refused, still has figures to show.
func (s *snapshot) redisDown() bool {
	return s.redisErr != nil && !inspect.Unsafe(s.redisErr)
}

// systems are the findings about what the records depend on.
func (s *snapshot) systems() []finding {
	var found []finding
	add := func(l level, format string, args ...any) {
		found = append(found, finding{l, fmt.Sprintf(format, args...)})
	}
	switch {
	case s.redisDown() && s.dbErr != nil:
		add(failure, "Neither Redis nor the database answers: writes and reads are refused.")
		return found
	case s.redisDown():
		add(failure, "Redis does not answer: writes are refused, reads come from the database.")
	case errors.Is(s.redisErr, rdb.ErrRights):
		add(failure, "Writes are not safe: the user of redis.url lacks rights; afterwrite doctor names them.")
	case s.redisErr != nil:
		add(failure, "Redis may evict accepted writes: its maxmemory-policy must be volatile-* or noeviction.")
	}
	total := s.total()
	if s.dbErr != nil {
		add(failure, "The database does not answer: %s.", waiting(total, s.at))
	}
	if s.aliveErr == nil && !s.working() {
		add(failure, "No worker is running: %s.", waiting(total, s.at))
	}
	troubles := fleet.Troubles(s.processes)
	for _, entity := range slices.Sorted(maps.Keys(troubles)) {
		add(failure, "%s: the table %s takes no record: %s. To mend it: %s.", entity, troubles[entity].Table,
			brief(errors.New(troubles[entity].Error)), fleet.TroubleHint)
	}
	for _, w := range s.redis.Warnings {
		add(warning, "%s", w)
	}
	for _, q := range s.queues {
		if q.Paused {
			add(warning, "Queue %s is paused: its entities are not flushed.", q.Queue)
		}
	}
	return found
}

// records are the findings about the entities.
func (s *snapshot) records(why reasons) []finding {
	var found []finding
	if s.redisDown() {
		return nil // said once, for all of them
	}
	for _, f := range s.entities {
		for _, one := range f.findings(s.at, why) {
			found = append(found, finding{one.Level, f.entity.Name + ": " + one.Text})
		}
	}
	return found
}

// findings are what an operator should know of one entity, or of one of its partitions.
func (f entityFigures) findings(now time.Time, why reasons) []finding {
	if f.err != nil {
		return []finding{{failure, "the figures cannot be read."}}
	}
	var found []finding
	add := func(l level, format string, args ...any) {
		found = append(found, finding{l, fmt.Sprintf(format, args...)})
	}
	t := f.total
	if n := t.Imbalance(); n != 0 {
		add(failure, "%s accepted %s unaccounted for; run afterwrite fsck.", number(n), plural(n, "write is", "writes are"))
	}
	if t.Lost > 0 {
		add(failure, "%s %s gone from Redis before reaching the database.", number(t.Lost), plural(t.Lost, "record was", "records were"))
	}
	if t.Paused {
		add(warning, "flushing is paused%s; writes wait in Redis.", f.pausedPart())
	}
	if n := t.Held + t.Dead; n > 0 {
		add(warning, "%s %s refused, %s of them dead%s.", number(n), plural(n, "write", "writes"), number(t.Dead), why[f.entity.Name])
	}
	if f.lag(now) > slow+f.entity.Flush.Delay {
		add(warning, "%s.", waiting(t, now))
	}
	return found
}

// pausedPart says how many partitions are paused, where not all are.
func (f entityFigures) pausedPart() string {
	n := 0
	for _, p := range f.partitions {
		if p.Paused {
			n++
		}
	}
	if n == len(f.partitions) {
		return ""
	}
	return fmt.Sprintf(" in %d of %d partitions", n, len(f.partitions))
}

func (f entityFigures) level(now time.Time) level {
	worst := fine
	for _, one := range f.findings(now, nil) {
		worst = max(worst, one.Level)
	}
	return worst
}

func (s *snapshot) allIsWell() finding {
	total := s.total()
	switch {
	case total.Accepted == 0:
		return finding{fine, "Nothing has been written yet."}
	case total.Pending == 0:
		return finding{fine, "All accepted writes are in the database."}
	}
	return finding{fine, fmt.Sprintf("All writes are reaching the database, %s behind.", age(s.at, total.OldestPending))}
}

func (s *snapshot) total() pending.Stats {
	all := make([]pending.Stats, len(s.entities))
	for i, f := range s.entities {
		all[i] = f.total
	}
	return pending.Total(all)
}

// lagsInfo is what workers call their lags of the last minute.
const lagsInfo = "lags"

// lags are the times within which half, and 99 %, of what was persisted in the last
// minute got there; zero where nothing was.
func (s *snapshot) lags() (half, most time.Duration) {
	var sum pending.Lags
	for _, p := range s.processes {
		one := pending.ParseLags(p.Info[lagsInfo])
		sum.Merge(&one)
	}
	return sum.Quantile(.5), sum.Quantile(.99)
}

func (s *snapshot) working() bool {
	return slices.ContainsFunc(s.processes, func(p fleet.Process) bool { return p.Kind == "worker" })
}

// waiting says how much waits and for how long, without a full stop.
func waiting(t pending.Stats, now time.Time) string {
	if t.Pending == 0 {
		return "no write waits for it"
	}
	return fmt.Sprintf("%s %s in Redis, the oldest for %s",
		number(t.Pending), plural(t.Pending, "write waits", "writes wait"), age(now, t.OldestPending))
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// brief cuts an error to what fits a page.
func brief(err error) string {
	const limit = 300
	if err == nil {
		return ""
	}
	text := strings.ToValidUTF8(err.Error(), "�")
	if r := []rune(text); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return text
}
