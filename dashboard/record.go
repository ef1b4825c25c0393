package dashboard

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Records is the state in Redis, record by record. A cache.Cache is one.
type Records interface {
	values.Cache // whose tags are invalidated
	Status(ctx context.Context, e *schema.Entity, id string) (cache.State, error)
	HeldFrom(ctx context.Context, places []pending.HeldIn, limit int) (held [][]pending.Waiting, more []bool, err error)
	Events(ctx context.Context, entities []*schema.Entity, since time.Time) iter.Seq2[events.Stored, error]
	Invalidate(ctx context.Context, e *schema.Entity, ids []string) (int, error)
	InvalidateMatch(ctx context.Context, e *schema.Entity, pattern string, progress func(dropped int)) (int, error)
	Big(ctx context.Context, sample, largest int) (inspect.Usage, error)
	Pause(ctx context.Context, e *schema.Entity, partitions ...int) (int, error)
	Resume(ctx context.Context, e *schema.Entity, partitions ...int) (int, error)
}

// Rows is the state in the database. A store.Store is one.
type Rows interface {
	Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error)
}

// Auditor keeps what was done. A store.Store is one.
type Auditor interface {
	Audit(ctx context.Context, entry ledger.AuditEntry) error
}

// tell audits an action that nothing else audits. It has been done, so a failure is
// logged, and the next page says so if the returned parameter is in its address.
func (d *dashboard) tell(r *http.Request, action string, e *schema.Entity, id string, detail map[string]any) string {
	p := who(r)
	d.Log.InfoContext(r.Context(), "done by an operator", "action", action, "entity", e.Name, "id", id, "user", p.Name)
	if d.Audit == nil {
		return ""
	}
	entry := ledger.AuditEntry{Actor: p.actor(), Action: action, Entity: e.Name, ID: id, Detail: detail}
	if err := d.Audit.Audit(context.WithoutCancel(r.Context()), entry); err != nil {
		d.Log.ErrorContext(r.Context(), "not audited", "action", action, "entity", e.Name, "id", id, "user", p.Name,
			"error", err)
		return unaudited
	}
	return ""
}

// unaudited is the parameter of a page whose action is done, but not in the audit.
const (
	unaudited     = "&unaudited=1"
	unauditedText = " It is not in the audit: the database did not take the entry, and the log has it."
)

// auditedBy is [unaudited] for an action that is not in the audit, else "".
func auditedBy(err error) string {
	if errors.Is(err, operate.ErrNotAudited) {
		return unaudited
	}
	return ""
}

// eventsBack is how far the events of a record are looked for.
const eventsBack = 24 * time.Hour

// recordBody is the page of one record, wherever it is.
type recordBody struct {
	Entity string
	ID     string
	Error  string // what is wrong with the look-up
	Shown  bool
	State  cache.State
	Row    schema.Row
	RowErr error
	Fields []fieldRow
	Where  string // of its partition
	Events []events.Event
	Whole  bool // no event since eventsBack is missing
	Audit  []ledger.AuditEntry
	MayAct bool
	At     time.Time
}

// Word is the record's status, or that there is none.
func (b recordBody) Word() string {
	if b.State.Record.Status == schema.Persisted && !b.Row.Exists && b.RowErr == nil {
		return "absent"
	}
	return string(b.State.Record.Status)
}

// Standing says in one sentence where the record is.
func (b recordBody) Standing() string {
	s := b.State
	switch {
	case s.Record.Status == schema.Dead:
		return "The database refused it until its policy was exhausted; it is dead until an operator resolves it."
	case s.Record.Status == schema.Held:
		return "The database refused it; it awaits retry."
	case s.Record.Status == schema.Pending:
		return "Accepted, and on its way to the database."
	case b.RowErr != nil:
		return "The database is not responding, so its row is not shown."
	case s.Cached && s.Record.Deleted, !s.Cached && !b.Row.Exists:
		return "There is no such record."
	case s.Cached:
		return "The database has it, and reads are answered by the cache."
	}
	return "The database has it; it is not cached, and the next read loads it."
}

