package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/ticket"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
)

// ticket makes a ticket by a token's header.
func (g *guarded) ticket(header, query string) string {
	g.t.Helper()
	a := g.do("POST", "/v1/events/ticket"+query, "", header).want(g.t, 201)
	var made struct {
		Ticket  string `json:"ticket"`
		Expires int    `json:"expires_in"`
	}
	require.NoError(g.t, json.Unmarshal([]byte(a.body), &made))
	require.EqualValues(g.t, ticket.Life.Seconds(), made.Expires)
	return made.Ticket
}

// forgetTickets ends all tickets, as their time does.
func (g *guarded) forgetTickets() {
	g.t.Helper()
	client := g.redis.Client(g.t)
	keys, err := client.Keys(g.t.Context(), g.cache.Key("ticket", "*", "t")).Result()
	require.NoError(g.t, err)
	require.NotEmpty(g.t, keys)
	require.NoError(g.t, client.Del(g.t.Context(), keys...).Err())
}

// A ticket opens the streams of the entities that it was made for, and nothing else, for a short time, in the name of
// its token, which ends it.
func TestTickets(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, true)
	users, all := g.token("users", "user:read,write"), g.token("all", "*:read")
	made := g.ticket(users, "?entity=user")
	events := g.listen(t.Context(), "?entity=user&ticket="+made)
	again := g.listen(t.Context(), "?ticket="+made+"&entity=user&last_event_id=1") // as a browser connects again
	g.do("PUT", "/v1/user/1", `{"name":"a"}`, users).want(t, 202)
	g.flush()
	next(t, events, "persisted", `"1"`)
	next(t, again, "persisted", `"1"`)

	g.do("GET", "/v1/events?ticket="+made, "").problem(t, 401, "ticket-unknown")
	g.do("GET", "/v1/events?entity=product&ticket="+made, "").problem(t, 401, "ticket-unknown")
	g.do("GET", "/v1/user/1?ticket="+made, "").problem(t, 401, "token-missing")
	g.do("PUT", "/v1/user/1?ticket="+made, `{"name":"b"}`).problem(t, 401, "token-missing")
	g.do("GET", "/v1/user/1", "", "Authorization: Bearer "+made).problem(t, 401, "token-missing")
	last := byte('a')
	if made[len(made)-1] == last {
		last = 'b'
	}
	for _, wrong := range []string{"awt_", "x", made[:len(made)-1] + string(last), made + "a", "aw" + made[3:]} {
		g.do("GET", "/v1/events?entity=user&ticket="+wrong, "").problem(t, 401, "ticket-unknown")
	}
	g.do("GET", "/v1/events?entity=user&last_event_id=x&ticket="+made, "").problem(t, 400, "bad-parameter")
	g.do("POST", "/v1/events/ticket?entity=product", "", users).problem(t, 403, "scope-missing")
	g.do("POST", "/v1/events/ticket?entity=nobody", "", users).problem(t, 404, "unknown-entity")
	g.do("POST", "/v1/events/ticket?ticket=x", "", users).problem(t, 400, "bad-parameter")
	require.NotContains(t, g.log.String(), made)
	require.Equal(t, http.StatusOK, g.do("HEAD", "/v1/events?ticket="+g.ticket(all, ""), "").StatusCode)

	for range ticket.Most {
		if g.do("POST", "/v1/events/ticket?entity=user", "", users).StatusCode != http.StatusCreated {
			break
		}
	}
	g.do("POST", "/v1/events/ticket?entity=user", "", users).problem(t, 429, "too-many-tickets")
	g.ticket(all, "?entity=user") // another's are another's

	require.NoError(t, g.store.RevokeToken(t.Context(), "users", keeper))
	for range events { // until it ends
		continue
	}
	g.do("GET", "/v1/events?entity=user&ticket="+made, "").problem(t, 401, "token-unknown")
}

// An API that asks for no token needs no tickets, and says so; tokens that are sent are checked all the same.
func TestNoTicketsWithoutTokens(t *testing.T) {
	t.Parallel()
	g := setupTokens(t, false)
	g.do("POST", "/v1/events/ticket?entity=user", "").problem(t, 409, "no-ticket-needed")
	g.do("GET", "/v1/events?entity=user&ticket=x", "").problem(t, 401, "ticket-unknown")
}

// The recipe of docs/API.md in a browser, on a page of another origin: it has the events, and makes another ticket when
// its first is refused.
func TestEventSourceRecipe(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	g := setupTokens(t, true, func(_ *bundle, cfg *api.Config) { cfg.CORS = []string{page.URL} })
	header := g.token("page", "user:read,write")
	way := testkit.NewProxy(t, strings.TrimPrefix(g.url, "http://"))
	text, err := os.ReadFile("../../docs/API.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "```js\n")
	recipe, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	recipe = strings.NewReplacer("https://api.example", "http://"+way.Addr(), "aw_…", strings.TrimPrefix(header, "Authorization: Bearer "),
		"1000", "50").Replace(recipe)

	path, err := exec.LookPath("chromium")
	require.NoError(t, err)
	ctx, end := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute)))
	t.Cleanup(end)
	_, err = chromedp.Run(ctx, chromedp.Navigate(page.URL))
	require.NoError(t, err)
	js := func(source string) string {
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](source))
		require.NoError(t, err)
		return got
	}
	js("window.seen = ''; " + recipe + "; follow('user', (type, event) => { window.seen += type + ' ' + event.id + ';' }); ''")
	write := func(id string) {
		testkit.Eventually(t, "the page has the event of "+id, func() bool {
			g.do("PUT", "/v1/user/"+id, `{"name":"a"}`, header).want(t, 202)
			g.flush()
			return strings.Contains(js("window.seen"), "persisted "+id)
		})
	}
	write("one")
	g.forgetTickets()
	way.Cut()
	way.Restore()
	write("two")
}
