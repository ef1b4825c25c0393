package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// The pictures of deploy/grafana in the documentation, made again with
//
//	GRAFANA_PICTURES=$PWD/docs/grafana go test -run TestGrafanaPictures ./cmd/afterwrite
//
// Grafana itself does not run here: a page draws the panels of each dashboard where the
// dashboard has them, from what a real Prometheus answers to their queries.
func TestGrafanaPictures(t *testing.T) {
	into := os.Getenv("GRAFANA_PICTURES")
	if into == "" {
		t.Skip("set GRAFANA_PICTURES to a folder")
	}
	d := deployAlone(t)
	_, worker := d.serve()
	p := d.prometheus("1s")
	begin := time.Now()
	p.busy(45)
	require.NoError(t, worker.cmd.Process.Kill())
	worker.wait()
	p.busy(15)
	d.start("worker")
	d.ready(d.worker)
	p.busy(20)
	d.ok("held", "retry", "--all", "--entity", "user", "--yes")
	p.busy(20)
	end := time.Now()
	for _, name := range []string{"overview", "entity", "redis", "database"} {
		page, rows := p.page("../../deploy/grafana/"+name+".json", begin, end)
		file := d.file(name+".html", page)
		out, err := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
			"--virtual-time-budget=5000", fmt.Sprintf("--window-size=1400,%d", 70+30*rows),
			"--screenshot="+filepath.Join(into, name+".png"), "file://"+file).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// busy writes and reads for as many seconds, among it what the database and the API refuse.
func (p *prometheus) busy(seconds int) {
	p.t.Helper()
	for n, until := 0, time.Now().Add(time.Duration(seconds)*time.Second); time.Now().Before(until); n++ {
		id := fmt.Sprintf("/v1/user/u%d", n%200)
		email := n % 200
		if n%50 == 0 {
			email++ // taken
		}
		p.call("PUT", p.api, id, fmt.Sprintf(`{"name":"Ada","email":"a%d@example.org","age":%d}`, email, n%100))
		p.call("GET", p.api, id, "")
		p.call("GET", p.api, fmt.Sprintf("/v1/user/u%d", n%400), "")
		if n%10 == 0 {
			p.call("PUT", p.api, id, `{"age":"old"}`)
		}
	}
}

// page draws a dashboard of Grafana from the answers of Prometheus. rows is its height on Grafana's grid.
func (p *prometheus) page(file string, begin, end time.Time) (html string, rows int) {
	p.t.Helper()
	title, panels := grafana(p.t, file, "10s", "user")
	for _, panel := range panels {
		for i := range panel.Targets {
			query := url.Values{"query": {panel.Targets[i].Expr}, "step": {"1"},
				"start": {fmt.Sprint(begin.Unix())}, "end": {fmt.Sprint(end.Unix())}}
			_, answer := p.call(http.MethodGet, p.addr, "/api/v1/query_range?"+query.Encode(), "")
			panel.Targets[i].Answer = json.RawMessage(answer)
		}
		rows = max(rows, panel.GridPos["y"]+panel.GridPos["h"])
	}
	asset := func(name string) string {
		text, err := os.ReadFile("../../dashboard/static/" + name)
		require.NoError(p.t, err)
		return string(text)
	}
	board, err := json.Marshal(panels)
	require.NoError(p.t, err)
	template, err := os.ReadFile("testdata/grafana.html")
	require.NoError(p.t, err)
	return strings.NewReplacer("/*css*/", asset("uplot.min.css"), "/*js*/", asset("uplot.min.js"),
		"/*title*/", title, "/*panels*/", string(board)).Replace(string(template)), rows
}

// TestPanelsOfAPage: the page of the pictures has every panel of a dashboard with an answer of Prometheus.
func TestPanelsOfAPage(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.serve()
	p := d.prometheus("1s")
	page, _ := p.page("../../deploy/grafana/overview.json", time.Now().Add(-time.Minute), time.Now())
	queries := strings.Count(page, `"expr":`)
	require.Positive(t, queries)
	require.Equal(t, queries, strings.Count(page, `"status":"success"`))
}
