package dashboard_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// done are the actions on a record in the audit, the newest first.
func (d *deployment) done(id string) []string {
	d.t.Helper()
	log, err := d.store.AuditLog(d.t.Context(), ledger.AuditQuery{Entity: "user", ID: id})
	require.NoError(d.t, err)
	var actions []string
	for _, e := range log {
		actions = append(actions, e.Action)
	}
	return actions
}

// named is the query string that names a record at its newest version.
func (d *deployment) named(id string, more ...string) string {
	d.t.Helper()
	s, err := d.cache.Status(d.t.Context(), d.entity("user"), id)
	require.NoError(d.t, err)
	q := url.Values{"entity": {"user"}, "id": {id}, "version": {s.Record.Version.String()}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q.Encode()
}

// A held record is edited, validated like a write; a newer write wins over an edit; another
// is discarded.
func TestHeldRecordIsMended(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		d.refuse("eve", "mallory", "trent")
		b := newTab(t, d.pages.URL)
		b.expects("status of 422")
		b.open("/record?entity=user&id=eve")
		b.sees("it awaits retry.")
		b.button("Edit…")
		b.sees("Edit user eve")
		require.NotContains(t, b.text()+b.html(), "hush")
		b.fill(`[name="field.email"]`, `eve`)
		b.button("Edit and retry")
		b.sees("The edit was not accepted; see below.")
		b.fill(`[name="field.email"]`, `"eve@example.com"`)
		b.button("Edit and retry")
		b.sees("The edit is accepted and on its way to the database.")
		s := d.await("user", "eve", schema.Persisted)
		require.Equal(t, `"eve@example.com"`, s.Record.Values[1])
		require.Equal(t, `"hush"`, s.Record.Values[4], "a hidden value that nobody typed is kept")

		b.expects("status of 409")
		b.open("/record?entity=user&id=mallory")
		b.button("Edit…")
		b.sees("Edit user mallory")
		d.put("user", "mallory", map[string]any{"name": "newer", "email": "m@example.com"})
		d.await("user", "mallory", schema.Persisted)
		b.fill(`[name="field.name"]`, `"edited"`)
		b.button("Edit and retry")
		b.sees("no longer held at that version, and its newer state stands.")
		s = d.await("user", "mallory", schema.Persisted)
		require.Equal(t, `"newer"`, s.Record.Values[0])

		b.open("/record?entity=user&id=trent")
		b.button("Discard…")
		b.sees("Discard 1 held record?")
		b.button("Cancel")
		b.button("Discard…")
		b.sees("Discard 1 held record?")
		b.button("Discard 1")
		b.sees("Discarded: the row's state in the database is the record's newest again.")
		require.True(t, d.await("user", "trent", schema.Persisted).Record.Deleted)
		require.Equal(t, []string{"held.edited"}, d.done("eve"))
		require.Empty(t, d.done("mallory"))
		require.Equal(t, []string{"held.discarded"}, d.done("trent"))
	})
}

// All held records of a filter, how many and which said before, and no more than those.
func TestBulkHeld(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		var ids []string
		for i := range 40 {
			ids = append(ids, fmt.Sprintf("copy-%02d", i))
		}
		d.refuse(append(ids, "last")...)
		b := newTab(t, d.pages.URL)
		b.open("/held?entity=user&kind=unique")
		b.button("Discard all…")
		b.sees("Discard 41 held records?")
		b.sees("41 of entity user, of kind unique.")
		d.put("user", "last", map[string]any{"name": "Last", "email": "last@example.com"})
		d.await("user", "last", schema.Persisted)
		b.expects("status of 409")
		b.button("Discard 41")
		b.sees("It was 41 when you looked")
		b.button("Discard 40")
		b.at("/jobs/" + d.lastJob())
		b.sees("discard 40 held records")
		b.sees("✓ done")
		for _, id := range ids {
			require.True(t, d.await("user", id, schema.Persisted).Record.Deleted)
			require.Equal(t, []string{"held.discarded"}, d.done(id))
		}
		require.Empty(t, d.done("last"))

		d.refuse("one", "two")
		d.put("user", "ada", map[string]any{"name": "Ada", "email": "other@example.com"})
		d.await("user", "ada", schema.Persisted)
		b.open("/held")
		b.button("Retry all…")
		b.sees("Retry 2 held records?")
		b.button("Retry 2")
		b.sees("✓ done")
		testkit.Eventually(t, "one of the two has the address now", func() bool {
			rows, err := d.store.Load(t.Context(), d.entity("user"), []string{"one", "two"})
			require.NoError(t, err)
			return len(rows) == 1
		})
		b.open("/held")
		b.sees("1 record ")
		b.sees("retry 2 held records")
	})
}

