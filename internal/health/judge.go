package health

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// findings collects what is not fine.
type findings []Finding

func (f *findings) add(check string, l Level, cause error, hint, format string, args ...any) {
	*f = append(*f, Finding{Check: check, Level: l, Text: fmt.Sprintf(format, args...), Cause: cause, Hint: hint})
}

// Findings are what an operator should know, in the order of the checks. None: all is well.
func (s *State) Findings() []Finding {
	var f findings
	s.redis(&f)
	s.database(&f)
	if s.Deep != nil {
		s.Deep.judge(&f)
	}
	s.processes(&f)
	s.queues(&f)
	if !s.RedisDown() {
		for _, e := range s.Entities {
			f = append(f, e.Findings(s.At, s.Workers() > 0 || s.ProcessesErr != nil)...)
		}
	}
	return f
}

func (s *State) redis(f *findings) {
	err, h := s.RedisErr, &s.Redis
	switch {
	case s.RedisDown() && s.DatabaseErr != nil:
		f.add("redis", Failure, err, RedisHint(err, "redis.url"),
			"Neither Redis nor the database is responding: writes and reads are rejected.")
		return
	case s.RedisDown():
		f.add("redis", Failure, err, RedisHint(err, "redis.url"),
			"Redis is not responding: writes are rejected, reads come from the database.")
		return
	case errors.Is(err, rdb.ErrRights):
		f.add("redis rights", Failure, err,
			"ACL SETUSER NAME with the commands, keys and channels that `afterwrite doctor` names",
			"Writes are not safe: the user of redis.url lacks permissions.")
	case errors.Is(err, inspect.ErrEvictionPolicy):
		f.add("redis eviction", Failure, err, "set maxmemory-policy volatile-lfu (or noeviction) in redis.conf",
			"Redis may evict accepted writes: its maxmemory-policy must be volatile-* or noeviction.")
	case err != nil:
		f.add("redis", Failure, err, RedisHint(err, "redis.url"), "Redis cannot be checked.")
	}
	for _, w := range h.Warnings {
		f.add(w.Check, Warning, nil, w.Hint, "%s", w.Text)
	}
	if h.Version != "" && !atLeast(h.Version, 6, 2) {
		f.add("redis version", Failure, nil, "upgrade to Redis 6.2 or newer", "Redis %s is older than 6.2.", h.Version)
	}
	if h.Latency > SlowRedis {
		f.add("redis latency", Warning, nil, "run Redis nearer to the API and the workers",
			"A round trip to Redis takes %s.", text.Duration(h.Latency))
	}
	if h.UsedMemory > fragmentedFrom && h.Fragmentation > fragmented {
		f.add("redis fragmentation", Warning, nil, "set activedefrag yes, or restart Redis at a quiet hour",
			"Redis takes %.2f times the memory that its data need.", h.Fragmentation)
	}
}

// atLeast compares the first two numbers of a version.
func atLeast(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(second)
	return errA == nil && errB == nil && (a > major || (a == major && b >= minor))
}

func (s *State) database(f *findings) {
	switch {
	case s.DatabaseErr != nil:
		f.add("database", Failure, s.DatabaseErr, DatabaseHint(s.DatabaseErr), "The database is not responding: %s.",
			s.waiting())
	case s.Database > SlowDatabase:
		f.add("database", Warning, nil, "run the database nearer to the workers",
			"A round trip to the database takes %s.", text.Duration(s.Database))
	}
}

// Findings are what an operator should know of the depths alone.
func (d *Deep) Findings() []Finding {
	var f findings
	d.judge(&f)
	return f
}

func (d *Deep) judge(f *findings) {
	if d.Skew.Abs() > maxSkew {
		f.add("redis clock", Warning, nil, "run an NTP client on both machines",
			"The clock of Redis is %s away from this machine's.", text.Duration(d.Skew.Abs()))
	}
	d.redisWrites(f)
	switch {
	case errors.Is(d.Tables, fault.ErrUnfit):
		f.add("tables", Failure, d.Tables, "change the table or the configuration as the error says",
			"A table does not fit its entity.")
	case d.Tables != nil:
		f.add("tables", Failure, d.Tables, DatabaseHint(d.Tables), "The tables cannot be read.")
	case len(d.Outstanding) > 0:
		hint := "run `afterwrite migrate`"
		if d.Pairing != nil {
			hint = "see pairing first: this is likely the wrong database"
		}
		f.add("tables", Failure, nil, hint, "Schema error: %d %s outstanding: %s.",
			len(d.Outstanding), text.Plural(int64(len(d.Outstanding)), "migration step is", "migration steps are"),
			listed(d.Outstanding))
	}
	d.watches(f)
	d.databaseWrites(f)
	d.durability(f)
	if d.Pairing != nil {
		f.add("pairing", Failure, d.Pairing, "see the runbook, \"Redis and the database do not belong together\"",
			"Redis and the database do not belong together: nothing is accepted or flushed.")
	}
	if d.LossesErr != nil {
		f.add("redis state", Failure, d.LossesErr, "see the error", "Losses of accepted writes cannot be read.")
	}
	for _, l := range d.Losses {
		check, chapter := "redis state", "Redis is lost"
		if l.OfRows() {
			check, chapter = "database state", "The database is lost"
		}
		f.add(check, Failure, nil, `see "`+chapter+`" in the runbook, then `+
			"`afterwrite acknowledge "+l.Entity+" --reason TEXT`", "%s", LossText(l))
	}
}

