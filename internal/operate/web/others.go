package web

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// invalidate drops persisted records from the cache, by ids or by a glob over them.
func (a *Admin) invalidate(r *http.Request, by ledger.Actor, _ http.Header) (int, any, error) {
	var body struct {
		Entity string           `json:"entity"`
		IDs    []jsontext.Value `json:"ids"`
		Match  string           `json:"match"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	e, err := a.entity(body.Entity)
	if err != nil {
		return 0, nil, err
	}
	if (len(body.IDs) > 0) == (body.Match != "") {
		return 0, nil, schema.Invalid("ids", "or match must be given, not both")
	}
	if len(body.IDs) > MaxIDs {
		return 0, nil, problem.TooMany("ids", MaxIDs)
	}
	ids, err := canonicalIDs(e, body.IDs)
	if err != nil {
		return 0, nil, err
	}
	detail := map[string]any{"ids": len(ids)}
	var dropped int
	if body.Match != "" {
		detail = map[string]any{"match": body.Match}
		dropped, err = a.cache.InvalidateMatch(r.Context(), e, body.Match, nil)
	} else {
		dropped, err = a.cache.Invalidate(r.Context(), e, ids)
	}
	if err != nil {
		return 0, nil, err
	}
	detail["dropped"] = dropped
	entry := ledger.AuditEntry{Actor: by, Action: "cache.invalidate", Entity: e.Name, Detail: detail}
	return http.StatusOK, map[string]any{"entity": e.Name, "dropped": dropped}, a.operator.Note(r.Context(), entry)
}

// pause stops the flushing of an entity, or of some of its partitions.
func (a *Admin) pause(r *http.Request, by ledger.Actor, _ http.Header) (int, any, error) {
	return setFlushing(r, by, a.operator.Pause)
}

// resume starts it again.
func (a *Admin) resume(r *http.Request, by ledger.Actor, _ http.Header) (int, any, error) {
	return setFlushing(r, by, a.operator.Resume)
}

// flushNow orders the flush of all that waits of an entity.
func (a *Admin) flushNow(r *http.Request, by ledger.Actor, _ http.Header) (int, any, error) {
	var body struct {
		Entity string `json:"entity"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	now, err := a.operator.FlushNow(r.Context(), body.Entity, by)
	return http.StatusAccepted, FlushedNow{body.Entity, now.Pending, now.Held, len(now.Orders), now.Paused}, err
}

func setFlushing(r *http.Request, by ledger.Actor, set func(context.Context, string, []int, ledger.Actor) (int,
	error)) (int, any, error) {
	var body struct {
		Entity     string `json:"entity"`
		Partitions []int  `json:"partitions"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	changed, err := set(r.Context(), body.Entity, body.Partitions, by)
	return http.StatusOK, map[string]any{"entity": body.Entity, "changed": changed}, err
}

// canonicalIDs reads ids as they are in answers: numbers for an int id, else strings.
func canonicalIDs(e *schema.Entity, values []jsontext.Value) ([]string, error) {
	ids := make([]string, len(values))
	for i, value := range values {
		text, err := scalar(value)
		if err != nil || value.Kind() == 'n' {
			return nil, schema.Invalid("ids", "must be ids")
		}
		if ids[i], err = e.CanonicalID(text); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// audit answers what was done, the newest first.
func (a *Admin) audit(r *http.Request, _ ledger.Actor, h http.Header) (int, any, error) {
	q := queryOf(r)
	limit := int(q.number("limit", 1, MaxLimit, DefaultLimit))
	query := ledger.AuditQuery{Entity: q.text("entity"), ID: q.text("id"), Before: q.number("after", 1, 1<<53, 0),
		Limit: limit + 1}
	if err := q.end(); err != nil {
		return 0, nil, err
	}
	entries, err := a.operator.Audit(r.Context(), query)
	if err != nil {
		return 0, nil, err
	}
	if len(entries) == 0 {
		if err := a.known(r.Context(), query.Entity); err != nil {
			return 0, nil, err
		}
	}
	page := AuditPage{Entries: []AuditEntry{}}
	if len(entries) > limit {
		entries = entries[:limit]
		page.Next = &entries[limit-1].Number
	}
	for _, e := range entries {
		page.Entries = append(page.Entries, AuditEntryOf(e, a.named(e.Entity), formOf(h)))
	}
	return http.StatusOK, page, nil
}

// stats answers the figures of every entity.
func (a *Admin) stats(r *http.Request, _ ledger.Actor, _ http.Header) (int, any, error) {
	if err := queryOf(r).end(); err != nil {
		return 0, nil, err
	}
	list := make([]Stats, 0, len(a.entities))
	for _, e := range a.entities {
		stats, err := a.cache.Stats(r.Context(), e)
		if err != nil {
			return 0, nil, err
		}
		list = append(list, StatsOf(e, pending.Total(stats)))
	}
	return http.StatusOK, map[string]any{"entities": list}, nil
}
