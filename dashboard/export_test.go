package dashboard_test

import (
	"encoding/csv"
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

var exportLink = regexp.MustCompile(`href="\.((?:/\.\.)*/[^"]*format=(csv|json))"`)

// Every list can be taken along, as CSV and as JSON, by the links of its page, and none
// has what a field hides.
func TestEveryListIsExported(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("eve")
	d.die("user", "eve")
	d.hold("product", 3, schema.KindCheck, "CHECK failed: stock", time.Now().Add(time.Hour))
	r, _ := d.visit(http.MethodPost, "/entities/product/pause", "", nil)
	require.Equal(t, http.StatusSeeOther, r.StatusCode)
	for path, first := range map[string]string{
		"/": "entity", "/entities/user": "partition", "/refused": "number", "/held": "entity", "/policies": "entity",
		"/policies/user": "version",
		"/queues":        "queue", "/queues/default?state=scheduled": "queue", "/cache": "key", "/audit": "number",
		"/record?entity=user&id=ada": "at",
	} {
		page, text := d.visit(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusOK, page.StatusCode, path)
		links := exportLink.FindAllStringSubmatch(text, -1)
		require.Len(t, links, 2, path)
		for _, link := range links {
			at, err := page.Request.URL.Parse("." + html.UnescapeString(link[1]))
			require.NoError(t, err)
			r, text := d.visit(http.MethodGet, at.RequestURI(), "", nil)
			require.Equal(t, http.StatusOK, r.StatusCode, at)
			require.Contains(t, r.Header.Get("Content-Disposition"), "."+link[2])
			require.NotContains(t, text, "hush")
			require.NotContains(t, text, "s3cret")
			if link[2] == "csv" {
				lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
				require.NoError(t, err)
				require.Equal(t, first, lines[0][0], at)
				require.Greater(t, len(lines), 1, at)
				continue
			}
			var rows []map[string]string
			require.NoError(t, json.Unmarshal([]byte(text), &rows))
			require.NotEmpty(t, rows, at)
			require.Contains(t, rows[0], first)
		}
	}
	for path, want := range map[string]int{
		"/export/none?format=csv": 404, "/export/partitions?format=csv&entity=none": 404,
		"/export/tasks?format=csv&queue=x&state=retry":   422,
		"/export/tasks?format=csv&queue=default&state=x": 422, "/export/entities?format=xml": 400,
		"/held/export?format=csv&kind=x": 400,
	} {
		r, _ := d.visit(http.MethodGet, path, "", nil)
		require.Equal(t, want, r.StatusCode, path)
	}
}
