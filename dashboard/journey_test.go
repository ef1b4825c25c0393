package dashboard_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// A refused write appears without reload; it is opened, edited, retried and gone.
func TestRefusedWriteIsMended(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		b, watch := newTab(t, d.pages.URL), newTab(t, d.pages.URL)
		b.open("/")
		b.sees("Nothing has been written yet.")
		watch.open("/refused")
		watch.sees("No dead letter matches.")
		d.refuse("eve")
		b.sees("1 write refused, 0 of them dead: unique")
		watch.sees("Awaiting retry")
		d.die("user", "eve")
		watch.sees("user eve")
		b.sees("1 write refused, 1 of them dead: unique")

		watch.press("th a.id")
		watch.sees("Refused values and the database's")
		html := watch.text()
		require.Contains(t, html, "<script>alert(1)</script>", "a stored script stays text")
		require.Contains(t, html, "9223372036854775800", "every digit is shown")
		require.Contains(t, html, `{"b":1,"a":[1.0]}`, "JSON is shown as it came")
		require.NotContains(t, html, "hush")
		watch.expects("status of 422")
		watch.fill(`[name="field.email"]`, `eve`)
		watch.button("Edit and retry")
		watch.sees("The edit was not accepted; see below.")
		watch.fill(`[name="field.email"]`, `"eve@example.com"`)
		watch.button("Edit and retry")
		watch.sees("The edit is accepted and on its way to the database.")
		s := d.await("user", "eve", schema.Persisted)
		require.Equal(t, `"hush"`, s.Record.Values[4], "a hidden value that nobody typed is kept")
		watch.open("/refused")
		watch.sees("No dead letter matches.")
		b.sees("All accepted writes are in the database.")
		watch.open("/audit")
		watch.sees("dead.edited")
	})
}

// Bulk: all of a filter, how many and which said before, progress, and no more than that.
func TestBulkDiscard(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		var ids []string
		for i := range 60 {
			ids = append(ids, fmt.Sprintf("copy-%02d", i))
		}
		d.refuse(ids...)
		d.die("user", ids...)
		b := newTab(t, d.pages.URL)
		b.open("/refused?entity=user&kind=unique")
		b.sees("60 dead letters")
		b.sees("Older")
		b.button("Discard all…")
		b.sees("Discard 60 dead letters?")
		b.sees("60 of entity user, of kind unique.")
		b.button("Cancel")

		// A dialog outlives the refreshes: wait for one beneath it.
		b.button("Discard all…")
		b.sees("Discard 60 dead letters?")
		d.put("user", "grace", map[string]any{"name": "Grace", "email": "g@example.com"})
		d.await("user", "grace", schema.Persisted)
		require.True(t, js[bool](b,
			`new Promise(done => document.body.addEventListener("htmx:sseMessage", () => setTimeout(() => done(document.getElementById("dialog").open), 50), {once: true}))`))

		b.button("Discard 60")
		b.at("/jobs/" + d.lastJob())
		b.sees("✓ done")
		for _, id := range ids {
			s := d.await("user", id, schema.Persisted)
			require.True(t, s.Record.Deleted)
		}
		b.open("/refused")
		b.sees("No dead letter matches.")
		b.open("/refused?state=resolved")
		b.sees("discarded")
	})
}

// Selected letters alone are retried, and those that another user has resolved before are left.
func TestPickedLettersAreRetried(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		d.refuse("one", "two", "three")
		d.die("user", "one", "two", "three")
		b := newTab(t, d.pages.URL)
		b.open("/refused")
		var numbers []int64
		for _, l := range d.letters() {
			if l.ID != "three" {
				numbers = append(numbers, l.Number)
				b.press(fmt.Sprintf(`input[value="%d"]`, l.Number))
			}
		}
		require.Len(t, numbers, 2)
		d.put("user", "ada", map[string]any{"name": "Ada", "email": "other@example.com"})
		d.await("user", "ada", schema.Persisted)
		b.button("Retry…")
		b.sees("Retry 2 dead letters?")
		b.button("Retry 2")
		b.sees("✓ done")
		testkit.Eventually(t, "one of the two has the address now", func() bool {
			rows, err := d.store.Load(t.Context(), d.entity("user"), []string{"one", "two"})
			require.NoError(t, err)
			return len(rows) == 1
		})
		waiting, err := d.store.Letters(t.Context(), ledger.LetterFilter{State: ledger.StateWaiting, ID: "three"}, 0, 0)
		require.NoError(t, err)
		require.Len(t, waiting, 1)
	})
}

