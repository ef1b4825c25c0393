package dashboard

import (
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/dashboard/internal/export"
	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

const auditPage = 100

// auditBody is a page of what was done.
type auditBody struct {
	Entity, ID string
	Entries    []auditRow
	Next       int64
	Query      template.URL
}

// auditRow is an entry with its detail as text.
type auditRow struct {
	ledger.AuditEntry
	Text string
}

func parseAudit(q url.Values) (ledger.AuditQuery, error) {
	a := ledger.AuditQuery{Entity: q.Get("entity"), ID: q.Get("id"), Limit: auditPage + 1}
	if (a.Entity != "" && !schema.ValidName(a.Entity)) || len(a.ID) > schema.MaxIDBytes ||
		strings.ContainsRune(a.ID, 0) {
		return a, schema.Invalid("entity", "or id cannot be one")
	}
	if text := q.Get("before"); text != "" {
		n, err := filter.Number("before", text)
		if err != nil {
			return a, err
		}
		a.Before = n
	}
	return a, nil
}

func (d *dashboard) audit(w http.ResponseWriter, r *http.Request) {
	q, err := parseAudit(r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	entries, err := d.Letters.Audit(r.Context(), q)
	if err != nil {
		d.broken(w, r, "read the audit", err)
		return
	}
	body := auditBody{Entity: q.Entity, ID: q.ID, Query: template.URL(query("entity", q.Entity, "id", q.ID))}
	if len(entries) > auditPage {
		entries = entries[:auditPage]
		body.Next = entries[auditPage-1].Number
	}
	for _, e := range entries {
		body.Entries = append(body.Entries, auditRow{e, detail(e.Detail)})
	}
	d.show(w, r, http.StatusOK, "audit", "Audit", body)
}

func detail(of map[string]any) string {
	if len(of) == 0 {
		return ""
	}
	text, err := json.Marshal(of)
	if err != nil {
		return ""
	}
	return string(text)
}

func (d *dashboard) exportAudit(w http.ResponseWriter, r *http.Request) {
	q, err := parseAudit(r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, format.Brief(err))
		return
	}
	q.Limit = export.Page
	d.export(w, r, "audit", []string{"number", "at", "actor", "origin", "action", "entity", "id", "version", "detail"},
		func() ([][]string, error) {
			entries, err := d.Letters.Audit(r.Context(), q)
			var lines [][]string
			for _, e := range entries {
				q.Before = e.Number
				lines = append(lines, []string{
					strconv.FormatInt(e.Number, 10), export.Stamp(e.At), e.Actor.Name, e.Actor.Origin, e.Action,
					e.Entity,
					e.ID,
					e.Version.String(), detail(e.Detail),
				})
			}
			return lines, err
		})
}
