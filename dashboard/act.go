package dashboard

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// confirmBody asks before refused records are retried or discarded: how many, and which.
type confirmBody struct {
	Do      string // retry or discard
	Held    bool   // held records, not dead letters
	Count   int64
	Which   string
	Numbers []int64
	One     *operate.Held
	Filter  filter.Filter
	Rows    []confirmRow // the first few
	Phrase  string       // to be typed in production; "" asks for nothing
	Error   string
	Back    string
}

// Noun is what the confirmation is about.
func (b confirmBody) Noun() string { return nounOf(b.Held, b.Count) }

func nounOf(held bool, n int64) string {
	if held {
		return format.Plural(n, "held record", "held records")
	}
	return format.Plural(n, "dead letter", "dead letters")
}

// confirmRow is one of the records that a confirmation is about.
type confirmRow struct {
	To         template.URL // its page
	Entity, ID string
	Refusal    schema.Refusal
}

// selection is what a confirmation and its action are about: dead letters, or held
// records.
type selection struct {
	do      string
	held    bool
	one     *operate.Held // of the held ones the one that is named
	numbers []int64       // of letters
	filter  filter.Filter // where nothing is named
}

func (d *dashboard) parseSelection(q url.Values) (selection, error) {
	s := selection{do: q.Get("do")}
	if s.do != "retry" && s.do != "discard" {
		return s, schema.Invalid("do", "is neither retry nor discard")
	}
	var err error
	if s.numbers, err = filter.Numbers(q["n"]); err != nil || len(s.numbers) > 0 {
		return s, err
	}
	if q.Get("all") != "1" {
		return s, schema.Invalid("n", "names no letter: tick some, or take all of the filter")
	}
	if s.filter, err = filter.Parse(q); err == nil && s.filter.State != ledger.StateWaiting {
		err = schema.Invalid("state", "must be waiting: only those letters can be acted on")
	}
	return s, err
}

func (s selection) asSelection(expect int) operate.Selection {
	return operate.Selection{Numbers: s.numbers, Filter: s.filter.Selects(), Expect: expect}
}

// which says in words what is selected.
func (s selection) which() string {
	switch {
	case s.one != nil:
		return "at version " + s.one.Version.String()
	case s.held:
		return s.filter.HeldWords()
	case len(s.numbers) > 0:
		return "picked one by one"
	}
	return s.filter.Words()
}

// back is the page that the selection was made on.
func (s selection) back() string {
	switch {
	case s.one != nil:
		return "record?" + query("entity", s.one.Entity.Name, "id", s.one.ID)
	case s.held:
		return "held?" + string(s.filter.Query())
	}
	return "refused?" + string(s.filter.Query())
}

func (d *dashboard) confirm(w http.ResponseWriter, r *http.Request) {
	s, err := d.parseSelection(r.URL.Query())
	d.confirmSelected(w, r, s, err)
}

func (d *dashboard) confirmSelected(w http.ResponseWriter, r *http.Request, s selection, err error) {
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	d.ask(w, r, http.StatusOK, s, "")
}

// ask shows the confirmation.
func (d *dashboard) ask(w http.ResponseWriter, r *http.Request, status int, s selection, why string) {
	n, err := d.selected(r.Context(), s)
	body := confirmBody{Do: s.do, Held: s.held, Count: int64(n), Which: s.which(), Numbers: s.numbers, One: s.one,
		Filter: s.filter, Error: why, Back: s.back()}
	if err == nil {
		body.Rows, err = d.first(r.Context(), s)
	}
	if err != nil {
		d.broken(w, r, "select refused records", err)
		return
	}
	if d.production() {
		body.Phrase = phrase(s.do, n)
	}
	d.show(w, r, status, "confirm", "Confirm", body)
}

// phrase is what has to be typed in production.
func phrase(do string, n int) string { return do + " " + strconv.Itoa(n) }