// A policy is previewed before it is active, and can be taken back.
func TestPolicyIsTuned(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		d.refuse("eve")
		before := d.await("user", "eve", schema.Held)
		b := newTab(t, d.pages.URL)
		b.open("/policies/user")
		b.sees("This is the active policy.")
		b.types(`[name="max_attempts"]`, "3")
		b.types(`[name="base"]`, "10m")
		b.sees("base: 1h → 10m")
		b.sees("Dead after 3 attempts")
		b.sees("1 record awaits retry: 1 would be retried sooner")
		b.button("Apply policy")
		b.sees("The policy is active")
		b.sees("max_attempts 8 → 3")
		testkit.Eventually(t, "the held record follows the policy", func() bool {
			return d.await("user", "eve", schema.Held).NextAttempt.Before(before.NextAttempt)
		})
		b.expects("status of 422")
		b.open("/policies/user")
		b.fill(`[name="factor"]`, "0")
		b.button("Apply policy")
		b.sees("factor must be from 1 to 100")
		b.open("/policies/user")
		b.button("Roll back to 0")
		b.sees("back to version 0")
		p, err := d.operator.Policy(t.Context(), "user")
		require.NoError(t, err)
		require.Equal(t, 8, p.Policy.MaxAttempts)
	})
}

var people = []dashboard.User{
	{Name: "vera", Role: dashboard.Viewer, Hash: hash("vera's password")},
	{Name: "otto", Role: dashboard.Operator, Hash: hash("otto's password")},
	{Name: "anna", Role: dashboard.Admin, Hash: "$2a$10$6JIYmbtHiP1nyqg8P7P/AOjEb6GjM1Fvb0Q.fRkBZyo1qYwMPYRyi"},
}

func hash(password string) string {
	h, err := dashboard.HashPassword(password)
	if err != nil {
		panic(err)
	}
	return h
}

// People log in, and the server, not the page, refuses what their role may not.
func TestPeople(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(o *dashboard.Config) { o.Users, o.Environment = people[:2], "production" })
	d.refuse("eve")
	d.die("user", "eve")
	number := d.letters()[0].Number
	b := newTab(t, d.pages.URL)
	b.expects("status of 401")
	b.open("/refused?entity=user")
	b.at("/login?next=refused%3Fentity%3Duser")
	b.login("vera", "wrong")
	b.sees("Name or password is wrong.")
	b.login("vera", "vera's password")
	b.at("/refused?entity=user")
	b.sees("vera (viewer)")
	b.sees("production")
	require.NotContains(t, b.text(), "Discard all…")

	b.expects("status of 403")
	post := fmt.Sprintf(`fetch("/refused/act", {method: "POST", body: new URLSearchParams({do: "discard", n: "%d", expect: "1", typed: "discard 1"})}).then(r => r.status)`, number)
	require.Equal(t, http.StatusForbidden, js[int](b, post))
	require.Len(t, d.letters(), 1)
	b.button("Log out")
	b.at("/login")
	require.Equal(t, http.StatusUnauthorized, js[int](b, post))

	b.login("otto", "otto's password")
	b.sees("otto (operator)")
	b.expects("status of 422")
	b.open(fmt.Sprintf("/refused/%d", number))
	b.button("Discard…")
	b.sees("Type discard 1 to confirm")
	b.fill(`[name=typed]`, "discard")
	b.button("Discard 1")
	b.sees(`Type "discard 1" to confirm.`)
	b.fill(`[name=typed]`, "discard 1")
	b.button("Discard 1")
	b.sees("Discarded: the row's state in the database is the record's newest again.")
	b.sees("otto")
	b.open("/policies/user")
	require.NotContains(t, b.text(), "Apply policy")
}