func (d *dashboard) record(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	body := recordBody{Entity: q.Get("entity"), ID: clip(q.Get("id"), schema.MaxIDBytes), MayAct: who(r).May(Operator),
		At: time.Now()}
	if body.ID == "" {
		d.show(w, r, http.StatusOK, "record", "Record", body)
		return
	}
	e := d.entityNamed(body.Entity)
	if e == nil {
		body.Error = "There is no such entity in the configuration."
		d.show(w, r, http.StatusNotFound, "record", "Record", body)
		return
	}
	id, err := e.CanonicalID(body.ID)
	if err != nil {
		body.Error = format.Brief(err)
		d.show(w, r, http.StatusUnprocessableEntity, "record", "Record", body)
		return
	}
	body.ID = id
	if err := d.fillRecord(r.Context(), e, &body); err != nil {
		d.broken(w, r, "look up a record", err)
		return
	}
	d.render(w, r, http.StatusOK, "record", page{Title: e.Name + " " + id, Refresh: d.refresh(r), At: body.At,
		Body: body})
}

func (d *dashboard) fillRecord(ctx context.Context, e *schema.Entity, body *recordBody) (err error) {
	if body.State, err = d.Records.Status(ctx, e, body.ID); err != nil {
		return err
	}
	body.Shown, body.Where = true, "partition "+strconv.Itoa(e.Partition(body.ID))+" of "+strconv.Itoa(e.Partitions)
	body.Row.ID = body.ID
	if d.Rows != nil {
		loaded, err := d.Rows.Load(ctx, e, []string{body.ID})
		body.RowErr = err
		body.Row.Values, body.Row.Exists = loaded[body.ID], loaded[body.ID] != nil
	}
	body.Fields = sides(e, body.State, body.Row)
	if body.Events, body.Whole, err = d.eventsOf(ctx, e, body.ID); err != nil {
		return err
	}
	if d.Letters != nil {
		// A database that is down leaves this list empty; the page says that it is down.
		body.Audit, _ = d.Letters.Audit(ctx, ledger.AuditQuery{Entity: e.Name, ID: body.ID, Limit: 20})
	}
	return nil
}

// eventsOf are the events of one record, and whether none since eventsBack is missing.
func (d *dashboard) eventsOf(ctx context.Context, e *schema.Entity, id string) ([]events.Event, bool, error) {
	var events []events.Event
	whole := true
	for kept, err := range d.Records.Events(ctx, []*schema.Entity{e}, time.Now().Add(-eventsBack)) {
		if err != nil {
			return nil, false, err
		}
		whole = whole && kept.Events != nil
		for _, one := range kept.Events {
			if one.ID == id {
				events = append(events, one)
			}
		}
	}
	return events, whole, nil
}

// sides compares the cached record with its row.
func sides(e *schema.Entity, s cache.State, row schema.Row) []fieldRow {
	v := operate.View{Row: row}
	if s.Cached && !s.Record.Deleted {
		v.Payload = string(e.AppendFields(nil, s.Record.Values))
	}
	if s.Refusal != nil {
		v.Refusal = *s.Refusal
	}
	return compare(e, v)
}

func (d *dashboard) invalidate(w http.ResponseWriter, r *http.Request) {
	e := d.entityNamed(r.PostFormValue("entity"))
	if e == nil {
		d.notFound(w, r)
		return
	}
	id, err := e.CanonicalID(clip(r.PostFormValue("id"), schema.MaxIDBytes+1))
	if err != nil {
		d.fail(w, r, http.StatusUnprocessableEntity, format.Brief(err))
		return
	}
	n, err := d.Records.Invalidate(r.Context(), e, []string{id})
	if err != nil {
		d.broken(w, r, "invalidate", err)
		return
	}
	said, audited := "kept", ""
	if n > 0 {
		said, audited = "invalidated", d.tell(r, "cache.invalidate", e, id, nil)
	}
	redirect(w, r, "record?"+query("entity", e.Name, "id", id, "said", said)+audited)
}
