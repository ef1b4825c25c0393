package dashboard_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// What an edit does not touch stays byte for byte: JSON with lines, as browsers send it back, and a value that is too
// large to be shown in a form.
func TestAnEditKeepsWhatItDoesNotTouch(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		pretty := "{\n  \"b\": 1,\n\t\"a\": [1.0]\n}"
		large := `["` + strings.Repeat(`\"x%é`, 100_000) + `"]`
		d.refuse()
		for id, profile := range map[string]string{"pretty": pretty, "large": large} {
			d.put("user", id, map[string]any{"name": "N", "email": "ada@example.com", "profile": json.RawMessage(profile)})
			before := d.await("user", id, schema.Held).Record.Values[3]
			d.die("user", id)
			page := "/refused/" + strconv.FormatInt(d.letters()[0].Number, 10)
			_, text := d.visit(http.MethodGet, page, "", nil)
			form := url.Values{"field.name": {`"N"`}, "field.email": {`"` + id + `@example.com"`}, "field.age": {"null"},
				"field.profile": {strings.ReplaceAll(before, "\n", "\r\n")}, "field.secret": {""}}
			if id == "large" {
				require.Contains(t, text, "empty keeps it")
				require.Less(t, strings.Count(text, "x%é"), 250_000, "it is shown once")
				form.Set("field.profile", "")
			}
			r, text := d.visit(http.MethodPost, page+"/edit", "", form)
			require.Equal(t, http.StatusSeeOther, r.StatusCode, text[:min(len(text), 2000)])
			s := d.await("user", id, schema.Persisted)
			require.Equal(t, before, s.Record.Values[3])
			require.Equal(t, `"`+id+`@example.com"`, s.Record.Values[1])
		}
	})
}

// A form that is sent after the end of a session leads to the log-in and back to its page.
func TestTheWayBackFromTheLogin(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(o *dashboard.Config) {
		o.Users = []dashboard.User{{Name: "anna", Role: dashboard.Admin, Hash: people[0].Hash}}
	})
	for path, want := range map[string]string{
		"/refused/7/edit": "refused/7", "/refused/7": "refused/7",
		"/record/edit?entity=user&id=a%2Fb": "record/edit?entity=user&id=a%2Fb", "http://evil.example/x": "",
	} {
		from := d.pages.URL + path
		if strings.HasPrefix(path, "http") {
			from = path
		}
		for mounted, prefix := range map[string]string{"": "", "/deep/admin": "/deep/admin"} {
			r, text := d.visit(http.MethodPost, mounted+"/refused/7/edit", "", nil, func(r *http.Request) {
				r.Header.Set("Referer", strings.Replace(from, d.pages.URL, d.pages.URL+prefix, 1))
			})
			require.Equal(t, http.StatusUnauthorized, r.StatusCode)
			require.Contains(t, html.UnescapeString(text), `name="next" value="`+want+`"`)
		}
	}
}

// What was typed in an edit outlives the end of the session, and a conflict.
func TestAnEditOutlivesALogin(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(o *dashboard.Config) { o.Users = people[:2] })
	d.refuse("eve")
	b := newTab(t, d.pages.URL)
	b.open("/record/edit?" + d.named("eve"))
	b.login("otto", "otto's password")
	b.waits("Edit and retry")
	b.types(`[name="field.email"]`, `"eve@example.com"`)
	b.types(`[name="field.profile"]`, "[1,\n2]")
	require.Equal(t, http.StatusOK, js[int](b, `fetch("/logout", {method: "POST"}).then(r => r.status)`))
	b.expects("status of 401")
	b.button("Edit and retry")
	b.sees("You are not logged in any more")
	b.login("otto", "otto's password")
	b.sees("What you typed here before is restored")
	require.Equal(t, `"eve@example.com"`, js[string](b, `document.querySelector("[name='field.email']").value`))
	require.Equal(t, "[1,\n2]", js[string](b, `document.querySelector("[name='field.profile']").value`))

	// Another version is refused meanwhile: the edit is shown beside it, and can be sent on.
	d.refuse("eve")
	b.expects("status of 409")
	b.button("Edit and retry")
	b.sees("What you typed is kept")
	b.button("Edit and retry")
	b.sees("The edit is accepted")
	s := d.await("user", "eve", schema.Persisted)
	require.Equal(t, `"eve@example.com"`, s.Record.Values[1])
	require.Equal(t, "[1,\n2]", s.Record.Values[3])
	testkit.Eventually(t, "the draft is gone", func() bool {
		return js[bool](b, `Object.keys(sessionStorage).every(key => !key.startsWith("draft "))`)
	})
}