func (b *tab) login(name, password string) {
	b.t.Helper()
	b.fill("[name=name]", name)
	b.fill("[name=password]", password)
	b.run(chromedp.Submit(chromedp.CSS("[name=password]")))
}

// Without JavaScript everything works by links and forms.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("eve")
	d.die("user", "eve")
	b := newTab(t, d.pages.URL+"/deep/admin")
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open("/refused")
	html := b.html()
	require.Contains(t, html, `action="./refused"`)
	for _, step := range []string{`a.id`, `a[href*="do=retry"]`} {
		b.press(step)
	}
	b.waits("Retry 1 dead letter?")
	d.put("user", "ada", map[string]any{"name": "Ada", "email": "other@example.com"})
	d.await("user", "ada", schema.Persisted)
	b.press("#confirm button")
	b.waits("Retried; its attempts are counted from scratch.")
	d.await("user", "eve", schema.Persisted)
	for _, path := range d.paths() {
		b.open(path)
		require.Contains(t, b.html(), "</main>", path)
	}
}

// Flushing is paused, what is written waits and says so; an operator resumes it, has what
// is held tried at once, and the database has all of it.
func TestPauseResumeAndFlushNow(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		d.refuse("eve")
		b, watch := newTab(t, d.pages.URL), newTab(t, d.pages.URL)
		watch.open("/")
		b.open("/entities/user")
		b.button("Pause flushing")
		b.sees("Flushing is paused")
		d.put("user", "grace", map[string]any{"name": "Grace", "email": "g@example.com"})
		watch.sees("user: flushing is paused; writes wait in Redis.")
		b.button("Flush now")
		b.sees("Nothing was enqueued: flushing is paused.")
		b.button("Resume flushing")
		b.sees("Flushing is resumed")
		d.await("user", "grace", schema.Persisted)

		d.put("user", "ada", map[string]any{"name": "Ada", "email": "other@example.com"})
		d.await("user", "ada", schema.Persisted)
		b.button("Flush now")
		b.sees("All pending writes are being flushed")
		d.await("user", "eve", schema.Persisted)
		watch.sees("All accepted writes are in the database.")
		b.button("Flush now")
		b.sees("Nothing is pending")
		b.open("/audit")
		b.sees("flush.now")
		b.sees("flush.resume")
	})
}

// Keys, theme, times and the look-up.
func TestKeysAndPreferences(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse()
	b := newTab(t, d.pages.URL)
	b.open("/")
	b.keys("gd")
	b.at("/refused")
	b.run(chromedp.WaitReady(chromedp.CSS("#live")))
	b.keys("?")
	b.sees("go to the overview")
	b.keys("\x1b")
	b.keys("go")
	b.at("/")
	b.run(chromedp.WaitReady(chromedp.CSS("#live")))
	b.keys("/")
	require.Equal(t, "search", js[string](b, `document.activeElement.id`))
	b.fill("#search", "ada")
	b.keys("\r")
	b.at("/record?entity=user&id=ada")
	b.sees("The database has it, and reads are answered by the cache.")
	b.sees("hidden")
	b.button("Drop from the cache")
	b.sees("Dropped from the cache; the next read loads it from the database.")
	b.sees("it is not cached")
	b.fill("[name=theme]", "dark")
	b.fill("[name=clock]", "local")
	b.button("Apply")
	b.sees("times are local")
	require.Equal(t, "dark", js[string](b, `document.documentElement.dataset.theme`))
	b.open("/cache")
	b.fill("[name=pattern]", "*")
	b.button("Drop from the cache")
	b.sees("records of user from the cache.")
	b.open("/queues/default")
	b.button("Pause queue")
	b.sees("The queue is paused")
	b.open("/")
	b.sees("Queue default is paused")
	b.open("/queues/default")
	b.button("Resume queue")
	b.sees("The queue is resumed.")
	b.open("/entities/user")
	b.button("Pause flushing")
	b.sees("Flushing is paused: accepted writes")
	b.open("/")
	b.sees("flushing is paused")
	b.open("/entities/user")
	b.button("Resume flushing")
	b.sees("Flushing is resumed")
}

