package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// loginBody is the page of the log-in.
type loginBody struct {
	Name, Next, Error string
}

func (d *dashboard) loginPage(w http.ResponseWriter, r *http.Request) {
	if d.people.open {
		redirect(w, r, "")
		return
	}
	d.show(w, r, http.StatusOK, "login", "Log in", loginBody{Next: clip(r.URL.Query().Get("next"), 1000)})
}

func (d *dashboard) login(w http.ResponseWriter, r *http.Request) {
	body := loginBody{Name: clip(r.PostFormValue("name"), 100), Next: clip(r.PostFormValue("next"), 1000)}
	ok, err := d.people.check(r.Context(), d.people.from(r), body.Name, r.PostFormValue("password"))
	if err != nil {
		d.metrics.logins.WithLabelValues("throttled").Inc()
		body.Error = "Too many tries to log in. Wait a few seconds."
		w.Header().Set("Retry-After", "3")
		d.show(w, r, http.StatusTooManyRequests, "login", "Log in", body)
		return
	}
	if !ok {
		d.Log.WarnContext(r.Context(), "log-in refused", "user", body.Name, "origin", d.people.origin(r))
		d.metrics.logins.WithLabelValues("wrong").Inc()
		body.Error = "Name or password is wrong."
		d.show(w, r, http.StatusUnauthorized, "login", "Log in", body)
		return
	}
	// A new token: one that was planted before the log-in is worth nothing.
	if err := d.people.sessions.RenewToken(r.Context()); err != nil {
		d.broken(w, r, "log in", err)
		return
	}
	d.people.sessions.Put(r.Context(), SessionUser, body.Name)
	d.people.sessions.Put(r.Context(), sessionMark, mark(d.people.users[body.Name]))
	d.metrics.logins.WithLabelValues("ok").Inc()
	d.Log.InfoContext(r.Context(), "logged in", "user", body.Name, "origin", d.people.origin(r))
	redirect(w, r, body.Next)
}

func (d *dashboard) logout(w http.ResponseWriter, r *http.Request) {
	if err := d.people.sessions.Destroy(r.Context()); err != nil {
		d.broken(w, r, "log out", err)
		return
	}
	redirect(w, r, "login")
}

// view is how a user likes the pages; a cookie keeps it.
type view struct {
	Theme string // light, dark, or "" as the browser has it
	Clock string // local, or "" for UTC
}

const viewCookie = "afterwrite_view"

func viewOf(r *http.Request) view {
	c, err := r.Cookie(viewCookie)
	if err != nil {
		return view{}
	}
	theme, clock, _ := strings.Cut(c.Value, ".")
	return makeView(theme, clock)
}

func makeView(theme, clock string) view {
	var v view
	if theme == "light" || theme == "dark" {
		v.Theme = theme
	}
	if clock == "local" {
		v.Clock = clock
	}
	return v
}

func (d *dashboard) setView(w http.ResponseWriter, r *http.Request) {
	v := makeView(r.PostFormValue("theme"), r.PostFormValue("clock"))
	http.SetCookie(w, &http.Cookie{
		Name: viewCookie, Value: v.Theme + "." + v.Clock, Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, Secure: d.HTTPS, SameSite: http.SameSiteLaxMode,
	})
	redirect(w, r, clip(r.PostFormValue("next"), 1000))
}

// redirect sends the browser to a page of the dashboard, named from where it is mounted.
// The place stays below it whatever it says: it follows "./", and one that climbs is none.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	if climbs(to) {
		to = ""
	}
	to = strings.Map(func(c rune) rune {
		if c < ' ' || c == '\\' {
			return -1
		}
		return c
	}, strings.TrimLeft(to, "/"))
	w.Header().Set("Location", root(r)+to)
	w.WriteHeader(http.StatusSeeOther)
}

// climbs reports whether a path has a segment that leads upwards, encoded or not.
func climbs(to string) bool {
	path, _, _ := strings.Cut(to, "?")
	path, _, _ = strings.Cut(path, "#")
	path = strings.NewReplacer("%2e", ".", "%2E", ".", `\`, "/", "\t", "", "\n", "", "\r", "").Replace(path)
	return slices.Contains(strings.Split(path, "/"), "..")
}

// here is the page of a request as [redirect] takes it.
func here(r *http.Request) string {
	at := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if r.URL.RawQuery != "" {
		at += "?" + r.URL.RawQuery
	}
	return at
}

// from is the page of the dashboard that a form was sent from, as [redirect] takes it; "" if the browser does not say.
func from(r *http.Request) string {
	page, err := url.Parse(r.Referer())
	if err != nil || page.Host != r.Host {
		return ""
	}
	// What this handler sees of the path is the end of what the browser sees.
	mounted, _, _ := strings.Cut(r.RequestURI, "?")
	root, under := strings.CutSuffix(mounted, r.URL.EscapedPath())
	at, below := strings.CutPrefix(page.EscapedPath(), root+"/")
	if !under || !below {
		return ""
	}
	if strings.HasPrefix(at, "refused/") {
		at = strings.TrimSuffix(at, "/edit") // the answer to an edit, which cannot be got
	}
	if page.RawQuery != "" {
		at += "?" + page.RawQuery
	}
	return clip(at, 1000)
}

// query makes a query string of names and values; empty values are left out.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Add(pairs[i], pairs[i+1])
		}
	}
	return q.Encode()
}

// clip bounds a text in bytes, on the border of a character.
func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "")
}
