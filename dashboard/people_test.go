package dashboard_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func TestPasswords(t *testing.T) {
	t.Parallel()
	h, err := dashboard.HashPassword("correct horse")
	require.NoError(t, err)
	require.NoError(t, dashboard.CheckHash(h))
	require.NotContains(t, h, "horse")
	_, err = dashboard.HashPassword("")
	require.Error(t, err)
	for _, bad := range []string{
		"", "secret", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA",
		"$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHRzYWx0$a2V5a2V5a2V5a2V5a2V5a2V5",
		"$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHRzYWx0$a2V5a2V5a2V5a2V5a2V5a2V5", "$2b$04$tooCheap",
		"$2b$31$6JIYmbtHiP1nyqg8P7P/AOjEb6GjM1Fvb0Q.fRkBZyo1qYwMPYRyi",
	} {
		require.Error(t, dashboard.CheckHash(bad), bad)
	}
	s := healthy()
	_, err = dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing,
		Users: []dashboard.User{{Name: "a", Role: "boss", Hash: h}}})
	require.ErrorContains(t, err, "one of the roles")
	_, err = dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing,
		Proxy: dashboard.Proxy{Header: "X-User"}})
	require.ErrorContains(t, err, "named addresses")
}

// visit asks for a page as a reverse proxy would, and returns status and body.
func (d *deployment) visit(method, path, user string, form url.Values, more ...func(*http.Request)) (*http.Response,
	string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.pages.URL+path, strings.NewReader(form.Encode()))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if user != "" {
		r.Header.Set("X-User", user)
	}
	for _, m := range more {
		m(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	require.NoError(d.t, err)
	defer answer.Body.Close()
	return answer, body(d.t, answer)
}

func proxied(o *dashboard.Config) {
	o.Users = []dashboard.User{{Name: "otto", Role: dashboard.Operator}, {Name: "anna", Role: dashboard.Admin}}
	o.Proxy = dashboard.Proxy{Header: "X-User", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Role: dashboard.Viewer}
}

// Every change asks for its role on the server, whatever the page shows.
func TestRolesOnTheServer(t *testing.T) {
	t.Parallel()
	d := deploy(t, proxied)
	d.refuse("eve")
	d.die("user", "eve")
	number := fmt.Sprint(d.letters()[0].Number)
	admin := []string{"/policies/user", "/policies/user/rollback", "/cache/invalidate", "/queues/default/pause",
		"/entities/user/pause"}
	operator := []string{"/refused/act", "/refused/" + number + "/edit", "/record/retry", "/entities/user/flush",
		"/jobs/1/stop", "/record/invalidate"}
	for _, path := range append(admin, operator...) {
		r, _ := d.visit(http.MethodPost, path, "", nil)
		require.Equal(t, http.StatusUnauthorized, r.StatusCode, path)
		r, _ = d.visit(http.MethodPost, path, "somebody", nil)
		require.Equal(t, http.StatusForbidden, r.StatusCode, path)
		r, _ = d.visit(http.MethodGet, path, "anna", nil)
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusOK}, r.StatusCode, path)
		r, _ = d.visit(http.MethodPost, path, "anna", nil, func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site",
				"cross-site")
		})
		require.Equal(t, http.StatusForbidden, r.StatusCode, path)
	}
	for _, path := range admin {
		r, _ := d.visit(http.MethodPost, path, "otto", nil)
		require.Equal(t, http.StatusForbidden, r.StatusCode, path)
	}
	require.Len(t, d.letters(), 1, "nothing was done")
	r, _ := d.visit(http.MethodGet, "/refused", "", nil)
	require.Equal(t, "./login?next=refused", r.Header.Get("Location"))

	r, _ = d.visit(http.MethodPost, "/refused/act", "otto", url.Values{"do": {"discard"}, "n": {number},
		"expect": {"1"}}, func(r *http.Request) {
		r.Header.Set("X-Forwarded-For", "6.6.6.6, 203.0.113.7")
	})
	require.Equal(t, http.StatusSeeOther, r.StatusCode)
	log, err := d.store.AuditLog(t.Context(), ledger.AuditQuery{Entity: "user", ID: "eve"})
	require.NoError(t, err)
	require.Equal(t, ledger.Actor{Name: "otto", Origin: "dashboard 203.0.113.7"}, log[0].Actor)
}

// Without users the pages are this machine's own: under another name they are not served,
// or a page elsewhere could have its name resolved to here.
func TestOpenPagesAnswerThisMachineAlone(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	for host, want := range map[string]int{"": 200, "localhost:80": 200, "[::1]": 200, "evil.example": 403,
		"127.0.0.1.evil.example": 403} {
		r, _ := d.visit(http.MethodGet, "/", "", nil, func(r *http.Request) { r.Host = host })
		require.Equal(t, want, r.StatusCode, host)
	}
}

