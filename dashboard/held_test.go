package dashboard_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// hold accepts records while flushing is paused, and holds them as a worker does. Several
// have the same next attempt.
func (d *deployment) hold(entity string, n int, kind schema.Kind, message string, next time.Time) []string {
	d.t.Helper()
	e := d.entity(entity)
	_, err := d.backlog.Pause(d.t.Context(), e)
	require.NoError(d.t, err)
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s %03d/%s", kind, i, message[:2]))
	}
	for i, id := range ids {
		d.put(entity, id, map[string]any{d.entity(entity).Fields[0].Name: fmt.Sprint("n", i)})
		s, err := d.cache.Status(d.t.Context(), e, id)
		require.NoError(d.t, err)
		held, err := d.backlog.Hold(d.t.Context(), e, e.Partition(id), []pending.Refused{{
			Change: schema.Change{ID: id, Version: s.Record.Version}, Attempts: 2,
			Next:    next.Add(time.Duration(i/5) * time.Second),
			Refusal: schema.Refusal{Kind: kind, Message: message}, At: next.Add(-time.Hour),
		}})
		require.NoError(d.t, err)
		require.Equal(d.t, 1, held)
	}
	return ids
}

var heldLink = regexp.MustCompile(`record\?([^"]*)"`)
var moreLink = regexp.MustCompile(`href="\./(held\?[^"]*)">(?:More|Look on)<`)

// list pages through held records as a reader does, and returns the ids in their order.
func (d *deployment) list(path string) (ids []string, pages int) {
	d.t.Helper()
	for ; path != ""; pages++ {
		require.Less(d.t, pages, 20)
		r, page := d.visit(http.MethodGet, path, "", nil)
		require.Equal(d.t, http.StatusOK, r.StatusCode)
		_, table, _ := strings.Cut(page, `id="records"`)
		for _, link := range heldLink.FindAllStringSubmatch(table, -1) {
			q, err := url.ParseQuery(html.UnescapeString(link[1]))
			require.NoError(d.t, err)
			ids = append(ids, q.Get("id"))
		}
		path = ""
		if more := moreLink.FindStringSubmatch(page); more != nil {
			path = "/" + html.UnescapeString(more[1])
		}
	}
	return ids, pages
}

// Each held record is on one page, in the order of the next attempts, whatever its
// partition and entity and however many are due at the same moment.
func TestHeldRecordsArePaged(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	want := d.hold("user", 130, schema.KindUnique, "UNIQUE constraint failed: users.email", soon)
	later := d.hold("product", 120, schema.KindCheck, "CHECK failed: stock", soon.Add(time.Minute))
	d.eventually("the figures know them all", func() bool {
		_, page := d.visit(http.MethodGet, "/held", "", nil)
		return strings.Contains(text(page), "250 records")
	})
	ids, pages := d.list("/held")
	require.Equal(t, 3, pages)
	require.ElementsMatch(t, append(append([]string{}, want...), later...), ids)
	at := func(id string) int {
		var n int
		_, err := fmt.Sscanf(id, id[:strings.Index(id, " ")]+" %d", &n)
		require.NoError(t, err)
		if strings.HasPrefix(id, "check") {
			return 60 + n/5
		}
		return n / 5
	}
	for i := 1; i < len(ids); i++ {
		require.LessOrEqual(t, at(ids[i-1]), at(ids[i]), "%s before %s", ids[i-1], ids[i])
	}
	ids, _ = d.list("/held?entity=product")
	require.ElementsMatch(t, later, ids)
	ids, _ = d.list("/held?kind=unique")
	require.ElementsMatch(t, want, ids)
	ids, _ = d.list("/held?text=check+FAILED")
	require.ElementsMatch(t, later, ids)
	ids, _ = d.list("/held?id=" + url.QueryEscape(want[7]))
	require.Equal(t, want[7:8], ids)
	ids, _ = d.list("/held?until=" + soon.Add(-50*time.Minute).UTC().Format("2006-01-02T15:04:05") + "&since=" +
		soon.Add(-time.Hour).UTC().Format("2006-01-02T15:04:05"))
	require.Len(t, ids, 250)
	ids, _ = d.list("/held?until=" + soon.Add(-time.Hour).UTC().Format("2006-01-02T15:04:05"))
	require.ElementsMatch(t, nil, ids)

	_, all := d.visit(http.MethodGet, "/held/export?format=json&kind=check", "", nil)
	var rows []map[string]string
	require.NoError(t, json.Unmarshal([]byte(all), &rows))
	require.Len(t, rows, 120)
	require.Equal(t, "CHECK failed: stock", rows[0]["error"])
}

// Held records are grouped by their error, and each group is a link to its records.
func TestHeldRecordsAreGrouped(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.hold("user", 7, schema.KindUnique, "UNIQUE constraint failed: users.email", time.Now().Add(time.Hour))
	d.hold("product", 3, schema.KindCheck, "CHECK failed: stock", time.Now().Add(time.Hour))
	for _, path := range []string{"/held", "/refused"} {
		var page string
		d.eventually("the groups are counted", func() bool {
			_, page = d.visit(http.MethodGet, path, "", nil)
			return strings.Contains(text(page), "user unique UNIQUE constraint failed: users.email 7") &&
				strings.Contains(text(page), "product check CHECK failed: stock 3")
		})
		require.Contains(t, html.UnescapeString(page), `./held?entity=product&kind=check&text=CHECK+failed%3A+stock`)
	}
	_, page := d.visit(http.MethodGet, "/refused?entity=product", "", nil)
	require.NotContains(t, text(page), "users.email", "the filter is that of the whole page")
	_, page = d.visit(http.MethodGet, "/held?kind=range", "", nil)
	require.Contains(t, text(page), "No held record matches.")
}
