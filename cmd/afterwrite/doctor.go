package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// Bounds of what doctor calls healthy.
const (
	slowRedis    = 20 * time.Millisecond
	slowDatabase = 200 * time.Millisecond
	maxSkew      = 2 * time.Second
	maxLag       = 30 * time.Second

	fragmented     = 1.5      // of memory by Redis's own
	fragmentedFrom = 64 << 20 // bytes
)

// verdict is what doctor says of one thing.
type verdict string

const (
	fine    verdict = "ok"
	warning verdict = "warning"
	failure verdict = "failure"
)

// finding is one line of doctor.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Mend    string  `json:"mend,omitempty"` // what to do about it
}

// examination collects the findings of one run.
type examination struct {
	*parts
	findings []finding
	lagging  bool // a record has waited for the database for longer than it should
}

func (x *examination) say(check string, v verdict, mend, format string, args ...any) {
	x.findings = append(x.findings, finding{check, v, fmt.Sprintf(format, args...), mend})
}

func (a *app) doctorCommand() *cobra.Command {
	return a.withJSON(&cobra.Command{
		Use:     "doctor",
		Short:   "Check Redis, the database, the clocks and the queue",
		Long:    "Checks Redis, the database, the clocks and the queue. Each line is ok, a warning or a\nfailure, with what mends it. Exits 1 when there is a failure.",
		Example: "  afterwrite doctor",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.doctor(c.Context()) },
	})
}

func (a *app) doctor(ctx context.Context) error {
	p, err := a.joined()
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	x := &examination{parts: p}
	x.say("configuration", fine, "", "%s, %s", p.Config.File, count(len(p.Config.Entities), "entity", "entities"))
	redis := x.redis(ctx)
	database := x.database(ctx)
	if redis && database {
		x.partitions(ctx)
		x.losses(ctx)
	}
	if database {
		x.tokens(ctx)
	}
	if redis {
		x.strangers(ctx)
		x.backlog(ctx)
		x.workers(ctx)
	}
	x.queues(ctx)
	return a.printFindings(x.findings)
}

// redis reports whether Redis answers.
func (x *examination) redis(ctx context.Context) bool {
	h, err := x.Inspect.Check(ctx)
	if err != nil && !inspect.Unsafe(err) {
		x.say("redis", failure, mendRedis(err, "redis.url"), "%v", err)
		x.cluster(ctx)
		return false
	}
	latency := median(ctx, h.Latency, slowRedis, x.Cache.Ping)
	x.say("redis", fine, "", "answers in %s", latency.Round(time.Microsecond))
	if latency > slowRedis {
		x.say("redis latency", warning, "run Redis nearer to the API and the workers", "%s per round trip, the median of %d", latency.Round(time.Microsecond), pings)
	}
	x.skew("redis clock", h.Clock)
	x.redisRights(err)
	x.redisWrites(ctx)
	x.cluster(ctx)
	if !h.Told {
		x.say("redis figures", warning, "see that maxmemory-policy is volatile-lfu or noeviction, and that it keeps an append-only file",
			"Redis does not tell of its version, memory and persistence (INFO)")
		return true
	}
	x.redisVersion(h)
	x.redisSafety(h, err)
	x.redisMemory(h)
	x.redisHits(h)
	return true
}

// pings is the number of round trips whose median counts where the first was slow: a
// connection was made for it, and a machine may have been busy for a moment.
const pings = 5