// What a query may ask for is bounded, and said.
func TestParametersAreBounded(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	long := strings.Repeat("x", 2000)
	for _, path := range []string{
		"/refused?kind=bad", "/refused?entity=" + url.QueryEscape("A b"), "/refused?text=" + long, "/refused?id=" +
			long, "/refused?since=yesterday",
		"/refused?state=old", "/refused?before=-1", "/refused?text=%00", "/refused/confirm?do=burn&all=1",
		"/refused/confirm?do=retry",
		"/refused/confirm?do=retry&all=1&state=resolved", "/refused/export?format=xml", "/refused/confirm?do=retry" +
			strings.Repeat("&n=1", 501),
		"/audit?before=x", "/audit?id=" + long, "/held?after=x", "/held?after=1.user", "/held?kind=bad",
	} {
		r, _ := d.visit(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, path[:min(len(path), 60)])
	}
	for _, path := range []string{"/refused/0", "/refused/12345", "/refused/x", "/held/user", "/policies/none",
		"/queues/none", "/jobs/7", "/record?entity=none&id=1"} {
		r, _ := d.visit(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusNotFound, r.StatusCode, path)
	}
	r, _ := d.visit(http.MethodPost, "/refused/act", "", url.Values{"x": {strings.Repeat("x", 2<<20)}})
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
}

// An export has every letter of the filter, every digit, and nothing that is hidden.
func TestExport(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("=1+1", "two")
	d.die("user", "=1+1", "two")
	r, text := d.visit(http.MethodGet, "/refused/export?format=csv&entity=user", "", nil)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.Header.Get("Content-Disposition"), "afterwrite-dead-letters.csv")
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, lines, 3)
	require.Equal(t, "two", lines[1][2])
	require.Equal(t, "'=1+1", lines[2][2], "no spreadsheet takes it for a formula")
	require.Contains(t, lines[1][14], `"age":92233720368547758`)
	require.Contains(t, lines[1][14], `"secret":"hidden"`)
	require.NotContains(t, text, "hush")

	_, text = d.visit(http.MethodGet, "/refused/export?format=json&kind=unique", "", nil)
	var letters []map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &letters))
	require.Len(t, letters, 2)
	require.Equal(t, "=1+1", letters[1]["id"])
	require.NotContains(t, text, "hush")

	_, text = d.visit(http.MethodGet, "/refused/export?format=json&kind=check", "", nil)
	require.NoError(t, json.Unmarshal([]byte(text), &letters))
	require.Empty(t, letters)
	_, text = d.visit(http.MethodGet, "/audit/export?format=csv", "", nil)
	require.Contains(t, text, "number,at,actor")
}

// A number that has changed since it was looked at refuses the action.
func TestActionsAreAboutWhatWasSeen(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("one", "two")
	d.die("user", "one", "two")
	act := url.Values{"do": {"discard"}, "all": {"1"}, "entity": {"user"}, "expect": {"1"}}
	r, html := d.visit(http.MethodPost, "/refused/act", "", act)
	require.Equal(t, http.StatusConflict, r.StatusCode)
	require.Contains(t, text(html), "Discard 2 dead letters?")
	require.Len(t, d.letters(), 2)

	// A record that was written again is left alone.
	first := d.letters()[0]
	d.put("user", first.ID, map[string]any{"name": "New", "email": first.ID + "@example.com"})
	d.await("user", first.ID, schema.Persisted)
	r, _ = d.visit(http.MethodPost, "/refused/act", "", url.Values{"do": {"discard"}, "n": {fmt.Sprint(first.Number)},
		"expect": {"1"}})
	require.Contains(t, []int{http.StatusConflict, http.StatusSeeOther}, r.StatusCode)
	s := d.await("user", first.ID, schema.Persisted)
	require.False(t, s.Record.Deleted)
	require.Equal(t, `"New"`, s.Record.Values[0])
}

// The event stream tells of figures to whoever may see them, and ends with the process.
func TestEventsNeedALogIn(t *testing.T) {
	t.Parallel()
	s := healthy()
	h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Go: nothing, Users: people[:1]})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil)
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusSeeOther, w.Code)
	for _, open := range []string{"/healthz", "/static/app.css", "/login"} {
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, open, nil))
		require.Equal(t, http.StatusOK, w.Code, open)
	}
}

// A page can have a name of its own resolve to the proxy, or to here past it: the proxy's
// header is accepted under known names alone.
func TestTheProxysHeaderNeedsAKnownHost(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(c *dashboard.Config) {
		c.Proxy = dashboard.Proxy{Header: "X-Forwarded-User",
			From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Role: dashboard.Admin}
		c.Hosts = peer.NewHosts([]string{"dash.example.com"})
	})
	for host, want := range map[string]int{"": 200, "dash.example.com": 200, "dash.example.com:443": 200,
		"evil.example": 403, "localhost:1": 200} {
		for _, path := range []string{"/", "/refused", "/policies"} {
			r, _ := d.visit(http.MethodGet, path, "", nil, func(r *http.Request) {
				r.Host = host
				r.Header.Set("X-Forwarded-User", "anna")
				r.Header.Set("X-Forwarded-For", "203.0.113.7")
			})
			require.Equal(t, want, r.StatusCode, host)
		}
	}
}

// Who has not logged in sends no form but that of the log-in, which is small: the answer
// comes before the form is read.
func TestFormsAreReadForThoseWhoAreIn(t *testing.T) {
	t.Parallel()
	hash, err := dashboard.HashPassword("correct horse")
	require.NoError(t, err)
	d := deploy(t, func(c *dashboard.Config) {
		c.Users = []dashboard.User{{Name: "anna", Role: dashboard.Admin, Hash: hash}}
	})
	for path, want := range map[string]string{"/refused/act": "401", "/policies/user": "401", "/record/edit": "401",
		"/view": "401", "/login": "400"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(d.pages.URL, "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(c,
			"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 900000\r\n\r\n%s",
			path, strings.Repeat("x", 9000))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err, path)
		require.Contains(t, line, want, path)
		require.NoError(t, c.Close())
	}
}
