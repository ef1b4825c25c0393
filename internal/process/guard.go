package process

import (
	"context"
	"fmt"
	"net/http"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/token"
)

// TokensRequired reports whether the API asks everybody for a token: where other machines
// reach it, unless something in front asks, and where the configuration says so. That
// tokens exist changes nothing, or to revoke the last one would open the API.
func TokensRequired(c *config.Config) bool {
	return c.API.RequireTokens || !Loopback(c.API.Addr) && !c.API.Insecure
}

// newGuard makes the guard of the API, which reads the tokens until the parts are closed.
func (p *Parts) newGuard() (*token.Guard, error) {
	g, err := token.NewGuard(token.Config{
		Book: p.Store, Required: TokensRequired(p.Config), Log: p.Log, Registerer: p.Metrics,
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