// median is the time of a round trip: the first one, or where that was slow the median of
// several.
func median(ctx context.Context, first, slow time.Duration, ping func(context.Context) error) time.Duration {
	if first <= slow {
		return first
	}
	took := []time.Duration{first}
	for len(took) < pings {
		began := time.Now()
		if ping(ctx) != nil {
			return first
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// redisWrites tells of a Redis that answers and takes no writes.
func (x *examination) redisWrites(ctx context.Context) {
	err := x.Inspect.Writable(ctx)
	switch {
	case err == nil:
		x.say("redis writes", fine, "", "let through")
	case errors.Is(err, schema.ErrRedisFull):
		x.say("redis writes", failure, "start workers, for what is persisted makes room, or raise maxmemory (CONFIG SET maxmemory)", "%v", err)
	case errors.Is(err, schema.ErrRedisReadOnly):
		x.say("redis writes", failure, "point redis.url to the master; see its replicas (min-replicas-to-write) and its disk", "%v", err)
	default:
		x.say("redis writes", failure, mendRedis(err, "redis.url"), "%v", err)
	}
}

// redisRights tells of a user who could do a write by halves.
func (x *examination) redisRights(err error) {
	if errors.Is(err, rdb.ErrRights) {
		x.say("redis rights", failure, rightsMend(x.Config.Redis.Prefix), "%v", err)
		return
	}
	x.say("redis rights", fine, "", "this user may do what the scripts do")
}

// cluster tells of each master of a Redis Cluster that does not do its part.
func (x *examination) cluster(ctx context.Context) {
	for _, trouble := range x.Inspect.ClusterTroubles(ctx) {
		x.say("redis cluster", failure, "start a master that has no replica; end a move that was broken off with `redis-cli --cluster fix`", "%s", trouble)
	}
}

// redisHits shows how well the cache does; how well it should is not known here.
func (x *examination) redisHits(h inspect.Health) {
	if rate, ok := h.HitRate(); ok {
		x.say("redis hit rate", fine, "", "%.1f %% of %d reads of keys since it started", 100*rate, h.Hits+h.Misses)
	} else {
		x.say("redis hit rate", fine, "", "nothing was read yet")
	}
	// Below some size the ratio is that of the program itself.
	if h.UsedMemory > fragmentedFrom && h.Fragmentation > fragmented {
		x.say("redis fragmentation", warning, "set activedefrag yes, or restart Redis in a quiet hour", "%.2f times the memory that the data need", h.Fragmentation)
		return
	}
	x.say("redis fragmentation", fine, "", "%.2f", h.Fragmentation)
}

func (x *examination) redisVersion(h inspect.Health) {
	switch {
	case h.Version == "":
		x.say("redis version", warning, "see that it is at least 6.2", "the server does not tell it")
	case atLeast(h.Version, 6, 2):
		x.say("redis version", fine, "", "%s", h.Version)
	default:
		x.say("redis version", failure, "upgrade to Redis 6.2 or newer", "%s is older than 6.2", h.Version)
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

func (x *examination) redisSafety(h inspect.Health, policy error) {
	switch {
	case !h.AOF:
		x.say("redis persistence", warning, "set appendonly yes in redis.conf",
			"no append-only file: a restart of Redis loses accepted writes that are not in the database yet")
	case h.Fsync == "no":
		x.say("redis persistence", warning, "set appendfsync everysec or always", "appendfsync is no: a power loss may lose half a minute of writes")
	default:
		x.say("redis persistence", fine, "", "append-only file, appendfsync %s", orUnknown(h.Fsync))
	}
	if errors.Is(policy, inspect.ErrEvictionPolicy) {
		x.say("redis eviction", failure, "set maxmemory-policy volatile-lfu (or noeviction) in redis.conf", "%v", policy)
		return
	}
	x.say("redis eviction", fine, "", "maxmemory-policy %s", orUnknown(h.Policy))
}

func (x *examination) redisMemory(h inspect.Health) {
	switch {
	case h.MaxMemory == 0:
		x.say("redis memory", warning, "set maxmemory below the machine's memory", "%s used, no maxmemory: Redis may take the whole machine", mib(h.UsedMemory))
	case h.UsedMemory > h.MaxMemory/10*9:
		x.say("redis memory", warning, "raise maxmemory, or shorten cache.ttl", "%s of %s used: above it writes are refused", mib(h.UsedMemory), mib(h.MaxMemory))
	default:
		x.say("redis memory", fine, "", "%s of %s used, %s evicted", mib(h.UsedMemory), mib(h.MaxMemory), count(h.Evicted, "key", "keys"))
	}
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func (x *examination) skew(check string, clock time.Time) {
	if clock.IsZero() {
		return
	}
	off := time.Since(clock)
	if off.Abs() > maxSkew {
		x.say(check, warning, "run an NTP client on both machines", "%s away from this machine's", off.Round(time.Millisecond))
		return
	}
	x.say(check, fine, "", "%s away from this machine's", off.Round(time.Millisecond))
}

// database reports whether the database answers and its tables are there.
func (x *examination) database(ctx context.Context) bool {
	began := time.Now()
	if err := x.Store.Ping(ctx); err != nil {
		x.say("database", failure, mendDatabase(err), "%v", err)
		return false
	}
	took := median(ctx, time.Since(began), slowDatabase, x.Store.Ping)
	if took > slowDatabase {
		x.say("database", warning, "run the database nearer to the workers", "%s answers in %s", x.Store.Dialect(), took.Round(time.Microsecond))
	} else {
		x.say("database", fine, "", "%s answers in %s", x.Store.Dialect(), took.Round(time.Microsecond))
	}
	outstanding, err := x.Store.Outstanding(ctx)
	switch {
	case errors.Is(err, store.ErrUnfit):
		x.say("tables", failure, "change the table or the configuration as the detail says", "%v", err)
		x.columns(ctx)
	case err != nil:
		x.say("tables", failure, mendDatabase(err), "%v", err)
	case len(outstanding) > 0:
		x.say("tables", failure, "run `afterwrite migrate`", "%s outstanding: %s", count(len(outstanding), "step", "steps"), strings.Join(outstanding, "; "))
	default:
		x.say("tables", fine, "", "up to date")
		x.columns(ctx)
		x.writable(ctx)
		return true
	}
	return false
}

// columns reports how the tables' columns hold their fields.
func (x *examination) columns(ctx context.Context) {
	verdicts, err := x.Store.Verdicts(ctx)
	if err != nil {
		x.say("columns", failure, mendDatabase(err), "%v", err)
		return
	}
	exact := 0
	for _, v := range verdicts {
		switch v.Hold {
		case catalog.Exact:
			exact++
		case catalog.Refused:
			x.say("columns", failure, v.Fix, "%s", v)
		default:
			x.say("columns", fine, "", "%s", v)
		}
	}
	x.say("columns", fine, "", "%d of %d hold their fields exactly", exact, len(verdicts))
}

// writable tells of a database that answers and cannot be written.
func (x *examination) writable(ctx context.Context) {
	err := x.Store.Writable(ctx)
	switch {
	case err == nil:
		x.say("database writes", fine, "", "let through")
	case store.Away(err):
		x.say("database writes", failure, "make the database writable (a replica: promote it, or point database.url to the primary; full: free its disk); flushes resume by themselves", "%v", err)
	default:
		x.say("database writes", failure, "see the detail: a lock that another program holds, or a right that this user lacks; flushes go on by themselves when it is mended", "%v", err)
	}
}

func (x *examination) partitions(ctx context.Context) {
	if err := x.SamePartitions(ctx, x.Config.Entities); err != nil {
		x.say("partitions", failure, "run every process with the same configuration", "%v", err)
		return
	}
	x.say("partitions", fine, "", "as configured")
}

// losses reports a Redis and a database that do not belong together, and each loss of
// accepted writes that no operator has acknowledged.
func (x *examination) losses(ctx context.Context) {
	if err := x.Paired(ctx); err != nil {
		hint := "see the detail"
		if errors.Is(err, schema.ErrUnpaired) {
			hint = "see the runbook, \"Redis and the database do not belong together\""
		}
		x.say("pairing", failure, hint, "%v", err)
	} else {
		x.say("pairing", fine, "", "Redis and the database belong together")
	}
	losses, err := x.Losses(ctx, x.Config.Entities)
	if err != nil {
		x.say("redis state", failure, "see the detail", "%v", err)
		return
	}
	for _, l := range losses {
		hint := `see "Redis is lost" in the runbook, then ` + "`afterwrite acknowledge " + l.Entity + " --reason TEXT`"
		if l.Records > 0 {
			x.say("redis state", failure, hint, "%d accepted writes of %s were lost: %s", l.Records, l.Entity, l.Why)
			continue
		}
		x.say("redis state", failure, hint,
			"Redis had lost its state of %s when a process looked at %s: what was accepted and not yet persisted by then is gone (%s)",
			l.Entity, moment(l.At), l.Why)
	}
	if len(losses) == 0 {
		x.say("redis state", fine, "", "no loss that is not acknowledged")
	}
}

// strangers looks for what waits of entities that the configuration does not name.
func (x *examination) strangers(ctx context.Context) {
	strangers, err := x.Pending.Strangers(ctx, x.Config.Entities)
	if err != nil {
		x.say("entities", failure, "see the detail", "%v", err)
	}
	for _, e := range strangers {
		x.say("entities", failure, "put the entity back into the configuration until `afterwrite flush` is done",
			"records of %s wait for the database, but the configuration does not name it", e.Name)
	}
}

// backlog looks at what waits for the database.
func (x *examination) backlog(ctx context.Context) {
	for _, e := range x.Config.Entities {
		stats, err := x.Pending.Stats(ctx, e)
		if err != nil {
			x.say("backlog of "+e.Name, failure, "see the detail", "%v", err)
			continue
		}
		t := pending.Total(stats)
		lag := time.Duration(0)
		if !t.OldestPending.IsZero() {
			lag = max(time.Since(t.OldestPending), 0)
		}
		detail := fmt.Sprintf("%d pending, %d held, %d dead of at most %d, lag %s",
			t.Pending, t.Held, t.Dead, e.Flush.MaxPending, lag.Round(time.Millisecond))
		check := "backlog of " + e.Name
		switch {
		case slices.ContainsFunc(stats, func(s pending.Stats) bool { return s.Pending+s.Held+s.Dead >= int64(e.PartitionLimit()) }):
			x.say(check, failure, "start workers, or settle what is held and dead (`afterwrite dead list`), or raise flush.max_pending",
				"full: new records are refused with 503; %s", detail)
		case lag > maxLag+e.Flush.Delay:
			x.lagging = true
			x.say(check, warning, "look at the workers' logs, or start more of them", "%s", detail)
		case t.Dead+t.Held > 0:
			x.say(check, warning, "see the errors with `afterwrite record get "+e.Name+" ID`", "%s", detail)
		default:
			x.say(check, fine, "", "%s", detail)
		}
	}
}

func (x *examination) workers(ctx context.Context) {
	alive, err := x.Fleet.Alive(ctx)
	if err != nil {
		x.say("workers", failure, "see the detail", "%v", err)
		return
	}
	n := 0
	for _, p := range alive {
		if p.Kind == "worker" {
			n++
		}
	}
	if n == 0 {
		v := warning // accepted writes are safe in Redis meanwhile, and there may be none
		if x.lagging {
			v = failure
		}
		x.say("workers", v, "start one with `afterwrite worker`", "none is alive: nothing is flushed")
		return
	}
	x.say("workers", fine, "", "%d alive", n)
	troubles := fleet.Troubles(alive)
	for _, entity := range slices.Sorted(maps.Keys(troubles)) {
		x.say("table of "+entity, failure, fleet.TroubleHint, "%s takes no record: %s", troubles[entity].Table, troubles[entity].Error)
	}
}

func (x *examination) queues(ctx context.Context) {
	q, err := x.Inspector()
	if err != nil {
		x.say("queue", failure, "mend queue.redis_url", "%v", err)
		return
	}
	sizes, err := q.Sizes(ctx)
	if err != nil {
		setting := "queue.redis_url"
		if x.Config.Queue.RedisURL == "" {
			setting = "redis.url"
		}
		x.say("queue", failure, mendRedis(err, setting), "%v", err)
		return
	}
	for _, s := range sizes {
		detail := fmt.Sprintf("%d waiting, %d running, %d scheduled, %d put off, oldest %s", s.Pending, s.Active, s.Scheduled, s.Retry, s.Latency.Round(time.Millisecond))
		check := "queue " + s.Queue
		switch {
		case s.Paused:
			x.say(check, failure, "resume it with the tool that paused it", "paused; %s", detail)
		case s.Latency > maxLag:
			x.say(check, warning, "start more workers, or raise worker.concurrency", "%s", detail)
		default:
			x.say(check, fine, "", "%s", detail)
		}
	}
	if len(sizes) == 0 {
		x.say("queue", fine, "", "no sync task yet")
	}
}

func (a *app) printFindings(findings []finding) error {
	worst := fine
	rows := [][]string{}
	for _, f := range findings {
		if f.Verdict == failure || (f.Verdict == warning && worst == fine) {
			worst = f.Verdict
		}
		detail := f.Detail
		if f.Mend != "" {
			detail += " → " + f.Mend
		}
		rows = append(rows, []string{string(f.Verdict), f.Check, detail})
	}
	var err error
	if a.json {
		err = a.printJSON(map[string]any{"verdict": worst, "findings": findings})
	} else {
		err = table(a.out, rows)
	}
	if err == nil && worst == failure {
		return errReported
	}
	return err
}

// tokens says who may use the API.
func (x *examination) tokens(ctx context.Context) {
	addr := x.Config.API.Addr
	switch living, err := x.Store.LivingTokens(ctx); {
	case err != nil:
		x.say("tokens", warning, "run `afterwrite migrate`", "%v", err)
	case !process.TokensRequired(x.Config) && !peer.Loopback(addr):
		x.say("tokens", warning, "leave it so only while something in front asks who is there",
			"api.insecure: other machines reach %s and are asked for no token", addr)
	case !process.TokensRequired(x.Config):
		x.say("tokens", fine, "", "not needed: only this machine reaches %s", addr)
	case len(living) == 0:
		x.say("tokens", warning, "afterwrite token new NAME --scope '*:read,write'", "the API refuses every request: there is no token")
	default:
		x.say("tokens", fine, "", "%s in force", count(len(living), "is", "are"))
	}
}
