package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
)

// entityBody is the page of one entity: its figures by partition, and its settings.
type entityBody struct {
	Row        entityRow
	Known      bool
	Findings   []finding
	Partitions []partitionRow
	Settings   []setting
	Paused     bool // some partition's flushing is
	Tunes      bool
	MayAct     bool
}

type partitionRow struct {
	entityRow
	Newest string // version that was given last
	Flag   string // what the scheduled flag says
	Heat   int    // of its cell in the strip, 0 to 4
}

type setting struct{ Name, Value string }

func (d *dashboard) entity(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	i := slices.IndexFunc(s.Entities, func(f health.Entity) bool { return f.Entity.Name == r.PathValue("entity") })
	if i < 0 {
		d.notFound(w, r)
		return
	}
	f := s.Entities[i]
	body := entityBody{Row: row(f.Entity.Name, f, s), Known: f.Err == nil, Settings: settings(f.Entity),
		Paused: f.Total.Paused, Tunes: d.Records != nil && who(r).May(Admin), MayAct: d.Letters != nil &&
			who(r).May(Operator)}
	f.Why = d.reasons(r.Context(), s)[f.Entity.Name]
	body.Findings = shown(f.Findings(s.At, s.working()))
	for _, p := range f.Partitions {
		one := health.Entity{Entity: f.Entity, Partitions: []pending.Stats{p}, Total: p}
		body.Partitions = append(body.Partitions, partitionRow{
			entityRow: row(strconv.Itoa(p.Partition), one, s), Newest: newest(p.LastVersion), Flag: flag(p, s.At),
			Heat: heat(p, s.At),
		})
	}
	d.render(w, r, http.StatusOK, "entity", page{Title: f.Entity.Name, Root: root(r), Refresh: d.refresh(r), At: s.At,
		Body: body})
}

// heat says how late a partition is, in steps of which each is ten times the one before.
func heat(p pending.Stats, now time.Time) int {
	if p.Pending == 0 {
		return 0
	}
	lag, step := now.Sub(p.OldestPending), 1
	for bound := time.Second; lag >= bound && step < 4; bound *= 10 {
		step++
	}
	return step
}

func newest(v schema.Version) string {
	if v == 0 {
		return "—"
	}
	return v.String()
}

// flag says whether a sync task of a partition is ordered or running.
func flag(p pending.Stats, now time.Time) string {
	switch {
	case p.Paused:
		return "paused"
	case p.FlagUntil.After(now):
		return "ordered"
	}
	return "none"
}

// pauseEntity stops the flushing of an entity, or starts it again. Writes are accepted all
// the while, and the overview says that it is paused.
func (d *dashboard) pauseEntity(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(d.Entities, func(e *schema.Entity) bool { return e.Name == r.PathValue("entity") })
	if i < 0 || d.Records == nil {
		d.notFound(w, r)
		return
	}
	e := d.Entities[i]
	action, said, do := "flush.pause", "flushpaused", d.Records.Pause
	if r.PostFormValue("do") == "resume" {
		action, said, do = "flush.resume", "flushresumed", d.Records.Resume
	}
	if action == "flush.pause" && d.production() && r.PostFormValue("typed") != e.Name {
		d.fail(w, r, http.StatusUnprocessableEntity, "Nothing was changed: type the entity's name to confirm.")
		return
	}
	changed, err := do(r.Context(), e)
	if err != nil {
		d.broken(w, r, action, err)
		return
	}
	d.reading.forget()
	audited := d.tell(r, action, e, "", map[string]any{"changed": changed})
	redirect(w, r, "entities/"+e.Name+"?said="+said+audited)
}

// flushNow orders the flush of all that waits, held records included.
func (d *dashboard) flushNow(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("entity")
	now, err := d.Letters.FlushNow(r.Context(), name, who(r).actor())
	if !operate.Done(err) {
		d.broken(w, r, "flush at once", err)
		return
	}
	d.reading.forget()
	d.Log.InfoContext(r.Context(), "done by an operator", "action", "flush.now", "entity", name, "user", who(r).Name,
		"pending", now.Pending, "held", now.Held, "partitions", len(now.Orders))
	said := "flushednow"
	switch {
	case len(now.Orders) == 0 && now.Paused > 0:
		said = "flushpausednow"
	case len(now.Orders) == 0:
		said = "flushnothing"
	}
	redirect(w, r, "entities/"+name+"?said="+said+auditedBy(err))
}

func settings(e *schema.Entity) []setting {
	n := func(i int) string { return format.Number(int64(i)) }
	return []setting{
		{"table", e.Table},
		{"write", string(e.Write)},
		{"partitions", n(e.Partitions)},
		{"flush.batch", n(e.Flush.Batch)},
		{"flush.delay", format.Duration(e.Flush.Delay)},
		{"flush.max_pending", n(e.Flush.MaxPending)},
		{"records before a partition refuses new ones", n(e.PartitionLimit())},
		{"flush.queue", e.Flush.Queue},
		{"cache.ttl", format.Duration(e.Cache.TTL)},
		{"cache.negative_ttl", format.Duration(e.Cache.NegativeTTL)},
		{"retry.max_attempts", n(e.Retry.MaxAttempts)},
	}
}
