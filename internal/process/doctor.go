package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/survey"
)

// doctorTime bounds an examination.
const doctorTime = time.Minute

// examination collects the lines of one run: what package health finds, and beside it what
// is set up, which only doctor looks at.
type examination struct {
	*Parts
	state health.State
	found []health.Finding
	lines []health.Line
}

// Doctor examines Redis, the database, the clocks, the queue and what the running processes report: `afterwrite doctor`
// and the front door show it. The error is one of the configuration.
func (p *Parts) Doctor(ctx context.Context) ([]health.Line, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	from, err := p.Health()
	if err != nil {
		return nil, err
	}
	x := &examination{Parts: p, state: health.Read(ctx, from)}
	x.state.Look(ctx, from)
	x.found = x.state.Findings()
	x.ofRedis(ctx)
	x.database(ctx)
	if !x.state.RedisDown() {
		x.strangers(ctx)
		x.backlog()
	}
	x.queues()
	for _, f := range x.found { // of checks that have no line of their own
		x.add(f)
	}
	return x.lines, nil
}

func (x *examination) say(check string, l health.Level, hint, format string, args ...any) {
	x.lines = append(x.lines, health.Line{Check: check, Verdict: l, Detail: fmt.Sprintf(format, args...), Hint: hint})
}

// judged adds what was found of a check; where nothing was, that it is fine, with the detail.
func (x *examination) judged(check, detail string, args ...any) {
	fine := true
	x.found = slices.DeleteFunc(x.found, func(f health.Finding) bool {
		if f.Check == check {
			x.add(f)
			fine = false
		}
		return f.Check == check
	})
	if fine && detail != "" {
		x.say(check, health.Fine, "", detail, args...)
	}
}

func (x *examination) add(f health.Finding) {
	detail := f.Text
	if f.Cause != nil {
		detail += " " + f.Cause.Error()
	}
	x.say(f.Check, f.Level, f.Hint, "%s", detail)
}

// ofRedis tells how Redis is, and how it is set up.
func (x *examination) ofRedis(ctx context.Context) {
	h := x.state.Redis
	if x.state.RedisDown() {
		x.judged("redis", "")
		x.cluster(ctx)
		return
	}
	x.judged("redis", "answers in %s", h.Latency.Round(time.Microsecond))
	x.judged("redis latency", "")
	if deep := x.state.Deep; deep != nil {
		x.judged("redis clock", "%s away from this machine's", deep.Skew.Round(time.Millisecond))
	}
	x.rights()
	if x.state.Deep != nil {
		x.judged("redis writes", "let through")
	}
	x.cluster(ctx)
	if !h.Told {
		x.judged("redis statistics", "")
		return
	}
	x.judged("redis version", "%s", orUnknown(h.Version))
	x.judged("redis persistence", "append-only file, appendfsync %s", orUnknown(h.Fsync))
	x.judged("redis eviction", "maxmemory-policy %s", orUnknown(h.Policy))
	x.memory()
	if rate, ok := h.HitRate(); ok {
		x.judged("redis hit rate", "%.1f %% of %d reads of keys since it started", 100*rate, h.Hits+h.Misses)
	} else {
		x.judged("redis hit rate", "nothing was read yet")
	}
	x.judged("redis fragmentation", "%.2f", h.Fragmentation)
}

// rights says which permissions the user of Redis lacks.
func (x *examination) rights() {
	for i := range x.found {
		if errors.Is(x.found[i].Cause, rdb.ErrRights) {
			x.found[i].Hint = health.RightsHint(x.Config.Redis.Prefix)
		}
	}
	x.judged("redis rights", "this user may do what the scripts do")
}

// memory shows the memory of Redis. That it has no limit is of the setup: the dashboard does
// not judge it.
func (x *examination) memory() {
	h := x.state.Redis
	if h.MaxMemory == 0 {
		x.say("redis memory", health.Warning, "set maxmemory below the machine's memory",
			"%s used, no maxmemory: Redis may take the whole machine", mib(h.UsedMemory))
		return
	}
	x.judged("redis memory", "%s of %s used, %s evicted", mib(h.UsedMemory), mib(h.MaxMemory),
		counted(h.Evicted, "key", "keys"))
}

