package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/dashboard"
)

// Over plain HTTP under a host's name, where a browser says less of where a request comes
// from, people log in; another site's page is refused all the same.
func TestLogInOverPlainHTTPUnderAName(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(o *dashboard.Config) { o.Users = people[:2] })
	_, port, _ := strings.Cut(strings.TrimPrefix(d.pages.URL, "http://"), ":")
	base := "http://dash.example:" + port
	b := newTab(t, base)
	b.expects("Cross-Origin-Opener-Policy") // has no effect without HTTPS, which Chromium says
	b.open("/login")
	b.login("otto", "otto's password")
	b.sees("otto (operator)")
	require.False(t, js[bool](b, "window.isSecureContext"), "the browser takes it for plain HTTP")

	for origin, want := range map[string]int{base: http.StatusSeeOther, "null": http.StatusForbidden,
		"http://evil.example:" + port: http.StatusForbidden} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.pages.URL+"/login",
			strings.NewReader(url.Values{"name": {"otto"}, "password": {"otto's password"}}.Encode()))
		require.NoError(t, err)
		r.Host = "dash.example:" + port
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		answer, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, want, answer.StatusCode, origin)
	}
}

// Two dashboards on one host, whose cookies a browser keeps in one place whatever their port,
// do not log each other out.
func TestTwoDashboardsOnOneHost(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, deployment := range []string{"redis://a:1 aw", "redis://b:1 aw"} {
		d := deploy(t, func(o *dashboard.Config) { o.Users, o.Deployment = people[:2], deployment })
		answer, _ := d.visit(http.MethodPost, "/login", "", url.Values{"name": {"otto"},
			"password": {"otto's password"}})
		require.Equal(t, http.StatusSeeOther, answer.StatusCode)
		require.Len(t, answer.Cookies(), 1)
		names[answer.Cookies()[0].Name] = true
	}
	require.Len(t, names, 2)
}