// listed names the first few of some steps.
func listed(steps []string) string {
	const shown = 5
	if len(steps) > shown {
		return strings.Join(steps[:shown], "; ") + "; …"
	}
	return strings.Join(steps, "; ")
}

// LossText is a loss as a sentence.
func LossText(l ledger.Loss) string {
	if l.Records > 0 {
		return fmt.Sprintf("%s accepted %s of %s lost: %s.", text.Number(l.Records),
			text.Plural(l.Records, "write", "writes"), l.Entity, l.Why)
	}
	if l.OfRows() {
		return fmt.Sprintf("Rows of %s are gone or old, as a process noticed at %s: %s. `afterwrite fsck` names those that Redis still has.",
			l.Entity, l.At.UTC().Format("2006-01-02T15:04:05.000Z"), l.Why)
	}
	return fmt.Sprintf("Redis had lost its state of %s when a process looked at %s: what was accepted and not yet persisted by then is gone (%s).",
		l.Entity, l.At.UTC().Format("2006-01-02T15:04:05.000Z"), l.Why)
}

func (d *Deep) redisWrites(f *findings) {
	const check = "redis writes"
	switch err := d.RedisWrites; {
	case err == nil:
	case errors.Is(err, schema.ErrRedisFull):
		f.add(check, Failure, err,
			"start workers, for what is persisted makes room, or raise maxmemory (CONFIG SET maxmemory)",
			"Redis is full: writes are rejected.")
	case errors.Is(err, schema.ErrRedisReadOnly):
		f.add(check, Failure, err,
			"point redis.url to the master; see its replicas (min-replicas-to-write) and its disk",
			"Redis takes no writes.")
	default:
		f.add(check, Failure, err, RedisHint(err, "redis.url"), "A write to Redis failed.")
	}
}

func (d *Deep) databaseWrites(f *findings) {
	const check = "database writes"
	switch err := d.DatabaseWrites; {
	case err == nil:
	case fault.Away(err):
		f.add(check, Failure, err, databaseAway, "The database takes no writes.")
	default:
		f.add(check, Failure, err,
			"see the error: a lock that another program holds, or a permission that this user lacks; flushes resume when it is gone",
			"A write to the database failed.")
	}
}

// durability judges whether what the database has committed outlives a crash of it.
func (d *Deep) durability(f *findings) {
	const check = "database durability"
	if d.WeaknessesErr != nil {
		f.add(check, Warning, d.WeaknessesErr, "see the error", "The settings of the database cannot be read.")
	}
	for _, w := range d.Weaknesses {
		f.add(check, Warning, nil, w.Fix, "The database has %s: %s.", w.Setting, w.Risk)
	}
}

const databaseAway = "make the database writable (a replica: promote it, or point database.url to the primary; " +
	"full: free its disk); flushes resume by themselves"

// processes judges who runs, and what those report that run.
func (s *State) processes(f *findings) {
	if s.ProcessesErr != nil {
		if !s.RedisDown() {
			f.add("workers", Failure, s.ProcessesErr, "see the error", "The list of processes cannot be read.")
		}
		return
	}
	switch {
	case s.Workers() == 0 && s.Deep != nil && s.Deep.RedisWrites != nil &&
		!errors.Is(s.Deep.RedisWrites, schema.ErrRedisFull): // which takes heartbeats
		f.add("workers", Warning, nil, "see redis writes; processes are listed again within seconds once Redis takes writes",
			"It is not known which workers run, for their heartbeats are writes to Redis: %s.", s.waiting())
	case s.Workers() == 0:
		level := Warning // accepted writes are safe in Redis meanwhile, and there may be none
		if slices.ContainsFunc(s.Entities, func(e Entity) bool { return e.late(s.At) }) {
			level = Failure
		}
		f.add("workers", level, nil, "start one with `afterwrite worker`", "No worker is running: %s.", s.waiting())
	}
	for _, p := range s.Processes {
		if p.Unread {
			f.add("processes", Warning, nil, "use commands and a dashboard of the newest build that runs",
				"The %s %s is of another build, in a form that this one cannot read: what it reports is not seen here.", p.Kind, p.ID)
		}
		for _, trouble := range []struct{ info, format, hint string }{
			{fleet.DatabaseInfo, "The %s %s cannot use the database: %s.", ""},
			{fleet.PairingInfo, "The %s %s accepts and flushes nothing: %s.",
				"see the runbook, \"Redis and the database do not belong together\""},
		} {
			if message := p.Info[trouble.info]; message != "" {
				hint := trouble.hint
				if hint == "" {
					hint = DatabaseHint(errors.New(message))
				}
				f.add("processes", Failure, nil, hint, trouble.format, p.Kind, p.ID, message)
			}
		}
	}
	troubles := fleet.Troubles(s.Processes)
	for _, entity := range slices.Sorted(maps.Keys(troubles)) {
		one := troubles[entity]
		f.add("table of "+entity, Failure, nil, problem.TableHint, "%s: the table %s takes no record: %s.", entity,
			one.Table, one.Error)
	}
	s.fields(f)
}

