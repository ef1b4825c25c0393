package dashboard

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/login"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Role says what a person may do. Each role may do what those before it may.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // sees every page
	Operator Role = "operator" // retries, edits, discards, invalidates records
	Admin    Role = "admin"    // tunes: retry policies, queues, the whole cache
)

// Roles lists every role, the weakest first.
var Roles = []Role{Viewer, Operator, Admin}

// May reports whether the role includes another.
func (r Role) May(other Role) bool {
	return slices.Contains(Roles, r) && slices.Index(Roles, r) >= slices.Index(Roles, other)
}

// User is a person who may log in.
type User struct {
	Name string
	Hash string // of the password, see [HashPassword]; "" for who comes through the proxy alone
	Role Role
}

// HashPassword returns the Argon2id hash of a password for the configuration.
func HashPassword(password string) (string, error) { return login.HashPassword(password) }

// CheckHash reports why a password hash cannot be used.
func CheckHash(hash string) error { return login.CheckHash(hash) }

// Proxy names the reverse proxy that says who is there.
type Proxy struct {
	Header string         // that carries the user's name; "" for no proxy
	From   []netip.Prefix // addresses whose header is believed
	Role   Role           // of those who are not among the users; "" refuses them
}

// Who names the person who makes a request, by the log-in of the program that serves the
// pages, and what they may do; "" is no person. It must be safe for concurrent use.
type Who func(*http.Request) (name string, role Role)

// person is who makes a request.
type person struct {
	Name   string
	Role   Role
	Origin string // address
	Leaves bool   // has logged in here, and can log out
}

func (p person) May(r Role) bool { return p.Role.May(r) }
func (p person) actor() ledger.Actor {
	return ledger.Actor{Name: p.Name, Origin: "dashboard " + p.Origin}
}

// SessionUser is the session value that names who has logged in.
const SessionUser = "user"

// sessionMark is the session value that ends it when the user gets another password.
const sessionMark = "mark"

// Limits of a session.
const (
	sessionLife = 12 * time.Hour
	sessionIdle = 2 * time.Hour
)

// people knows who may come in.
type people struct {
	named    Who // nil: the rest says
	users    map[string]User
	proxy    Proxy
	open     bool // no users: each caller is an admin
	insecure bool // even from another machine
	hosts    peer.Hosts
	sessions *scs.SessionManager
	tries    *login.Tries
	hashes   []string // of all users who have one, sorted by name
}

func newPeople(cfg Config) (*people, error) {
	p := &people{
		named: cfg.Who,
		users: map[string]User{}, proxy: cfg.Proxy, insecure: cfg.Insecure, hosts: cfg.Hosts, sessions: scs.New(),
		tries: login.NewTries(),
	}
	for _, u := range cfg.Users {
		if err := p.add(u); err != nil {
			return nil, fmt.Errorf("dashboard: user %q: %w", u.Name, err)
		}
	}
	if cfg.Proxy.Header != "" && len(cfg.Proxy.From) == 0 {
		return nil, errors.New("dashboard: a proxy's header is believed from named addresses alone; name them")
	}
	for _, name := range slices.Sorted(maps.Keys(p.users)) {
		if h := p.users[name].Hash; h != "" {
			p.hashes = append(p.hashes, h)
		}
	}
	p.open = cfg.Who == nil && len(cfg.Users) == 0 && cfg.Proxy.Header == ""
	s := p.sessions
	s.Lifetime, s.IdleTimeout, s.HashTokenInStore = sessionLife, sessionIdle, true
	s.Cookie.Name, s.Cookie.Secure, s.Cookie.SameSite = sessionCookie(cfg.Deployment), cfg.HTTPS, http.SameSiteLaxMode
	if cfg.Sessions != nil {
		s.Store = login.NewSessions(cfg.Sessions, cfg.SessionsToo, s.Store, cfg.Log)
	}
	s.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) {
		cfg.Log.ErrorContext(r.Context(), "session failed", "error", err)
		http.Error(w, "the session cannot be read now", http.StatusServiceUnavailable)
	}
	return p, nil
}

// sessionCookie names the cookie of a deployment's sessions.
func sessionCookie(deployment string) string {
	if deployment == "" {
		return "afterwrite_session"
	}
	sum := sha256.Sum256([]byte(deployment))
	return "afterwrite_session_" + hex.EncodeToString(sum[:4])
}

func (p *people) add(u User) error {
	if _, twice := p.users[u.Name]; twice {
		return errors.New("is there twice")
	}
	if u.Name == "" || len(u.Name) > 100 || !slices.Contains(Roles, u.Role) {
		return fmt.Errorf("needs a name of at most 100 bytes and one of the roles %v", Roles)
	}
	if u.Hash != "" || p.proxy.Header == "" {
		if err := login.CheckHash(u.Hash); err != nil {
			return fmt.Errorf("hash: %w", err)
		}
	}
	p.users[u.Name] = u
	return nil
}