// cluster tells of each master of a Redis Cluster that does not do its part.
func (x *examination) cluster(ctx context.Context) {
	for _, trouble := range x.Inspect.ClusterTroubles(ctx) {
		x.say("redis cluster", health.Failure,
			"start a master that has no replica; end a move that was broken off with `redis-cli --cluster fix`", "%s",
			trouble)
	}
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func orUnknown(s string) string { return cmp.Or(s, "unknown") }

// database tells how the database is, and what of it does not need Redis.
func (x *examination) database(ctx context.Context) {
	x.judged("database", "%s answers in %s", x.Store.Dialect(), x.state.Database.Round(time.Microsecond))
	if x.Store.Pooled() {
		x.say("connection pooler", health.Fine, "",
			"between here and the database: each transaction sets its own limits")
	}
	if x.state.DatabaseErr != nil {
		return
	}
	deep := x.state.Deep
	if deep == nil { // Redis is down, and the tables can be looked at all the same
		outstanding, err := x.Store.Outstanding(ctx)
		deep = &health.Deep{Outstanding: outstanding, Tables: err}
		x.found = append(x.found, deep.Findings()...)
	}
	x.judged("tables", "up to date")
	if deep.Tables == nil || errors.Is(deep.Tables, fault.ErrUnfit) {
		x.columns(ctx)
	}
	if deep.Tables == nil && len(deep.Outstanding) == 0 {
		if x.state.Deep != nil {
			x.watches()
			x.judged("database writes", "let through")
			x.judged("database durability", "what it has committed outlives a crash")
			x.partitions(ctx)
			x.judged("pairing", "Redis and the database belong together")
			x.judged("redis state", "no loss that is not acknowledged")
		}
		if !x.over.Embedded { // a program asks who is there by itself
			x.tokens(ctx)
		}
	}
}

// watches reports the triggers that note what other programs write.
func (x *examination) watches() {
	x.judged("watches", "")
	for _, w := range x.state.Deep.Watches {
		x.judged(health.WatchCheck(w), "triggers note what other programs write, %s waiting", health.Waiting(w))
		for _, line := range w.Blind {
			x.say(health.WatchCheck(w), health.Fine, "", "%s", line)
		}
	}
}

// columns reports how the tables' columns hold their fields.
func (x *examination) columns(ctx context.Context) {
	verdicts, err := survey.Of(x.Store.Store).Verdicts(ctx)
	if err != nil {
		x.say("columns", health.Failure, health.DatabaseHint(err), "%v", err)
		return
	}
	exact := 0
	for _, v := range verdicts {
		switch v.Hold {
		case catalog.Exact:
			exact++
		case catalog.Refused:
			x.say("columns", health.Failure, v.Fix, "%s", v)
		default:
			x.say("columns", health.Fine, "", "%s", v)
		}
	}
	x.say("columns", health.Fine, "", "%d of %d hold their fields exactly", exact, len(verdicts))
	x.warned(ctx, "triggers", survey.Of(x.Store.Store).Unseen)
	x.warned(ctx, "rights", survey.Of(x.Store.Store).Rights)
}

// warned tells what a look at the tables finds: lines of a text, and behind a "; " what to do.
func (x *examination) warned(ctx context.Context, check string, look func(context.Context) ([]string, error)) {
	lines, err := look(ctx)
	if err != nil {
		x.say(check, health.Failure, health.DatabaseHint(err), "%v", err)
	}
	for _, line := range lines {
		text, fix, _ := strings.Cut(line, "; ")
		x.say(check, health.Warning, fix, "%s", text)
	}
}

func (x *examination) partitions(ctx context.Context) {
	if err := x.SamePartitions(ctx, x.Config.Entities); err != nil {
		x.say("partitions", health.Failure, "run every process with the same configuration", "%v", err)
		return
	}
	x.say("partitions", health.Fine, "", "as configured")
}

// strangers looks for what waits of entities that the configuration does not name.
func (x *examination) strangers(ctx context.Context) {
	strangers, err := x.Pending.Strangers(ctx, x.Config.Entities)
	if err != nil {
		x.say("entities", health.Failure, "see the detail", "%v", err)
	}
	for _, e := range strangers {
		x.say("entities", health.Failure, "put the entity back into the configuration until `afterwrite flush` is done",
			"records of %s wait for the database, but the configuration does not name it", e.Name)
	}
}

// backlog reports what is pending, and which workers flush it.
func (x *examination) backlog() {
	for _, e := range x.state.Entities {
		t := e.Total
		x.judged("backlog of "+e.Entity.Name, "%d pending, %d held, %d dead of at most %d, lag %s",
			t.Pending, t.Held, t.Dead, e.Entity.Flush.MaxPending, e.Lag(x.state.At).Round(time.Millisecond))
	}
	x.judged("workers", "%d alive", x.state.Workers())
	x.judged("processes", "%s, none of which reports a problem",
		counted(int64(len(x.state.Processes)), "process reports", "processes report"))
}

func (x *examination) queues() {
	for i, f := range x.found {
		if f.Check == "queue" && x.Config.Queue.RedisURL == "" {
			x.found[i].Hint = health.RedisHint(f.Cause, "redis.url")
		}
	}
	for _, s := range x.state.Queues {
		x.judged("queue "+s.Queue, "%d pending, %d active, %d scheduled, %d in retry, oldest %s",
			s.Pending, s.Active, s.Scheduled, s.Retry, s.Latency.Round(time.Millisecond))
	}
	if len(x.state.Queues) == 0 {
		x.judged("queue", "no sync task yet")
	}
}

// tokens says who may use the API.
func (x *examination) tokens(ctx context.Context) {
	addr := x.Config.API.Addr
	switch living, err := x.Store.LivingTokens(ctx); {
	case err != nil:
		x.say("tokens", health.Warning, "run `afterwrite migrate`", "%v", err)
	case !TokensRequired(x.Config) && !peer.Loopback(addr):
		x.say("tokens", health.Warning, "leave it so only while something in front asks who is there",
			"api.insecure: other machines reach %s and are asked for no token", addr)
	case !TokensRequired(x.Config):
		x.say("tokens", health.Fine, "", "not needed: only this machine reaches %s", addr)
	case len(living) == 0:
		x.say("tokens", health.Warning, "afterwrite token new NAME --scope '*:read,write'",
			"the API refuses every request: there is no token")
	default:
		x.say("tokens", health.Fine, "", "%s active", counted(int64(len(living)), "is", "are"))
	}
}

func counted(n int64, one, many string) string {
	return fmt.Sprintf("%d %s", n, text.Plural(n, one, many))
}