// Production asks to type, and the server asks for the role.
func TestHeldInProduction(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(o *dashboard.Config) { o.Users, o.Environment = people[:2], "production" })
	d.refuse("eve", "mallory")
	b := newTab(t, d.pages.URL)
	b.expects("status of 401")
	b.open("/record?entity=user&id=eve")
	b.login("vera", "vera's password")
	b.sees("vera (viewer)")
	b.sees("it awaits retry.")
	for _, word := range []string{"Discard…", "Edit…", "Try it now"} {
		require.NotContains(t, b.text(), word)
	}
	b.expects("status of 403")
	for path, form := range map[string]string{
		"/held/act":     d.named("eve", "do", "discard", "expect", "1", "typed", "discard 1"),
		"/record/edit":  d.named("eve", "field.email", `"e@example.com"`),
		"/record/retry": d.named("eve"),
	} {
		post := fmt.Sprintf(`fetch(%q, {method: "POST", body: new URLSearchParams(%q)}).then(r => r.status)`, path,
			form)
		require.Equal(t, http.StatusForbidden, js[int](b, post), path)
	}
	for _, path := range []string{"/held/confirm?do=discard&all=1", "/record/edit?" + d.named("eve")} {
		require.Equal(t, http.StatusForbidden, js[int](b, fmt.Sprintf(`fetch(%q).then(r => r.status)`, path)), path)
	}
	d.await("user", "eve", schema.Held)
	b.button("Log out")
	b.login("otto", "otto's password")
	b.sees("otto (operator)")
	b.expects("status of 422")
	b.open("/record?entity=user&id=eve")
	b.button("Discard…")
	b.sees("Type discard 1 to confirm")
	b.fill(`[name=typed]`, "yes")
	b.button("Discard 1")
	b.sees(`Type "discard 1" to confirm.`)
	d.await("user", "eve", schema.Held)
	b.fill(`[name=typed]`, "discard 1")
	b.button("Discard 1")
	b.sees("Discarded: the row's state")
	b.open("/held")
	b.button("Retry all…")
	b.sees("Type retry 1 to confirm")
	log, err := d.store.AuditLog(t.Context(), ledger.AuditQuery{Entity: "user", ID: "eve"})
	require.NoError(t, err)
	require.Equal(t, "otto", log[0].Actor.Name)
}

// Held records are mended by links and forms alone.
func TestHeldWithoutJavaScript(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("eve", "trent")
	b := newTab(t, d.pages.URL+"/deep/admin")
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open("/record?entity=user&id=trent")
	b.press(`a[href*="do=discard"]`)
	b.waits("Discard 1 held record?")
	b.press("#confirm button")
	b.waits("Discarded: the row's state")
	require.True(t, d.await("user", "trent", schema.Persisted).Record.Deleted)

	b.open("/record?entity=user&id=eve")
	b.press(`a[href*="record/edit"]`)
	b.waits("Edit and retry")
	b.run(chromedp.SendKeys(chromedp.CSS(`[name="field.age"]`), kb.End+"\b1"))
	old := d.named("eve")
	d.put("user", "ada", map[string]any{"name": "Ada", "email": "other@example.com"})
	d.await("user", "ada", schema.Persisted)
	b.press(`form[action*="record/edit"] button`)
	b.waits("The edit is accepted")
	s := d.await("user", "eve", schema.Persisted)
	require.Equal(t, "9223372036854775801", s.Record.Values[2])

	r, page := d.visit(http.MethodPost, "/record/edit?"+old, "", url.Values{})
	require.Equal(t, http.StatusBadRequest, r.StatusCode, page)
	form, err := url.ParseQuery(old + "&field.age=7")
	require.NoError(t, err)
	r, page = d.visit(http.MethodPost, "/record/edit", "", form)
	require.Equal(t, http.StatusConflict, r.StatusCode)
	require.Contains(t, html.UnescapeString(page), "its newer state stands")
	r, _ = d.visit(http.MethodGet, "/record/edit?"+old, "", nil)
	require.Equal(t, http.StatusSeeOther, r.StatusCode)
	require.Contains(t, r.Header.Get("Location"), "said=stale")
	for _, path := range []string{"/held/confirm?do=burn&all=1", "/held/confirm?do=retry",
		"/held/confirm?do=discard&entity=user&id=x&version=0", "/record/edit?entity=none&id=1&version=3",
		"/held/confirm?do=retry&all=1&kind=bad"} {
		r, _ = d.visit(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusBadRequest, r.StatusCode, path)
	}
}