// of says who makes a request; ok is false where it is not known.
func (p *people) of(r *http.Request) (who person, ok bool) {
	who.Origin = p.origin(r)
	if p.named != nil {
		who.Name, who.Role = p.named(r)
		who.Name = clip(strings.ToValidUTF8(who.Name, "�"), filter.MaxText)
		return who, who.Name != "" && slices.Contains(Roles, who.Role)
	}
	if p.open {
		who.Name, who.Role = "local", Admin
		return who, p.insecure || p.local(r)
	}
	if p.proxy.Header != "" && p.trusted(direct(r)) && p.hosts.Allow(r.Host) {
		names := r.Header.Values(p.proxy.Header)
		if len(names) > 1 {
			return who, false // one is not the proxy's
		}
		if name := strings.Join(names, ""); name != "" {
			u, known := p.users[name]
			if !known {
				u = User{Name: name, Role: p.proxy.Role}
			}
			who.Name, who.Role = clip(strings.ToValidUTF8(u.Name, "�"), filter.MaxText), u.Role
			return who, u.Role != ""
		}
	}
	u, known := p.users[p.sessions.GetString(r.Context(), SessionUser)]
	if !known || subtle.ConstantTimeCompare([]byte(p.sessions.GetString(r.Context(), sessionMark)),
		[]byte(mark(u))) != 1 {
		return who, false
	}
	who.Name, who.Role, who.Leaves = u.Name, u.Role, true
	return who, true
}

// misnamed reports whether a request comes through the proxy under a name that is not one
// of the hosts: a page could have its own name resolve to the proxy.
func (p *people) misnamed(r *http.Request) bool {
	return p.proxy.Header != "" && r.Header.Get(p.proxy.Header) != "" && p.trusted(direct(r)) && !p.hosts.Allow(r.Host)
}

// mark differs where the user's password does, and tells nothing of it.
func mark(u User) string {
	sum := sha256.Sum256([]byte("afterwrite session of " + u.Name + " " + u.Hash))
	return hex.EncodeToString(sum[:16])
}

// local reports whether a request came to a loopback address, straight and under a name
// of this machine.
func (p *people) local(r *http.Request) bool {
	addr, served := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !served {
		return true // no server, no network
	}
	return peer.Loopback(addr.String()) && p.hosts.Allow(r.Host) && !peer.Forwarded(r.Header)
}

// direct is the address that the connection comes from.
func direct(r *http.Request) netip.Addr { return peer.Address(r, nil) }

func (p *people) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(p.proxy.From, func(n netip.Prefix) bool { return n.Contains(a) })
}

// origin is the address that a request came from, as text.
func (p *people) origin(r *http.Request) string { return p.from(r).String() }

// from is the address of the client.
func (p *people) from(r *http.Request) netip.Addr { return peer.Address(r, p.proxy.From) }

// check says whether a password is the user's. An unknown name takes as long as
// that of some user, always the same one.
func (p *people) check(ctx context.Context, from netip.Addr, name, password string) (bool, error) {
	if len(p.hashes) == 0 {
		return false, nil // everybody comes through the proxy
	}
	end, err := p.tries.Begin(ctx, from)
	if err != nil {
		return false, err
	}
	defer end()
	u, known := p.users[name]
	if !known || u.Hash == "" {
		sum := sha256.Sum256([]byte(name))
		u, known = User{Hash: p.hashes[int(sum[0])%len(p.hashes)]}, false
	}
	return login.Matches(u.Hash, password) && known, nil
}

type personKey struct{}

// who is the person that [dashboard.need] has found.
func who(r *http.Request) person {
	p, _ := r.Context().Value(personKey{}).(person)
	return p
}

// need admits those who have a role. Others are asked to log in.
func (d *dashboard) need(role Role, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := d.people.of(r)
		r = r.WithContext(context.WithValue(r.Context(), personKey{}, p))
		switch {
		case ok && p.May(role):
			next(w, r)
		case ok:
			d.Log.WarnContext(r.Context(), "refused", "user", p.Name, "role", p.Role, "path", r.URL.Path)
			d.fail(w, r, http.StatusForbidden, fmt.Sprintf("This needs the role %s; %s is a %s.", role, p.Name, p.Role))
		case d.people.named != nil:
			d.fail(w, r, http.StatusForbidden,
				"Log in to the program that serves this page, as a user who may see it.")
		case d.people.open:
			d.fail(w, r, http.StatusForbidden,
				"Without users the dashboard answers on this machine's own addresses alone, under localhost or a "+
					"name in dashboard.hosts, and not through a proxy. Configure dashboard.users to open it.")
		case d.people.misnamed(r):
			d.fail(w, r, http.StatusForbidden,
				"The proxy's header is accepted under a name in dashboard.hosts alone. Add the name that browsers use.")
		case r.Method == http.MethodGet && r.Header.Get("HX-Request") == "":
			redirect(w, r, "login?"+query("next", here(r)))
		case r.Header.Get("HX-Request") == "":
			d.show(w, r, http.StatusUnauthorized, "login", "Log in", loginBody{Next: from(r),
				Error: "You are not logged in any more, and nothing was done. Log in to go back: what you typed in an edit is kept."})
		default:
			w.Header().Set("HX-Refresh", "true")
			d.fail(w, r, http.StatusUnauthorized, "Log in first.")
		}
	})
}
