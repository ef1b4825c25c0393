package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages by name, each within layout.html.
type templates map[string]*template.Template

var pageNames = []string{
	"overview", "entity", "refused", "letter", "confirm", "job", "held", "edit", "record", "policies", "policy",
	"queues", "queue", "cache", "audit", "tokens", "revoke", "login", "help", "failure",
}

func parseTemplates() (templates, error) {
	functions := template.FuncMap{
		"number": format.Number, "duration": format.Duration, "instant": format.Instant, "size": format.Size, "age": format.Age, "brief": format.Brief,
		"rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"query":   func(pairs ...string) template.URL { return template.URL(query(pairs...)) },
		"plural":  format.Plural, "int64": func(n int) int64 { return int64(n) },
		"rate": format.PerSecond, "seconds": format.Seconds, "short": text.Setting,
		"until": format.Until, "pair": func(first, second any) pair { return pair{first, second} },
	}
	pages := templates{}
	for _, name := range pageNames {
		t, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html",
			"templates/parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("dashboard: page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// pair gives a part of a page two values.
type pair struct{ First, Second any }

// page is what layout.html needs; Body is the page's own.
type page struct {
	Title       string
	Name        string // of the template
	Root        string // relative path to where the handler is mounted, ends with a slash
	Here        string // the page's own address below the root
	Refresh     int    // seconds between two loads without JavaScript; 0: the page stays
	At          time.Time
	Version     string
	Environment string
	Production  bool
	Person      person
	View        view
	Pages       []link
	Entities    []*schema.Entity
	Lookup      bool // records can be looked up
	Said        string
	Body        any
}

type link struct {
	Name, To string
	Current  bool
}

// saids are the sentences that an action leaves for the page after it. They travel by
// name, so that no link can put words into the page's mouth.
var saids = map[string]string{
	"flushpaused":    "Flushing is paused: accepted writes stay pending in Redis.",
	"flushresumed":   "Flushing is resumed; what is due is enqueued within two seconds.",
	"flushednow":     "All pending writes are being flushed, held records included; a refusal counts as an attempt.",
	"flushnothing":   "Nothing is pending: the database has every write that it has not refused for good.",
	"flushpausednow": "Nothing was enqueued: flushing is paused. Resume it first.",
	"retried":        "Retried; its attempts are counted from scratch.",
	"triedagain":     "Retried.",
	"stale":          "A newer write, or a worker, was faster: it is no longer held at that version.",
	"discarded":      "Discarded: the row's state in the database is the record's newest again.",
	"edited":         "The edit is accepted and on its way to the database.",
	"policy":         "The policy is active; workers follow within two seconds.",
	"same":           "Nothing was changed.",
	"invalidated":    "Dropped from the cache; the next read loads it from the database.",
	"kept":           "Nothing was dropped: it is not cached, or the database does not have it yet.",
	"revoked":        "The token is revoked: every API process refuses it within five seconds.",
	"acknowledged":   "The loss is acknowledged; the audit has the reason.",
	"paused":         "The queue is paused: its tasks stay pending.",
	"resumed":        "The queue is resumed.",
}

// navigation lists the pages that this configuration has and a person may see.
func (d *dashboard) navigation(current string, p person) []link {
	var links []link
	for _, entry := range []struct {
		there       bool
		title, path string
		pages       []string // on which it is the current one
	}{
		{true, "Overview", "", []string{"overview", "entity"}},
		{d.Letters != nil, "Failed writes", "refused", []string{"refused", "letter", "confirm", "job", "held", "edit"}},
		{d.Records != nil, "Record", "record", []string{"record"}},
		{d.Letters != nil, "Policies", "policies", []string{"policies", "policy"}},
		{d.Queues != nil, "Queues", "queues", []string{"queues", "queue"}},
		{d.Records != nil, "Cache", "cache", []string{"cache"}},
		{d.Letters != nil, "Audit", "audit", []string{"audit"}},
		{d.Tokens != nil && p.May(Admin), "Tokens", "tokens", []string{"tokens", "revoke"}},
	} {
		if entry.there {
			links = append(links, link{entry.title, entry.path, slices.Contains(entry.pages, current)})
		}
	}
	return links
}

// show renders a page that is as old as now.
func (d *dashboard) show(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	d.render(w, r, status, name, page{Title: title, At: time.Now(), Body: body})
}

// render writes a page, or a plain error if its template fails: never half a page.
func (d *dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Name, p.Root, p.Here = name, root(r), here(r)
	p.Version, p.Environment, p.Production = d.Version, d.Environment, d.production()
	p.Person, p.View, p.Entities, p.Lookup = who(r), viewOf(r), d.Entities, d.Records != nil
	p.Said = saids[r.URL.Query().Get("said")]
	if p.Said != "" && r.URL.Query().Has("unaudited") {
		p.Said += unauditedText
	}
	if p.Person.Name != "" {
		p.Pages = d.navigation(name, p.Person)
	}
	var b bytes.Buffer
	if err := d.templates[name].Execute(&b, p); err != nil {
		d.Log.ErrorContext(r.Context(), "page failed", "page", name, "error", err)
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the viewer may have left
}

// refresh is the pace of an open page without JavaScript. ?refresh=off stops it, so that
// a page can be read, and read out, in peace.
func (d *dashboard) refresh(r *http.Request) int {
	if r.URL.Query().Get("refresh") == "off" {
		return 0
	}
	return max(int(d.Refresh/time.Second), 1)
}

// fail shows why a request is not answered, in one sentence.
func (d *dashboard) fail(w http.ResponseWriter, r *http.Request, status int, why string) {
	title := cmp.Or(http.StatusText(status), "Connection closed") // of [problem.ClientGone], which has no text
	d.show(w, r, status, "failure", title[:1]+strings.ToLower(title[1:]), why)
}

func (d *dashboard) notFound(w http.ResponseWriter, r *http.Request) {
	d.fail(w, r, http.StatusNotFound, "There is no such page.")
}

// broken answers a request that could not be served, by the kind of its error.
func (d *dashboard) broken(w http.ResponseWriter, r *http.Request, what string, err error) {
	status, why := http.StatusInternalServerError, "It failed: "+format.Brief(err)
	switch {
	case errors.Is(err, ledger.ErrNoLetter):
		status, why = http.StatusNotFound, "There is no such dead letter; resolved ones are kept for a time only."
	case errors.Is(err, schema.ErrUnknownEntity):
		status, why = http.StatusNotFound, "There is no such entity in the configuration."
	case errors.Is(err, operate.ErrNotConfigured):
		status, why = http.StatusConflict, format.Brief(err)
	case errors.Is(err, schema.ErrInvalid), errors.Is(err, operate.ErrTooManyHeld):
		status, why = http.StatusUnprocessableEntity, format.Brief(err)
	case errors.Is(err, schema.ErrUnavailable), errors.Is(err, schema.ErrDatabaseUnavailable),
		errors.Is(err, context.DeadlineExceeded), fault.Unavailable(err):
		status, why = http.StatusServiceUnavailable,
			"Redis or the database is not responding; nothing is known to have changed."
		w.Header().Set("Retry-After", "2")
	case errors.Is(err, context.Canceled):
		// The client has gone, or has closed its half of the connection.
		status, why = problem.ClientGone,
			"The connection was closed before the answer; it is not known what has changed."
	}
	d.Log.WarnContext(r.Context(), what+" failed", "user", who(r).Name, "error", err)
	d.fail(w, r, status, why)
}

func (d *dashboard) help(w http.ResponseWriter, r *http.Request) {
	d.show(w, r, http.StatusOK, "help", "Keys", nil)
}

// entityNamed returns the configured entity of that name, or nil.
func (d *dashboard) entityNamed(name string) *schema.Entity {
	for _, e := range d.Entities {
		if e.Name == name {
			return e
		}
	}
	return nil
}