// An open overview fetches itself once for each reading of the figures, however many
// regions it has, and leaves alone the region in which somebody works.
func TestOverviewIsFetchedOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("eve")
	b := newTab(t, d.pages.URL)
	b.open("/")
	b.sees("1 write refused, 0 of them dead: unique")
	b.press("#minutes summary")
	counted := js[[]int](b, `new Promise(done => {
		let told = 0, asked = 0;
		document.body.addEventListener("htmx:beforeRequest", () => asked++);
		document.body.addEventListener("htmx:sseMessage", () => { if (++told === 4) setTimeout(() => done([told, asked])); });
	})`)
	require.GreaterOrEqual(t, counted[0], 4)
	require.LessOrEqual(t, counted[1], counted[0]+1, "requests, with that of a reading before")
	require.Positive(t, counted[1])
	d.put("user", "grace", map[string]any{"name": "Grace", "email": "g@example.com"})
	d.await("user", "grace", schema.Persisted)
	testkit.Eventually(t, "the entities and the figures are new", func() bool {
		return js[bool](b, `document.querySelector("#rest [data-label=Accepted]").innerText === "3"`)
	})
	require.True(t, js[bool](b, `document.querySelector("#minutes details").open`))
}

// What somebody takes in hand while a refresh is on its way is not replaced under the hand:
// the click would be lost.
func TestRefreshLeavesWhatIsInHand(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("eve")
	b := newTab(t, d.pages.URL)
	b.open("/record?entity=user&id=eve")
	b.sees("it awaits retry.")
	require.True(t, js[bool](b, `new Promise(done => {
		let link;
		document.body.addEventListener("htmx:beforeSend", () => {
			link = document.querySelector("#live a[role=button]");
			link.focus();
		}, {once: true});
		document.body.addEventListener("htmx:afterRequest", () => { if (link) done(link.isConnected); });
	})`))
	require.True(t, js[bool](b, `new Promise(done => {
		const link = document.activeElement;
		link.blur();
		document.body.addEventListener("htmx:afterSettle", () => { if (!link.isConnected) done(true); });
	})`), "then the refreshes go on")
}

// told is how often open pages have been told to come again.
func (d *deployment) told() int {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.pages.URL+"/events", nil)
	require.NoError(d.t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	defer answer.Body.Close()
	var n int
	_, err = fmt.Fscanf(answer.Body, "event: hello\ndata: %d\n", &n)
	require.NoError(d.t, err)
	return n
}

// A page that is told of new counts comes again, and counts again: while nothing changes
// that comes to an end.
func TestCountsComeToRest(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(o *dashboard.Config) { o.Refresh, o.MaxAge = time.Hour, 1 })
	d.refuse("eve", "mallory")
	d.die("user", "eve")
	visit := func() {
		for _, path := range []string{"/", "/refused", "/held"} {
			r, _ := d.visit(http.MethodGet, path, "", nil)
			require.Equal(t, http.StatusOK, r.StatusCode)
		}
	}
	d.eventually("the counts are known", func() bool {
		visit()
		_, page := d.visit(http.MethodGet, "/refused", "", nil)
		return strings.Contains(text(page), "1 dead letter of every entity") &&
			strings.Contains(text(page), "user unique")
	})
	before := d.told()
	for range 50 {
		visit()
	}
	require.LessOrEqual(t, d.told(), before+1, "one count may have been under way")
}
