package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/token"
)

func (a *app) tokenListCommand() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens",
		Long:    "Lists the active tokens: what they may do, and when they were last used, some\nminutes exact. The tokens themselves are kept nowhere.",
		Example: "  afterwrite token list --all",
		Args:    cobra.NoArgs,
		RunE: a.With(func(ctx context.Context, p *cli.Parts, _ []string) error {
			return a.tokenList(ctx, p, all)
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "expired and revoked ones, too")
	return a.WithJSON(c)
}

// listedToken is a token for programs.
type listedToken struct {
	Name      string     `json:"name"`
	State     string     `json:"state"` // active, expired or revoked
	Scopes    []string   `json:"scopes"`
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by"`
	ExpiresAt *time.Time `json:"expires_at"`
	UsedAt    *time.Time `json:"last_used_at"`
	RevokedAt *time.Time `json:"revoked_at"`
	RevokedBy string     `json:"revoked_by,omitempty"`
}

func (a *app) tokenList(ctx context.Context, p *cli.Parts, all bool) error {
	tokens, err := p.Store.Tokens(ctx)
	if err != nil {
		return err
	}
	list := []listedToken{}
	now := time.Now()
	for _, t := range tokens {
		if l := listed(t, now); all || l.State == "active" {
			list = append(list, l)
		}
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"tokens": list})
	}
	return a.tokenTable(list)
}

func listed(t token.Token, now time.Time) listedToken {
	return listedToken{
		Name: t.Name, State: t.State(now), Scopes: t.Scopes.List(), CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: orNil(t.ExpiresAt), UsedAt: orNil(t.UsedAt), RevokedAt: orNil(t.RevokedAt), RevokedBy: t.RevokedBy,
	}
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (a *app) tokenTable(list []listedToken) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.Out, "there are no tokens; create one with `afterwrite token new`")
		return err
	}
	rows := [][]string{{"NAME", "STATE", "SCOPES", "CREATED", "BY", "EXPIRES", "LAST USED"}}
	for _, l := range list {
		rows = append(rows, []string{l.Name, l.State, strings.Join(l.Scopes, " "), cli.Moment(l.CreatedAt), l.CreatedBy,
			momentOrNone(l.ExpiresAt), momentOrNone(l.UsedAt)})
	}
	return cli.Table(a.Out, rows)
}

func momentOrNone(t *time.Time) string {
	if t == nil {
		return cli.Moment(time.Time{})
	}
	return cli.Moment(*t)
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke NAME...",
		Short: "Revoke tokens",
		Long: fmt.Sprintf("Revokes tokens. Every API process that reaches the database refuses them within %s; one that\nis cut off from it, for at most %s.",
			seconds(token.RevokedWithin), seconds(token.Grace)),
		Example: "  afterwrite token revoke shop",
		Args:    cobra.MinimumNArgs(1),
		RunE:    a.With(a.tokenRevoke),
	}
	return a.WithJSON(c)
}

func seconds(d time.Duration) string {
	if d >= time.Minute {
		return cli.Count(int(d/time.Minute), "minute", "minutes")
	}
	return cli.Count(int(d/time.Second), "second", "seconds")
}

func (a *app) tokenRevoke(ctx context.Context, p *cli.Parts, names []string) error {
	for _, name := range names {
		if err := p.Store.RevokeToken(ctx, name, a.Actor()); err != nil {
			return err
		}
		if !a.JSON {
			fmt.Fprintf(a.Out, "revoked %s: API processes refuse it within %s\n", name, seconds(token.RevokedWithin))
		}
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"revoked": names})
	}
	return nil
}