// fields judges what the processes that run know of the entities' fields.
func (s *State) fields(f *findings) {
	for _, u := range fleet.Unknowns(s.Processes) {
		level := Failure
		if u.Know > 0 {
			level = Warning
		}
		f.add("fields of "+u.Entity, level, nil, fleet.UnknownFieldsHint, "%s: %s.", u.Entity, u)
	}
	for _, line := range fleet.Differences(s.Processes) {
		f.add("configurations", Warning, nil, "restart the processes with one configuration",
			"The running processes differ in the fields of %s.", line)
	}
}

func (s *State) queues(f *findings) {
	if s.QueuesErr != nil {
		f.add("queue", Failure, s.QueuesErr, RedisHint(s.QueuesErr, "queue.redis_url"), "The queues cannot be read.")
	}
	for _, q := range s.Queues {
		switch {
		case q.Paused:
			f.add("queue "+q.Queue, Warning, nil, "resume it on the dashboard's page Queues",
				"Queue %s is paused: its entities are not flushed.", q.Queue)
		case q.Latency > queueLatency:
			f.add("queue "+q.Queue, Warning, nil, "start more workers, or raise worker.concurrency",
				"The oldest pending sync task of queue %s is %s old.", q.Queue, text.Duration(q.Latency))
		}
	}
}

// late reports whether writes have waited longer than they should.
func (e Entity) late(now time.Time) bool { return e.Lag(now) > lagWarning+e.Entity.Flush.Delay }

// Findings are what an operator should know of one entity, or of the one partition whose
// statistics it has. working reports whether a worker is alive.
func (e Entity) Findings(now time.Time, working bool) []Finding {
	var f findings
	check, name := "backlog of "+e.Entity.Name, e.Entity.Name
	if e.Err != nil {
		f.add(check, Failure, e.Err, "see the error", "%s: the statistics cannot be read.", name)
		return f
	}
	t := e.Total
	if n := t.Imbalance(); n != 0 {
		f.add(check, Failure, nil, "run `afterwrite fsck`", "%s: %s accepted %s unaccounted for.", name, text.Number(n),
			text.Plural(n, "write is", "writes are"))
	}
	if slices.ContainsFunc(e.Partitions, e.full) {
		f.add(check, Failure, nil,
			"start workers, or settle what is held and dead (`afterwrite dead list`), or raise flush.max_pending",
			"%s is full: new records are rejected with 503.", name)
	}
	if slices.ContainsFunc(e.Partitions, keysFilling) {
		f.add(check, Warning, nil, "lower api.keys.keep, raise api.keys.max, or see which token sends so many",
			"%s: %s Idempotency-Keys are kept, and a partition has little room left: without it, writes with a new key are rejected with 503.",
			name, text.Number(t.Keys))
	}
	if t.Paused {
		f.add(check, Warning, nil, "`afterwrite resume "+name+"`", "%s: flushing is paused%s; writes wait in Redis.",
			name, e.pausedPart())
	}
	if n := t.Held + t.Dead; n > 0 {
		f.add(check, Warning, nil, "`afterwrite dead list --group`, `afterwrite held list`",
			"%s: %s %s refused, %s of them dead%s.", name, text.Number(n), text.Plural(n, "write", "writes"),
			text.Number(t.Dead), e.Why)
	}
	if e.late(now) {
		level := Warning
		if !working || e.Lag(now) > LagLimit(e.Entity) {
			level = Failure
		}
		f.add(check, level, nil, "look at the workers' logs, or start more of them", "%s: %s.", name, waiting(t, now))
	}
	return f
}

// full reports whether a partition rejects new records.
func (e Entity) full(s pending.Stats) bool {
	return s.Pending+s.Held+s.Dead >= int64(e.Entity.PartitionLimit())
}

// keysFilling reports whether nine tenths of the room for Idempotency-Keys are taken.
func keysFilling(s pending.Stats) bool { return s.MostKeys > 0 && s.Keys*10 >= s.MostKeys*9 }

// pausedPart says how many partitions are paused, where not all are.
func (e Entity) pausedPart() string {
	n := 0
	for _, p := range e.Partitions {
		if p.Paused {
			n++
		}
	}
	if n == len(e.Partitions) {
		return ""
	}
	return fmt.Sprintf(" in %d of %d partitions", n, len(e.Partitions))
}

// waiting says how much is pending and for how long, without a full stop.
func (s *State) waiting() string { return waiting(s.Total(), s.At) }

func waiting(t pending.Stats, now time.Time) string {
	if t.Pending == 0 {
		return "no write is pending"
	}
	return fmt.Sprintf("%s %s in Redis, the oldest for %s", text.Number(t.Pending),
		text.Plural(t.Pending, "write pending", "writes pending"),
		text.Duration(max(now.Sub(t.OldestPending), 0)))
}
