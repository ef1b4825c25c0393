package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard/internal/export"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
)

// export streams lines as CSV or JSON, as ?format= asks, a page at a time: next returns
// no line at the end. JSON is a list of objects whose values are strings.
func (d *dashboard) export(w http.ResponseWriter, r *http.Request, name string, columns []string,
	next func() ([][]string, error)) {
	format := r.URL.Query().Get("format")
	out, kind := export.New(format, w)
	if out == nil {
		d.fail(w, r, http.StatusBadRequest, "format is csv or json.")
		return
	}
	some, err := next()
	if err != nil {
		d.broken(w, r, "export", err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="afterwrite-`+name+"."+format+`"`)
	out.Begin(columns)
	deadline := http.NewResponseController(w)
	for n := 0; len(some) > 0 && n < export.Max; n += export.Page {
		_ = deadline.SetWriteDeadline(time.Now().Add(time.Minute)) // not every server has one
		for _, line := range some {
			if out.Line(line) != nil {
				return // the viewer has left
			}
		}
		if some, err = next(); err != nil {
			d.Log.WarnContext(r.Context(), "export cut off", "of", name, "error", err)
			panic(http.ErrAbortHandler) // half a file must not look whole
		}
	}
	out.End()
}

// exportList is export for what is whole in memory.
func (d *dashboard) exportList(w http.ResponseWriter, r *http.Request, name string, columns []string, list [][]string) {
	d.export(w, r, name, columns, func() ([][]string, error) {
		some := list
		list = nil
		return some, nil
	})
}

// list is what a page shows as a table, whole.
type list struct {
	columns []string
	lines   [][]string
}

// exportNamed exports one of the short lists: ?entity=, ?id=, ?queue= and ?state= say which.
func (d *dashboard) exportNamed(w http.ResponseWriter, r *http.Request) {
	make := map[string]func(*http.Request) (list, error){
		"entities": d.listEntities, "partitions": d.listPartitions, "queues": d.listQueues, "tasks": d.listTasks,
		"policies": d.listPolicies, "policy": d.listHistory, "events": d.listEvents,
	}[r.PathValue("list")]
	if make == nil {
		d.notFound(w, r)
		return
	}
	l, err := make(r)
	if err != nil {
		d.broken(w, r, "export", err)
		return
	}
	d.exportList(w, r, r.PathValue("list"), l.columns, l.lines)
}

var figureColumns = []string{
	"oldest_pending", "pending", "held", "dead", "accepted", "persisted", "superseded", "discarded", "lost",
	"imbalance", "paused", "conflicts",
}

func figureLine(first string, s pending.Stats) []string {
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	return []string{
		first, export.Stamp(s.OldestPending), n(s.Pending), n(s.Held), n(s.Dead), n(s.Accepted), n(s.Persisted),
		n(s.Superseded), n(s.Discarded),
		n(s.Lost), n(s.Imbalance()), strconv.FormatBool(s.Paused), n(s.Conflicts),
	}
}

func (d *dashboard) listEntities(r *http.Request) (list, error) {
	l := list{columns: append([]string{"entity"}, figureColumns...)}
	for _, f := range d.snapshot(r.Context()).Entities {
		if f.Err != nil {
			return l, f.Err
		}
		l.lines = append(l.lines, figureLine(f.Entity.Name, f.Total))
	}
	return l, nil
}

func (d *dashboard) listPartitions(r *http.Request) (list, error) {
	e, err := d.asked(r)
	if err != nil {
		return list{}, err
	}
	l := list{columns: append([]string{"partition"}, figureColumns...)}
	stats, err := d.Cache.Stats(r.Context(), e)
	for _, s := range stats {
		l.lines = append(l.lines, figureLine(strconv.Itoa(s.Partition), s))
	}
	return l, err
}

// asked is the entity of ?entity=.
func (d *dashboard) asked(r *http.Request) (*schema.Entity, error) {
	if e := d.entityNamed(r.URL.Query().Get("entity")); e != nil {
		return e, nil
	}
	return nil, schema.ErrUnknownEntity
}

func (d *dashboard) listQueues(r *http.Request) (list, error) {
	l := list{columns: []string{
		"queue", "pending", "active", "scheduled", "retry", "archived", "oldest_pending_seconds", "paused",
	}}
	s := d.snapshot(r.Context())
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	for _, q := range s.Queues {
		l.lines = append(l.lines, []string{q.Queue, n(q.Pending), n(q.Active), n(q.Scheduled), n(q.Retry),
			n(q.Archived),
			strconv.FormatFloat(q.Latency.Seconds(), 'f', 3, 64), strconv.FormatBool(q.Paused)})
	}
	return l, s.QueuesErr
}

func (d *dashboard) listTasks(r *http.Request) (list, error) {
	l := list{columns: []string{"queue", "state", "entity", "partition", "generation", "next", "failures", "error"}}
	q := r.URL.Query()
	switch known := slices.ContainsFunc(d.Entities,
		func(e *schema.Entity) bool { return e.Flush.Queue == q.Get("queue") }); {
	case d.tasks == nil || !known:
		return l, schema.Invalid("queue", "is no queue of these entities")
	case !slices.Contains(queue.States, q.Get("state")):
		return l, schema.Invalid("state", "is none of %v", queue.States)
	}
	tasks, err := d.tasks.Tasks(q.Get("queue"), q.Get("state"), queue.MaxTasks)
	for _, t := range tasks {
		l.lines = append(l.lines, []string{t.Queue, t.State, t.Task.Entity, strconv.Itoa(t.Task.Partition),
			strconv.FormatInt(t.Task.Generation, 10), export.Stamp(t.Next), strconv.Itoa(t.Retried), t.Err})
	}
	return l, err
}

func policyLine(p schema.RetryPolicy) (values []string) {
	text := texts(p)
	for _, name := range operate.SettingNames() {
		values = append(values, text(name))
	}
	return values
}

func (d *dashboard) listPolicies(r *http.Request) (list, error) {
	l := list{columns: append([]string{"entity", "version", "set_at", "set_by"}, operate.SettingNames()...)}
	if d.Letters == nil {
		return l, nil
	}
	all, err := d.Letters.Policies(r.Context(), d.Entities...)
	for _, p := range all {
		l.lines = append(l.lines, append([]string{p.Entity, strconv.FormatInt(p.Version, 10),
			export.Stamp(p.SetAt), p.Author}, policyLine(p.Policy)...))
	}
	return l, err
}

func (d *dashboard) listHistory(r *http.Request) (list, error) {
	l := list{columns: append([]string{"version", "set_at", "set_by", "note"}, operate.SettingNames()...)}
	e, err := d.asked(r)
	if err != nil || d.Letters == nil {
		return l, err
	}
	history, err := d.Letters.PolicyHistory(r.Context(), e.Name, maxHistory)
	for _, p := range history {
		l.lines = append(l.lines, append([]string{strconv.FormatInt(p.Version, 10), export.Stamp(p.SetAt), p.Author,
			p.Note}, policyLine(p.Policy)...))
	}
	return l, err
}

func (d *dashboard) listEvents(r *http.Request) (list, error) {
	l := list{columns: []string{"at", "event", "version"}}
	e, err := d.asked(r)
	if err != nil || d.Records == nil {
		return l, err
	}
	id, err := e.CanonicalID(clip(r.URL.Query().Get("id"), schema.MaxIDBytes+1))
	if err != nil {
		return l, err
	}
	events, _, err := d.eventsOf(r.Context(), e, id)
	for _, one := range events {
		l.lines = append(l.lines, []string{export.Stamp(one.At), one.Type, one.Version.String()})
	}
	return l, err
}
