package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages by name, each within layout.html.
type templates map[string]*template.Template

func parseTemplates() (templates, error) {
	functions := template.FuncMap{
		"number": number, "duration": duration, "instant": instant, "size": size, "age": age, "brief": brief,
		"rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
	pages := templates{}
	for _, name := range []string{"overview", "entity", "notfound"} {
		t, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("dashboard: page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// page is what layout.html needs; Body is the page's own.
type page struct {
	Title   string
	Root    string // relative path to where the handler is mounted, ends with a slash
	Refresh int    // seconds between two loads; 0: the viewer has stopped it
	At      time.Time
	Version string
	Body    any
}

// render writes a page, or a plain error if its template fails: never half a page.
func (d *dashboard) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Version = d.Version
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

// refresh is the pace of an open page. ?refresh=off stops it, so that a page can be
// read, and read out, in peace.
func (d *dashboard) refresh(r *http.Request) int {
	if r.URL.Query().Get("refresh") == "off" {
		return 0
	}
	return max(int(d.Refresh/time.Second), 1)
}

func (d *dashboard) notFound(w http.ResponseWriter, r *http.Request) {
	d.render(w, r, http.StatusNotFound, "notfound", page{Title: "Not found", Root: root(r), At: time.Now()})
}
