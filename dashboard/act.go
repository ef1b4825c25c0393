package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/mend"
	"github.com/afterwrite/afterwrite/store"
)

// confirmBody asks before letters are retried or discarded: how many, and which.
type confirmBody struct {
	Do      string // retry or discard
	Count   int64
	Which   string
	Numbers []int64
	Filter  filter
	Letters []letterRow // the first few
	Phrase  string      // to be typed in production; "" asks for nothing
	Error   string
	Back    string
}

// selection is what a confirmation and its action are about.
type selection struct {
	do      string
	numbers []int64
	filter  filter
}

func (d *dashboard) parseSelection(q url.Values) (selection, error) {
	s := selection{do: q.Get("do")}
	if s.do != "retry" && s.do != "discard" {
		return s, afterwrite.Invalid("do", "is neither retry nor discard")
	}
	var err error
	if s.numbers, err = parseNumbers(q["n"]); err != nil || len(s.numbers) > 0 {
		return s, err
	}
	if q.Get("all") != "1" {
		return s, afterwrite.Invalid("n", "names no letter: tick some, or take all of the filter")
	}
	if s.filter, err = d.parseFilter(q); err == nil && s.filter.State != store.StateWaiting {
		err = afterwrite.Invalid("state", "must be waiting: only those letters can be acted on")
	}
	return s, err
}

func (s selection) mends(expect int) mend.Selection {
	return mend.Selection{Numbers: s.numbers, Filter: s.filter.selects(), Expect: expect}
}

// which says in words what is selected.
func (s selection) which() string {
	if len(s.numbers) > 0 {
		return "picked one by one"
	}
	return s.filter.Words()
}

func (d *dashboard) confirm(w http.ResponseWriter, r *http.Request) {
	s, err := d.parseSelection(r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, brief(err))
		return
	}
	d.ask(w, r, http.StatusOK, s, "")
}

// ask shows the confirmation.
func (d *dashboard) ask(w http.ResponseWriter, r *http.Request, status int, s selection, why string) {
	n, err := d.Letters.Selected(r.Context(), s.mends(0))
	body := confirmBody{Do: s.do, Count: int64(n), Which: s.which(), Numbers: s.numbers, Filter: s.filter, Error: why, Back: "refused?" + string(s.filter.Query())}
	if err == nil {
		body.Letters, err = d.first(r.Context(), s)
	}
	if err != nil {
		d.broken(w, r, "select dead letters", err)
		return
	}
	if d.production() {
		body.Phrase = phrase(s.do, n)
	}
	d.show(w, r, status, "confirm", "Confirm", body)
}

// phrase is what has to be typed in production.
func phrase(do string, n int) string { return do + " " + strconv.Itoa(n) }

const shownFirst = 10

func (d *dashboard) first(ctx context.Context, s selection) ([]letterRow, error) {
	var rows []letterRow
	if len(s.numbers) == 0 {
		some, err := d.Letters.List(ctx, s.filter.selects(), 0, shownFirst)
		for _, l := range some {
			rows = append(rows, letterRow{Letter: l})
		}
		return rows, err
	}
	for _, n := range s.numbers[:min(len(s.numbers), shownFirst)] {
		v, err := d.Letters.Show(ctx, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, letterRow{Letter: v.Letter})
	}
	return rows, nil
}

// act retries or discards what was confirmed: one letter at once, more beside the request.
func (d *dashboard) act(w http.ResponseWriter, r *http.Request) {
	s, err := d.parseSelection(r.PostForm)
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, brief(err))
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
	if n, err := d.Letters.Selected(r.Context(), s.mends(0)); err != nil || n != expect {
		if err != nil {
			d.broken(w, r, "select dead letters", err)
			return
		}
		d.ask(w, r, http.StatusConflict, s, fmt.Sprintf("It was %d when you looked; now it is another number. Look again.", expect))
		return
	}
	if len(s.numbers) == 1 {
		d.actOnOne(w, r, s)
		return
	}
	j, err := d.start(s, expect, who(r))
	if err != nil {
		w.Header().Set("Retry-After", "10")
		d.fail(w, r, http.StatusTooManyRequests, brief(err))
		return
	}
	redirect(w, r, "jobs/"+strconv.FormatInt(j.Number, 10))
}

// does is the action of a selection.
func (d *dashboard) does(ctx context.Context, do string, s mend.Selection, by store.Actor) (mend.Report, error) {
	if do == "discard" {
		return d.Letters.Discard(ctx, s, by)
	}
	return d.Letters.Retry(ctx, s, by)
}

func (d *dashboard) actOnOne(w http.ResponseWriter, r *http.Request, s selection) {
	report, err := d.does(r.Context(), s.do, s.mends(0), who(r).actor())
	switch {
	case err != nil:
		d.broken(w, r, s.do, err)
	case report.Failed > 0:
		d.broken(w, r, s.do, errors.New(report.Errors[0]))
	case report.Stale > 0:
		d.fail(w, r, http.StatusConflict, "A newer write, or another operator, was faster: the newer state stands.")
	default:
		d.groupings.changed()
		said := map[string]string{"retry": "retried", "discard": "discarded"}[s.do]
		redirect(w, r, fmt.Sprintf("refused/%d?said=%s", s.numbers[0], said))
	}
}
