package process

import (
	"context"
	"fmt"
	"net/http"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer/api"
)

// TokensRequired reports whether the API asks everybody for a token: where other machines
// reach it, unless something in front asks, and where the configuration says so. That
// tokens exist changes nothing, or to revoke the last one would open the API.
func TokensRequired(c *config.Config) bool {
	return c.API.RequireTokens || !peer.Loopback(c.API.Addr) && !c.API.Insecure
}

// newGuard makes a guard of tokens, which reads the tokens until the parts are closed.
func (p *Parts) newGuard(required bool) (*token.Guard, error) {
	g, err := token.NewGuard(token.Config{
		Book: p.Store, Required: required, Log: p.Log, Registerer: p.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	p.atClose(func() error {
		stop()
		return <-ended
	})
	return g, nil
}

// LocalAPI has the API answer under names of this machine and those in api.hosts alone,
// where it asks for no token: else the page of a browser could have its own name resolve
// to 127.0.0.1, and read and write.
func (p *Parts) LocalAPI(next http.Handler) http.Handler {
	if TokensRequired(p.Config) || p.Config.API.Insecure {
		return next
	}
	for _, origin := range p.Config.API.CORS {
		if origin == "*" {
			p.Log.Warn("every page in a browser on this machine can read and write all records",
				"hint", "name the origins in api.cors, or set api.require_tokens", "cors", "*")
		}
	}
	return localNames(peer.NewHosts(p.Config.API.Hosts).AllowPlain(p.Config.API.Addr), "api.hosts", next)
}

// localNames rejects requests under other names than the hosts. Probes of health pass: they
// say nothing of records, and some name no host, or any.
func localNames(allow func(host string) bool, setting string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allow(r.Host) || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		api.Refuse(w, r, &problem.Problem{
			Name: "host-not-allowed", Code: http.StatusForbidden, Title: "Host not allowed",
			Detail: "without tokens only names of this machine are answered, such as localhost; name others in " +
				setting,
		})
	})
}

// localPprof serves profiles to this machine alone: not through a proxy, nor under the
// name of another.
func localPprof(hosts peer.Hosts, setting string, next http.Handler) http.Handler {
	direct := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !peer.Forwarded(r.Header) {
			next.ServeHTTP(w, r)
			return
		}
		api.Refuse(w, r, &problem.Problem{
			Name: "not-local", Code: http.StatusForbidden, Title: "Not for other machines",
			Detail: "without tokens profiles are served to this machine alone, and not through a proxy",
		})
	})
	return localNames(hosts.Allow, setting, direct)
}

// apiProfiles serves /debug/pprof/ of the API to admins, and where it asks for no token to
// this machine.
func (p *Parts) apiProfiles() http.Handler {
	admins := forAdmins(p.guard, profiles())
	if TokensRequired(p.Config) || p.Config.API.Insecure {
		return admins
	}
	return localPprof(peer.NewHosts(p.Config.API.Hosts), "api.hosts", admins)
}

// guardWorker adds /debug/pprof/ to the status of a worker, where it is on, and keeps what
// listens on loopback to this machine. Beyond loopback profiles ask for the token of an
// admin: they show memory, and with it records.
func (p *Parts) guardWorker(status http.Handler) (http.Handler, error) {
	c, hosts := p.Config.Worker, peer.NewHosts(p.Config.Worker.Hosts)
	local := peer.Loopback(c.Addr)
	if c.PProf && local {
		status = profiled(status, localPprof(hosts, "worker.hosts", profiles()))
	} else if c.PProf {
		guard, err := p.newGuard(true)
		if err != nil {
			return nil, err
		}
		status = profiled(status, forAdmins(guard, profiles()))
	}
	if local {
		status = localNames(hosts.Allow, "worker.hosts", status)
	}
	return status, nil
}

// forAdmins serves those who may do what operators do.
func forAdmins(g *token.Guard, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := g.Identify(r.Header)
		if err == nil {
			err = who.Allow(token.Admin, token.Every)
		}
		if err == nil {
			handler.ServeHTTP(w, r)
			return
		}
		refusal := problem.Of(err)
		refusal.SetHeader(w.Header())
		w.WriteHeader(refusal.Code)
		_, _ = w.Write(refusal.AppendTo(nil, "")) // a caller that is gone needs no answer
	})
}
