package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
)

// entityBody is the page of one entity: its figures by partition, and its settings.
type entityBody struct {
	Row        entityRow
	Known      bool
	Findings   []finding
	Partitions []partitionRow
	Settings   []setting
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
	i := slices.IndexFunc(s.entities, func(f entityFigures) bool { return f.entity.Name == r.PathValue("entity") })
	if i < 0 {
		d.notFound(w, r)
		return
	}
	f := s.entities[i]
	body := entityBody{Row: row(f.entity.Name, f, s.at), Known: f.err == nil, Findings: f.findings(s.at), Settings: settings(f.entity)}
	for _, p := range f.partitions {
		one := entityFigures{entity: f.entity, total: p}
		body.Partitions = append(body.Partitions, partitionRow{
			entityRow: row(strconv.Itoa(p.Partition), one, s.at), Newest: newest(p.LastVersion), Flag: flag(p.FlagUntil, s.at),
			Heat: heat(p, s.at),
		})
	}
	d.render(w, r, http.StatusOK, "entity", page{Title: f.entity.Name, Root: root(r), Refresh: d.refresh(r), At: s.at, Body: body})
}

// heat says how late a partition is, in steps of which each is ten times the one before.
func heat(p cache.Stats, now time.Time) int {
	if p.Pending == 0 {
		return 0
	}
	lag, step := now.Sub(p.OldestPending), 1
	for bound := time.Second; lag >= bound && step < 4; bound *= 10 {
		step++
	}
	return step
}

func newest(v afterwrite.Version) string {
	if v == 0 {
		return "—"
	}
	return v.String()
}

// flag says whether a sync task of a partition is ordered or running.
func flag(until, now time.Time) string {
	if until.After(now) {
		return "ordered"
	}
	return "none"
}

func settings(e *afterwrite.Entity) []setting {
	n := func(i int) string { return number(int64(i)) }
	return []setting{
		{"table", e.Table},
		{"write", string(e.Write)},
		{"partitions", n(e.Partitions)},
		{"flush.batch", n(e.Flush.Batch)},
		{"flush.delay", duration(e.Flush.Delay)},
		{"flush.max_pending", n(e.Flush.MaxPending)},
		{"records before a partition refuses new ones", n(e.PartitionLimit())},
		{"flush.queue", e.Flush.Queue},
		{"cache.ttl", duration(e.Cache.TTL)},
		{"cache.negative_ttl", duration(e.Cache.NegativeTTL)},
		{"retry.max_attempts", n(e.Retry.MaxAttempts)},
	}
}