// selected counts what a selection is about.
func (d *dashboard) selected(ctx context.Context, s selection) (int, error) {
	switch {
	case s.one != nil:
		return 1, nil
	case s.held:
		found, err := d.Letters.SelectHeld(ctx, s.filter.LetterFilter)
		return len(found), err
	}
	return d.Letters.Selected(ctx, s.asSelection(0))
}

const shownFirst = 10

func (d *dashboard) first(ctx context.Context, s selection) ([]confirmRow, error) {
	if s.held {
		return d.firstHeld(ctx, s)
	}
	var letters []ledger.Letter
	if len(s.numbers) == 0 {
		some, err := d.Letters.List(ctx, s.filter.Selects(), 0, shownFirst)
		if err != nil {
			return nil, err
		}
		letters = some
	}
	for _, n := range s.numbers[:min(len(s.numbers), shownFirst)] {
		v, err := d.Letters.Show(ctx, n)
		if err != nil {
			return nil, err
		}
		letters = append(letters, v.Letter)
	}
	rows := make([]confirmRow, len(letters))
	for i, l := range letters {
		rows[i] = confirmRow{template.URL("refused/" + strconv.FormatInt(l.Number, 10)), l.Entity, l.ID, l.Refusal}
	}
	return rows, nil
}

func (d *dashboard) act(w http.ResponseWriter, r *http.Request) {
	s, err := d.parseSelection(r.PostForm)
	d.actOn(w, r, s, err)
}

// actOn retries or discards what was confirmed: one record at once, more beside the
// request.
func (d *dashboard) actOn(w http.ResponseWriter, r *http.Request, s selection, err error) {
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	expect, err := strconv.Atoi(r.PostFormValue("expect"))
	if err != nil || expect < 1 {
		d.ask(w, r, http.StatusUnprocessableEntity, s, "Look at what is selected first.")
		return
	}
	if d.production() && r.PostFormValue("typed") != phrase(s.do, expect) {
		d.ask(w, r, http.StatusUnprocessableEntity, s, fmt.Sprintf("Type %q to confirm.", phrase(s.do, expect)))
		return
	}
	if n, err := d.selected(r.Context(), s); err != nil || n != expect {
		if err != nil {
			d.broken(w, r, "select refused records", err)
			return
		}
		d.ask(w, r, http.StatusConflict, s,
			fmt.Sprintf("It was %d when you looked; now it is another number. Look again.", expect))
		return
	}
	switch {
	case s.one != nil:
		d.actOnHeld(w, r, s)
		return
	case len(s.numbers) == 1:
		d.actOnOne(w, r, s)
		return
	}
	switch j, err := d.Jobs.Start(r.Context(), actionOf(s), s.asSelection(0), expect, who(r).actor()); {
	case errors.Is(err, operate.ErrTooManyJobs):
		w.Header().Set("Retry-After", "10")
		d.fail(w, r, http.StatusTooManyRequests, format.Brief(err))
	case err != nil:
		d.broken(w, r, "begin a bulk action", err)
	default:
		redirect(w, r, "jobs/"+j.ID)
	}
}

func (d *dashboard) actOnOne(w http.ResponseWriter, r *http.Request, s selection) {
	do := d.Letters.Retry
	if s.do == "discard" {
		do = d.Letters.Discard
	}
	report, err := do(r.Context(), s.asSelection(0), who(r).actor())
	switch {
	case err != nil:
		d.broken(w, r, s.do, err)
	case report.Failed > 0:
		d.broken(w, r, s.do, errors.New(report.Errors[0]))
	case report.Stale > 0:
		d.fail(w, r, http.StatusConflict, "A newer write, or another operator, was faster: the newer state stands.")
	default:
		d.groupings.Changed()
		said := map[string]string{"retry": "retried", "discard": "discarded"}[s.do]
		redirect(w, r, fmt.Sprintf("refused/%d?said=%s", s.numbers[0], said))
	}
}