// paths are all pages, with data on them.
func (d *deployment) paths() []string {
	d.t.Helper()
	list := []string{"/", "/entities/user", "/refused", "/refused?state=any&text=unique", "/held",
		"/held?entity=user&kind=unique", "/record", "/record?entity=user&id=ada",
		"/policies", "/policies/user", "/policies/user?" + url.Values{"max_attempts": {"5"}, "base": {"1s"},
			"factor": {"2"}, "cap": {"1m"}, "jitter": {"full"}, "timeout": {"30s"}}.Encode(),
		"/queues", "/queues/default", "/cache", "/audit", "/tokens", "/help"}
	all, err := d.store.Letters(d.t.Context(), ledger.LetterFilter{}, 0, 1)
	require.NoError(d.t, err)
	if len(all) == 1 {
		list = append(list, fmt.Sprintf("/refused/%d", all[0].Number),
			fmt.Sprintf("/refused/confirm?do=discard&n=%d", all[0].Number), "/refused/confirm?do=retry&all=1")
	}
	if s, err := d.cache.Status(d.t.Context(), d.entity("user"), "mallory"); err == nil &&
		s.Record.Status == schema.Held {
		list = append(list, "/record?entity=user&id=mallory", "/record/edit?"+d.named("mallory"),
			"/held/confirm?do=discard&all=1", "/held/confirm?"+d.named("mallory", "do", "retry"))
	}
	return list
}

// Every page, light and dark, wide and narrow: axe-core finds no serious fault, nothing is
// wider than the screen, and nothing complains.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("testdata/axe.min.js")
	require.NoError(t, err)
	d := deploy(t)
	d.refuse("eve", "mallory")
	d.die("user", "eve")
	paths := d.paths()
	half := len(paths) / 2
	for i, some := range [][]string{paths[:half], paths[half:]} {
		t.Run(fmt.Sprintf("half %d", i+1), func(t *testing.T) {
			t.Parallel()
			b := newTab(t, d.pages.URL)
			for _, path := range some {
				b.open(path)
				for _, width := range []int64{1440, 360} {
					for _, dark := range []bool{false, true} {
						b.size(width, 900)
						b.dark(dark)
						b.checkAxe(string(axe), fmt.Sprintf("%s %d dark=%v", path, width, dark), width == 1440 && !dark)
					}
				}
			}
		})
	}
}

type axeFault struct {
	ID    string   `json:"id"`
	Help  string   `json:"help"`
	Nodes []string `json:"nodes"`
}

// checkAxe looks for every kind of fault on a page that was just opened, and after that
// for those that colours and widths make.
func (b *tab) checkAxe(axe, where string, opened bool) {
	b.t.Helper()
	rules := `["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]`
	only := `runOnly: ` + rules + `, `
	if opened {
		js[int](b, axe+`;0`)
		only = ""
	}
	faults := js[[]axeFault](b, `axe.run({`+only+`resultTypes: ["violations"]}).then(r => r.violations
		.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 4).map(n => n.html.slice(0, 300) + " " + (n.any[0] || {}).message)})))`)
	require.Empty(b.t, faults, where)
	over := js[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`)
	require.LessOrEqual(b.t, over, 0, "%s is wider than the screen", where)
}

// The pictures of the documentation, made again with
//
//	DASHBOARD_PICTURES=../docs/dashboard go test -run TestPictures ./dashboard
func TestPictures(t *testing.T) {
	into := os.Getenv("DASHBOARD_PICTURES")
	if into == "" {
		t.Skip("set DASHBOARD_PICTURES to a folder")
	}
	d := deploy(t)
	d.live()
	b := newTab(t, d.pages.URL)
	for _, p := range d.pictures() {
		b.size(p.width, p.height)
		b.dark(p.dark)
		b.open(p.path)
		js[bool](b, `new Promise(done => setTimeout(() => done(true), 700))`) // the charts are drawn
		png := ask(b, chromedp.FullScreenshot(100))
		require.NoError(t, os.WriteFile(filepath.Join(into, p.name+".png"), small(t, png), 0o644))
	}
}
