package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/token"
)

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke API tokens",
		Long: `A token lets a program use the HTTP API: it sends "Authorization: Bearer TOKEN". An API
that other machines reach asks for one, unless api.insecure is set; one on loopback does
where api.require_tokens is set. What is kept of a token is its hash, so it is shown once.`,
		Example: "  afterwrite token new shop --scope user:read,write --scope '*:read'\n  afterwrite token revoke shop",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsSubcommand,
	}
	c.AddCommand(a.tokenNewCommand(), a.tokenListCommand(), a.tokenRevokeCommand())
	return c
}

// tokenFlags are the flags of token new.
type tokenFlags struct {
	scopes  []string
	admin   bool
	expires string
}

func (a *app) tokenNewCommand() *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a token",
		Long: `Makes a token and prints it, this once; the name stands for it in logs and in the audit.
A scope is an entity, or * for all, and what the token may do: read (get, list, status,
events), write (put, create, patch, increment, delete) and admin (/v1/admin/). None of them
includes another. A token without any scope may read /metrics, as every token may. API
processes know a new token within 5 s.`,
		Example: "  afterwrite token new shop --scope user:read,write --scope '*:read' --expires 90d\n  afterwrite token new ops --admin --scope '*:read'\n  afterwrite token new prometheus",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.tokenNew(c.Context(), args[0], f) },
	}
	c.Flags().StringArrayVar(&f.scopes, "scope", nil, "what it may do, such as `user:read,write`; may be repeated")
	c.Flags().BoolVar(&f.admin, "admin", false, "the same as --scope '*:admin'")
	c.Flags().StringVar(&f.expires, "expires", "",
		"`WHEN` it ends: 90d, 12h, 2027-01-31 or an RFC 3339 time (default never)")
	return a.WithJSON(c)
}

// madeToken is a new token for programs.
type madeToken struct {
	Name      string     `json:"name"`
	Token     string     `json:"token"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func (a *app) tokenNew(ctx context.Context, name string, f tokenFlags) error {
	c, err := a.Settings()
	if err != nil {
		return err
	}
	t, err := f.token(c, name, time.Now())
	if err != nil {
		return err
	}
	p, err := a.Join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	text, hash := token.New()
	t.Hash = hash
	err = p.Store.NewToken(ctx, t, a.Actor())
	if errors.Is(err, token.ErrNameTaken) {
		return fmt.Errorf("%w: choose another, or `afterwrite token revoke %s` first", err, name)
	}
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(madeToken{Name: name, Token: text, Scopes: t.Scopes.List(), ExpiresAt: orNil(t.ExpiresAt)})
	}
	fmt.Fprintf(a.Err, "The token %s, which may %s. It is not shown again:\n", name, may(t))
	_, err = fmt.Fprintln(a.Out, text)
	return err
}

// may says in words what a token is good for.
func may(t token.Token) string {
	words := t.Scopes.String()
	if words == "" {
		words = "read /metrics and nothing else"
	}
	if !t.ExpiresAt.IsZero() {
		words += ", until " + cli.Moment(t.ExpiresAt)
	}
	return words
}

// token checks what was asked for.
func (f tokenFlags) token(c *config.Config, name string, now time.Time) (token.Token, error) {
	t := token.Token{Name: name}
	if err := token.CheckName(name); err != nil {
		return t, cli.Usagef("%v", err)
	}
	texts := f.scopes
	if f.admin {
		texts = append(texts, token.Every+":admin")
	}
	var err error
	if t.Scopes, err = token.ParseScopes(texts...); err != nil {
		return t, cli.Usagef("--scope: %v", err)
	}
	for _, entity := range t.Scopes.Entities() {
		if _, err := cli.Chosen(c, []string{entity}); err != nil {
			return t, err
		}
	}
	if t.ExpiresAt, err = token.ParseExpiry(f.expires, now); err != nil {
		return t, cli.Usagef("--expires %v", err)
	}
	return t, nil
}
