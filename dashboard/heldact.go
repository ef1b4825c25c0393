package dashboard

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/dashboard/internal/held"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
)

// newerStands answers who acts on a held record that is no longer what was looked at.
const newerStands = "A newer write, a worker or another operator was faster: the record is no longer held at that version, and its newer state stands."

// heldNamed reads which held record, at which version, a request is about.
func (d *dashboard) heldNamed(q url.Values) (operate.Held, error) {
	e := d.entityNamed(q.Get("entity"))
	version, err := strconv.ParseInt(q.Get("version"), 10, 64)
	if e == nil || err != nil || version < 1 {
		return operate.Held{}, schema.Invalid("version", "does not name a record with its entity and its id")
	}
	id, err := e.CanonicalID(clip(q.Get("id"), schema.MaxIDBytes+1))
	return operate.Held{Entity: e, ID: id, Version: schema.Version(version)}, err
}

// parseHeld reads which held records an action is about: the one at a version, or all of
// the filter.
func (d *dashboard) parseHeld(q url.Values) (s selection, err error) {
	s.do, s.held = q.Get("do"), true
	switch {
	case s.do != "retry" && s.do != "discard":
		return s, schema.Invalid("do", "is neither retry nor discard")
	case q.Has("version"):
		one, err := d.heldNamed(q)
		s.one = &one
		return s, err
	case q.Get("all") != "1":
		return s, schema.Invalid("all", "must be 1: take all of the filter")
	}
	s.filter, err = filter.Parse(q)
	return s, err
}

func (d *dashboard) confirmHeld(w http.ResponseWriter, r *http.Request) {
	s, err := d.parseHeld(r.URL.Query())
	d.confirmSelected(w, r, s, err)
}

func (d *dashboard) actHeld(w http.ResponseWriter, r *http.Request) {
	s, err := d.parseHeld(r.PostForm)
	d.actOn(w, r, s, err)
}

// firstHeld are the first records of a selection, in the order of the page.
func (d *dashboard) firstHeld(ctx context.Context, s selection) ([]confirmRow, error) {
	row := func(e *schema.Entity, id string, why schema.Refusal) confirmRow {
		return confirmRow{template.URL("record?" + query("entity", e.Name, "id", id)), e.Name, id, why}
	}
	if s.one != nil {
		state, err := d.Records.Status(ctx, s.one.Entity, s.one.ID)
		if err != nil || state.Refusal == nil {
			return nil, err
		}
		return []confirmRow{row(s.one.Entity, s.one.ID, *state.Refusal)}, nil
	}
	walk := held.Begin(d.Records, d.snapshot(ctx).Entities, s.filter.Entity, held.Place{})
	found, _, err := walk.Rows(ctx, s.filter.LetterFilter, shownFirst)
	rows := make([]confirmRow, len(found))
	for i, h := range found {
		rows[i] = row(h.Entity, h.ID, h.Refusal)
	}
	return rows, err
}

// actOnHeld retries or discards one held record, and goes back to its page.
func (d *dashboard) actOnHeld(w http.ResponseWriter, r *http.Request, s selection) {
	do, said := d.Letters.RetryOne, "triedagain"
	if s.do == "discard" {
		do, said = d.Letters.DiscardOne, "discarded"
	}
	err := do(r.Context(), *s.one, who(r).actor())
	switch {
	case errors.Is(err, operate.ErrStale):
		said = "stale"
	case !operate.Done(err):
		d.broken(w, r, s.do+" a held record", err)
		return
	}
	d.groupings.Changed()
	redirect(w, r, "record?"+query("entity", s.one.Entity.Name, "id", s.one.ID, "said", said)+auditedBy(err))
}

// retryHeld sends one held record back to the database, at the version that was looked at.
func (d *dashboard) retryHeld(w http.ResponseWriter, r *http.Request) {
	one, err := d.heldNamed(r.PostForm)
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	d.actOnHeld(w, r, selection{do: "retry", held: true, one: &one})
}

// editBody is the page on which a held record is edited.
type editBody struct {
	editForm
	Entity  string
	ID      string
	Version schema.Version // that the edit is about
	again   schema.Version // that is held now, where it is another
	Refusal *schema.Refusal
}

func (d *dashboard) editPage(w http.ResponseWriter, r *http.Request) {
	one, err := d.heldNamed(r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	body, held, err := d.editBody(r.Context(), one)
	switch {
	case err != nil:
		d.broken(w, r, "edit a held record", err)
	case !held:
		redirect(w, r, "record?"+query("entity", one.Entity.Name, "id", one.ID, "said", "stale"))
	default:
		d.show(w, r, http.StatusOK, "edit", "Edit "+body.Entity+" "+body.ID, body)
	}
}

// editBody reads the record beside its row, and whether it is held at the version. A
// deletion has nothing to edit.
func (d *dashboard) editBody(ctx context.Context, h operate.Held) (*editBody, bool, error) {
	found := recordBody{ID: h.ID, At: time.Now()}
	if err := d.fillRecord(ctx, h.Entity, &found); err != nil {
		return nil, false, err
	}
	now := found.State.Record
	body := &editBody{Entity: h.Entity.Name, ID: h.ID, Version: h.Version, Refusal: found.State.Refusal}
	body.Fields = found.Fields
	if now.Status == schema.Held && !now.Deleted {
		body.again = now.Version
	}
	return body, now.Status == schema.Held && now.Version == h.Version && !now.Deleted, nil
}

// editHeld takes the form's values and writes those that were changed, at the version that
// was looked at.
func (d *dashboard) editHeld(w http.ResponseWriter, r *http.Request) {
	one, err := d.heldNamed(r.PostForm)
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	body, held, err := d.editBody(r.Context(), one)
	if err != nil {
		d.broken(w, r, "edit a held record", err)
		return
	}
	changes, stale := body.changes(r), newerStands
	switch {
	case !held:
		if body.again > 0 {
			body.Version = body.again
			stale = "A newer write was accepted and refused, too. What you typed is kept: compare it with the values that are held now, and send it again."
		}
		err = operate.ErrStale
	case len(changes) == 0:
		err = unchanged
	default:
		_, err = d.Letters.EditOne(r.Context(), one, changes, who(r).actor())
	}
	if operate.Done(err) {
		d.groupings.Changed()
		redirect(w, r, "record?"+query("entity", body.Entity, "id", body.ID, "said", "edited")+auditedBy(err))
		return
	}
	if status := body.refuse(err, stale); status > 0 {
		d.show(w, r, status, "edit", "Edit "+body.Entity+" "+body.ID, body)
		return
	}
	d.broken(w, r, "edit a held record", err)
}
