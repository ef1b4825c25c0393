package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// hidden stands in the place of a value that its field redacts.
const hidden = "hidden"

// letterBody is the page of one dead letter.
type letterBody struct {
	operate.View
	editForm
	Stale   bool
	State   string
	Waiting bool
	MayAct  bool
	Audit   []ledger.AuditEntry
}

// editForm is the values of a refused record, and a form to change them.
type editForm struct {
	Fields []fieldRow
	Error  string // why an edit was not taken
}

// fieldRow compares one field of a refused record with what is there now. Values are
// their canonical JSON texts, so every digit is shown.
type fieldRow struct {
	Name, Type string
	Letter     string // refused
	Row        string // in the database
	Now        string // newest, where that is another version
	Differs    bool   // the refused value is not the row's
	Fault      bool   // the database names this column
	Hidden     bool
	Fixed      bool   // a part of the key, which cannot be changed
	Input      string // in the form
	was        string // Input before anything was typed
	Error      string
}

// maxInput bounds the bytes of a value that a form shows to be changed. A larger one is replaced whole, or kept.
const maxInput = 32 << 10

// Lines reports whether the value has lines, which an input of one line would drop.
func (f fieldRow) Lines() bool {
	return f.Type == string(schema.JSON) || strings.ContainsAny(f.Input, "\r\n")
}

// Blank says why the form does not show the value; "" if it does. An empty input keeps such a value.
func (f fieldRow) Blank() string {
	switch {
	case f.Hidden:
		return "hidden; empty keeps it"
	case len(f.Input) > maxInput:
		return strconv.Itoa(len(f.Input)>>10) + " KiB; empty keeps it"
	}
	return ""
}

// Typed is what the form shows.
func (f fieldRow) Typed() string {
	if f.Blank() != "" && f.Input == f.was {
		return ""
	}
	return f.Input
}

func (d *dashboard) letter(w http.ResponseWriter, r *http.Request) {
	number, err := filter.Number("number", r.PathValue("number"))
	if err != nil {
		d.notFound(w, r)
		return
	}
	body, err := d.letterBody(r, number)
	if err != nil {
		d.broken(w, r, "show a dead letter", err)
		return
	}
	d.show(w, r, http.StatusOK, "letter", body.Entity+" "+body.ID, body)
}

func (d *dashboard) letterBody(r *http.Request, number int64) (*letterBody, error) {
	view, err := d.Letters.Show(r.Context(), number)
	body := &letterBody{View: view, MayAct: who(r).May(Operator)}
	if err != nil {
		return nil, err
	}
	row := letterRow{view.Letter}
	body.State, body.Waiting, body.Stale = row.State(), row.Waiting(), view.Stale()
	if view.Configured {
		body.Fields = compare(d.entityNamed(view.Entity), view)
	}
	body.Audit, err = d.Letters.Audit(r.Context(), ledger.AuditQuery{Entity: view.Entity, ID: view.ID, Limit: 20})
	return body, err
}

// compare puts the refused values, the row's and the newest ones side by side.
func compare(e *schema.Entity, v operate.View) []fieldRow {
	var refused map[string]json.RawMessage
	_ = json.Unmarshal([]byte(v.Payload), &refused) // none for a deletion
	rows := make([]fieldRow, len(e.Fields))
	for i := range e.Fields {
		f := &e.Fields[i]
		row := fieldRow{
			Name: f.Name, Type: string(f.Type), Letter: string(refused[f.Name]), Row: at(v.Row.Values, i),
			Hidden: f.Redact, Fixed: slices.Contains(e.Key(), i),
			Fault: v.Refusal.Column != "" && v.Refusal.Column == f.Column,
		}
		row.Differs = row.Letter != row.Row && (row.Letter != "" || refused == nil)
		if v.Stale() && v.State.Cached && !v.State.Record.Deleted {
			row.Now = at(v.State.Record.Values, i)
		}
		row.Input = row.Letter
		if f.Redact {
			row.Letter, row.Row, row.Now, row.Input = veil(row.Letter), veil(row.Row), veil(row.Now), ""
		}
		row.was = row.Input
		rows[i] = row
	}
	return rows
}

func at(values schema.Values, i int) string {
	if i >= len(values) {
		return ""
	}
	return values[i]
}

// veil hides a value, but not that there is one.
func veil(text string) string {
	if text == "" || text == schema.Null {
		return text
	}
	return hidden
}

// edit takes the form's values, each as JSON text, and writes those that were changed.
func (d *dashboard) edit(w http.ResponseWriter, r *http.Request) {
	number, err := filter.Number("number", r.PathValue("number"))
	if err != nil {
		d.notFound(w, r)
		return
	}
	body, err := d.letterBody(r, number)
	if err != nil {
		d.broken(w, r, "edit a dead letter", err)
		return
	}
	changes := body.changes(r)
	err = unchanged
	if len(changes) > 0 {
		_, err = d.Letters.Edit(r.Context(), number, changes, who(r).actor())
	}
	if err == nil {
		d.groupings.Changed()
		redirect(w, r, "refused/"+r.PathValue("number")+"?said=edited")
		return
	}
	if status := body.refuse(err,
		"A newer write, or another operator, was faster: the newer state stands."); status > 0 {
		d.show(w, r, status, "letter", body.Entity+" "+body.ID, body)
		return
	}
	d.broken(w, r, "edit a dead letter", err)
}

// unchanged answers a form in which nothing was changed.
var unchanged = schema.Invalid("", "No value was changed. To send the record as it is, retry it.")

// plainLines is a value as a form sends it back: browsers end lines with CRLF. Within JSON text the two are the same,
// for strings have neither.
func plainLines(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) }

// changes are the values that the form gives otherwise than the record.
func (b *editForm) changes(r *http.Request) schema.Fields {
	changes := schema.Fields{}
	for i := range b.Fields {
		f := &b.Fields[i]
		given, ok := r.PostForm["field."+f.Name]
		if !ok {
			continue
		}
		text := plainLines(given[0])
		if text == plainLines(f.Input) || text == "" && f.Blank() != "" {
			continue // untouched: the value stays as it is, byte for byte
		}
		changes[f.Name] = json.RawMessage(text)
		f.Input = text
	}
	return changes
}

// refuse makes the form tell what is wrong where, beside what was typed in it, and returns
// the status of its page; 0 for an error that is not the form's.
func (b *editForm) refuse(err error, stale string) int {
	var invalid *schema.InvalidError
	switch {
	case errors.As(err, &invalid):
		for _, one := range invalid.Fields {
			i := slices.IndexFunc(b.Fields, func(f fieldRow) bool { return f.Name == one.Field })
			if i >= 0 {
				b.Fields[i].Error = one.Reason
				b.Error = "The edit was not accepted; see below."
			} else {
				b.Error = strings.TrimSpace(one.Field + " " + one.Reason)
			}
		}
		return http.StatusUnprocessableEntity
	case errors.Is(err, operate.ErrStale):
		b.Error = stale
		return http.StatusConflict
	}
	return 0
}
