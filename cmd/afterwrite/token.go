package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
		RunE:    needsSubcommand,
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
	c.Flags().StringVar(&f.expires, "expires", "", "`WHEN` it ends: 90d, 12h, 2027-01-31 or an RFC 3339 time (default never)")
	return a.withJSON(c)
}

// madeToken is a new token for programs.
type madeToken struct {
	Name      string     `json:"name"`
	Token     string     `json:"token"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func (a *app) tokenNew(ctx context.Context, name string, f tokenFlags) error {
	c, err := a.settings()
	if err != nil {
		return err
	}
	t, err := f.token(c, name, time.Now())
	if err != nil {
		return err
	}
	p, err := a.join(ctx, c)
	if err != nil {
		return err
	}
	defer p.close()
	text, hash := token.New()
	t.Hash = hash
	err = p.store.NewToken(ctx, t, a.actor())
	if errors.Is(err, token.ErrNameTaken) {
		return fmt.Errorf("%w: choose another, or `afterwrite token revoke %s` first", err, name)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(madeToken{Name: name, Token: text, Scopes: t.Scopes.List(), ExpiresAt: orNil(t.ExpiresAt)})
	}
	fmt.Fprintf(a.err, "The token %s, which may %s. It is not shown again:\n", name, may(t))
	_, err = fmt.Fprintln(a.out, text)
	return err
}

// may says in words what a token is good for.
func may(t token.Token) string {
	words := t.Scopes.String()
	if words == "" {
		words = "read /metrics and nothing else"
	}
	if !t.ExpiresAt.IsZero() {
		words += ", until " + moment(t.ExpiresAt)
	}
	return words
}

// tokenName is what may name a token: it stands in logs, in the audit and on pages.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// token checks what was asked for.
func (f tokenFlags) token(c *config.Config, name string, now time.Time) (token.Token, error) {
	t := token.Token{Name: name}
	if !tokenName.MatchString(name) {
		return t, usagef("%q is no name for a token: letters, digits and . _ @ -, 64 at most", name)
	}
	texts := f.scopes
	if f.admin {
		texts = append(texts, token.Every+":admin")
	}
	var err error
	if t.Scopes, err = token.ParseScopes(texts...); err != nil {
		return t, usagef("--scope: %v", err)
	}
	for _, entity := range t.Scopes.Entities() {
		if _, err := chosen(c, []string{entity}); err != nil {
			return t, err
		}
	}
	t.ExpiresAt, err = expiry(f.expires, now)
	return t, err
}

// expiry reads when a token ends; zero is never.
func expiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	if d, bad := lifetime(text); err != nil && bad == nil {
		at, err = now.Add(d), nil
	}
	if err != nil {
		return at, usagef("--expires %q is neither a time, such as 90d or 12h from now, nor a date, such as 2027-01-31", text)
	}
	if !at.After(now) {
		return at, usagef("--expires %q has passed", text)
	}
	return at, nil
}

// lifetime reads a duration, in days too.
func lifetime(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}
