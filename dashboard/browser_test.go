package dashboard_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// chromium is the browser of this test binary, started by the first test that needs it.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("the browser tests need Chromium: apt-get install chromium, or make deps: %w", err)
	}
	ctx, end := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("host-resolver-rules",
			"MAP *.example 127.0.0.1"), chromedp.WSURLReadTimeout(60*time.Second)))
	quit = end
	return ctx, chromedp.Do(ctx)
})

var quit = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	quit()
	os.Exit(code)
}

// tab is one window with cookies of its own. It remembers what went wrong in it.
type tab struct {
	t    testing.TB
	ctx  context.Context
	base string

	mu   sync.Mutex
	bad  []string
	fine []string // parts of complaints that are expected
}

func newTab(t testing.TB, base string) *tab {
	t.Helper()
	browser, err := chromium()
	require.NoError(t, err)
	b := &tab{t: t, base: base}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	var stop context.CancelFunc
	b.ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	call(b, cdplog.Enable, cdp.Empty{})
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		require.Empty(t, b.bad, "the console is free of errors")
	})
	return b
}

// call runs a command of the browser's protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b.t, err)
}

// ask runs an action and returns what it gives.
func ask[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	require.NoError(b.t, err)
	return v
}

// js evaluates an expression in the page, its promise awaited.
func js[T any](b *tab, expression string) T {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// hear collects what the console complains about, broken policies included.
func (b *tab) hear(event any) {
	complaint := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		complaint = fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range e.Args {
				complaint += fmt.Sprint(a.Value, a.Description) + " "
			}
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			complaint = e.Entry.Text + " " + e.Entry.URL
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fine {
		if strings.Contains(complaint, f) {
			return
		}
	}
	if complaint != "" {
		b.bad = append(b.bad, complaint)
	}
}

// expects takes complaints with that text for granted.
func (b *tab) expects(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fine = append(b.fine, part)
}

func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

func (b *tab) open(path string) {
	b.t.Helper()
	testkit.Eventually(b.t, "the page is loaded", func() bool {
		// A page that is just refreshing itself may cut the navigation off.
		err := chromedp.Do(b.ctx, chromedp.Navigate(b.base+path))
		if err != nil && strings.Contains(err.Error(), "net::ERR_ABORTED") {
			return false
		}
		require.NoError(b.t, err)
		return true
	})
	b.run(chromedp.WaitReady(chromedp.CSS("main")))
	testkit.Eventually(b.t, "the page's scripts have run", func() bool {
		state, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.readyState`))
		return err == nil && state == "complete"
	})
}

func (b *tab) text() string {
	b.t.Helper()
	return js[string](b, `document.body.innerText`)
}

// sees waits until the page says something.
func (b *tab) sees(what string) {
	b.t.Helper()
	last := ""
	defer func() {
		if b.t.Failed() {
			b.t.Logf("the page says:\n%s", last)
		}
	}()
	testkit.Eventually(b.t, fmt.Sprintf("the page says %q", what), func() bool {
		// A page that is being left answers nothing.
		text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		last = text
		return err == nil && strings.Contains(text, what)
	})
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// press clicks the first thing that matches.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.click(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// click repeats a click whose target was replaced between its look-up and the click,
// which then has not happened: pages renew their regions by themselves.
func (b *tab) click(click chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	testkit.Eventually(b.t, "what is clicked stays", func() bool {
		err := chromedp.Do(b.ctx, click)
		if replaced(err) {
			return false
		}
		require.NoError(b.t, err)
		return true
	})
}

// replaced reports that a node was gone when the browser was asked about it.
func replaced(err error) bool {
	return err != nil && strings.Contains(err.Error(), "node with given id")
}

// button clicks the button or link of that text, in the dialog where one is open. It
// clicks the element and not its place: pages renew their regions by themselves, which
// may move it meanwhile.
func (b *tab) button(label string) {
	b.t.Helper()
	click := fmt.Sprintf(`(() => {
		if (sessionStorage.getItem("clicked") === %[2]s) return true;
		const named = [...(document.querySelector("dialog[open]") || document).querySelectorAll("button, a")]
			.find(e => e.checkVisibility() && !e.disabled && e.innerText.trim() === %[1]s);
		if (!named) return false;
		sessionStorage.setItem("clicked", %[2]s);
		named.click();
		return true;
	})()`, quoted(label), quoted(rand.Text()))
	testkit.Eventually(b.t, "there is the button "+label, func() bool {
		// A page that is being left answers nothing; the next one of the tab knows that it was clicked.
		there, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](click))
		return err == nil && there
	})
}

func (b *tab) fill(selector, value string) {
	b.t.Helper()
	testkit.Eventually(b.t, "there is "+selector, func() bool {
		// A page that is being replaced loses its nodes.
		if value == "" { // which cannot be set
			return chromedp.Do(b.ctx, chromedp.Clear(chromedp.CSS(selector))) == nil
		}
		return chromedp.Do(b.ctx, chromedp.SetValue(chromedp.CSS(selector), value)) == nil
	})
}

// types clears an input and types into it, key by key.
func (b *tab) types(selector, value string) {
	b.t.Helper()
	b.run(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), value))
}

func (b *tab) keys(keys string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(keys))
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(width, height))
}

func (b *tab) dark(dark bool) {
	b.t.Helper()
	value := "light"
	if dark {
		value = "dark"
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: value}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// at waits until the address ends so.
func (b *tab) at(end string) {
	b.t.Helper()
	testkit.Eventually(b.t, "the page is "+end, func() bool {
		// A page that is being left answers nothing.
		location, err := chromedp.Run(b.ctx,
			chromedp.Evaluate[string](`document.readyState === "complete" ? location.href : ""`))
		return err == nil && strings.HasSuffix(location, end)
	})
}

// html is the page without asking its scripts.
func (b *tab) html() string {
	b.t.Helper()
	html := ""
	testkit.Eventually(b.t, "the page stays", func() bool {
		var err error
		html, err = chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("html")))
		if !replaced(err) {
			require.NoError(b.t, err)
		}
		return err == nil
	})
	return html
}

func (b *tab) waits(what string) {
	b.t.Helper()
	testkit.Eventually(b.t, "the page has "+what, func() bool {
		html, err := chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("html")))
		return err == nil && strings.Contains(html, what)
	})
}
