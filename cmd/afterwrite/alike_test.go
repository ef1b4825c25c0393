package main

import (
	"net/http"
	neturl "net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Doctor and the dashboard judge alike, and both report what a running process cannot use
// though they themselves can: here an API loses its way to the database. A loss of accepted
// writes is acknowledged on the dashboard, with a reason.
func TestDoctorAndDashboardJudgeAlike(t *testing.T) {
	t.Parallel()
	url := testkit.DedicatedPostgres(t, true).Database(t) // one that loses commits is warned of
	d := deploy(t, url)
	d.redis = testkit.Redis(t)
	pages := testkit.FreeAddr(t)
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+d.redis.URL(), "AFTERWRITE_DASHBOARD_ADDR="+pages)
	d.ok("migrate")
	u, err := neturl.Parse(url)
	require.NoError(t, err)
	way := testkit.NewProxy(t, u.Host)
	d.start("dashboard")
	worker := d.start("worker")
	whole := d.env
	d.env = append(d.env[:len(d.env):len(d.env)], "AFTERWRITE_DATABASE_URL="+way.URL(t, url))
	d.start("api")
	d.ready(d.api)
	d.ready(d.worker)
	d.env = whole
	heading := regexp.MustCompile(`(?s)<h1>(.*?)</h1>`)
	overview := func() string {
		_, body := d.call(http.MethodGet, pages, "/", "")
		return body
	}
	// becomes waits until both say it.
	becomes := func(failing bool, check, says string) {
		t.Helper()
		testkit.Eventually(t, "doctor and dashboard: "+says, func() bool {
			r := d.run("", "doctor")
			page := overview()
			h := heading.FindString(page)
			return (r.code == exitFailure) == failing && strings.Contains(h, "✕") == failing &&
				regexp.MustCompile(check).MatchString(r.out) && strings.Contains(page, says)
		})
	}
	becomes(false, `ok +processes +3 processes report`, "Nothing has been written yet.")
	way.Cut()
	becomes(true, `failure +processes +The api \S+ cannot use the database: `, "cannot use the database")
	way.Restore()
	becomes(false, `ok +processes`, "Nothing has been written yet.")

	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	d.ok("flush")
	require.Equal(t, exitOK, worker.stop())
	becomes(false, `warning +workers`, "No worker is running: no write is pending.")
	require.Equal(t, exitOK, d.run(`{"id":1,"name":"x"}`, "load", "item", "-", "--format", "ndjson").code)
	for _, partition := range []string{"0", "1"} {
		old := redis.Z{Score: float64(time.Now().Add(-12 * time.Second).UnixMilli()), Member: "1"}
		require.NoError(t, d.redis.Client(t).ZAddXX(t.Context(), d.prefix+":{item/"+partition+"}:pending", old).Err())
	}
	becomes(true, `failure +workers`, "No worker is running: 1 write pending")
	d.start("worker")
	d.ready(d.worker)
	d.ok("flush")
	becomes(false, `ok +workers`, "All accepted writes are in the database.")

	require.NoError(t, d.redis.Client(t).FlushAll(t.Context()).Err())
	becomes(true, `failure +redis state`, "Acknowledge the losses of user")
	seen := regexp.MustCompile(`name="entity" value="user"><input type="hidden" name="seen" value="([^"]+)"`)
	form := func(reason string) int {
		at := seen.FindStringSubmatch(overview())
		require.NotNil(t, at)
		r, err := http.PostForm("http://"+pages+"/losses/acknowledge",
			neturl.Values{"entity": {"user"}, "seen": {at[1]}, "reason": {reason}})
		require.NoError(t, err)
		defer r.Body.Close()
		return r.StatusCode
	}
	require.Equal(t, http.StatusUnprocessableEntity, form(" "), "without a reason")
	// A loss that is noted after the page was made was not seen, and is not acknowledged.
	testkit.Eventually(t, "what was seen is acknowledged", func() bool {
		require.Equal(t, http.StatusOK, form("restored by hand"))
		return strings.Contains(d.ok("audit", "--json"), "restored by hand")
	})
	d.ok("acknowledge", "item", "--reason", "a test", "--yes")
	becomes(false, `no loss that is not acknowledged`, "Nothing has been written yet.")
}
