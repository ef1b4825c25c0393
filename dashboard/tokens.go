package dashboard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/dashboard/internal/export"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// TokenKeeper keeps the API's tokens. A store.Store is one.
type TokenKeeper interface {
	Tokens(ctx context.Context) ([]token.Token, error)
	NewToken(ctx context.Context, t token.Token, by ledger.Actor) error
	RevokeToken(ctx context.Context, name string, by ledger.Actor) error
}

// tokensBody is the page of the API's tokens.
type tokensBody struct {
	Tokens  []token.Token
	At      time.Time
	Name    string // as they were typed
	Scopes  string
	Expires string
	Error   string
	Made    string // a new token, which is shown this once
}

// revokeBody asks before a token is revoked.
type revokeBody struct {
	Token  token.Token
	At     time.Time
	Phrase string // to be typed in production; "" asks for nothing
	Error  string
}

func (d *dashboard) tokensPage(w http.ResponseWriter, r *http.Request) {
	d.showTokens(w, r, http.StatusOK, tokensBody{})
}

func (d *dashboard) showTokens(w http.ResponseWriter, r *http.Request, status int, body tokensBody) {
	var err error
	if body.Tokens, err = d.Tokens.Tokens(r.Context()); err != nil {
		d.broken(w, r, "read the tokens", err)
		return
	}
	body.At = time.Now()
	d.show(w, r, status, "tokens", "API tokens", body)
}

// newToken makes a token and shows it in its answer, nowhere else and never again.
func (d *dashboard) newToken(w http.ResponseWriter, r *http.Request) {
	body := tokensBody{
		Name: strings.TrimSpace(r.PostFormValue("name")), Scopes: clip(r.PostFormValue("scopes"), maxScopes),
		Expires: strings.TrimSpace(r.PostFormValue("expires")),
	}
	t, err := d.askedToken(body)
	if err != nil {
		body.Error = format.Brief(err)
		d.showTokens(w, r, http.StatusUnprocessableEntity, body)
		return
	}
	var made string
	made, t.Hash = token.New()
	switch err := d.Tokens.NewToken(r.Context(), t, who(r).actor()); {
	case errors.Is(err, token.ErrNameTaken), errors.Is(err, token.ErrTooMany):
		body.Error = format.Brief(err)
		d.showTokens(w, r, http.StatusConflict, body)
	case err != nil:
		d.broken(w, r, "make a token", err)
	default:
		d.Log.InfoContext(r.Context(), "token made", "token", t.Name, "scopes", t.Scopes.String(), "user", who(r).Name)
		d.showTokens(w, r, http.StatusCreated, tokensBody{Name: t.Name, Made: made})
	}
}

// maxScopes bounds the text of a token's scopes.
const maxScopes = 16 << 10

// askedToken checks what was typed.
func (d *dashboard) askedToken(body tokensBody) (t token.Token, err error) {
	t.Name = body.Name
	if err := token.CheckName(t.Name); err != nil {
		return t, err
	}
	if t.Scopes, err = token.ParseScopes(strings.Fields(body.Scopes)...); err != nil {
		return t, err
	}
	for _, name := range t.Scopes.Entities() {
		if d.entityNamed(name) == nil {
			return t, errors.New("there is no entity " + name + " in the configuration")
		}
	}
	t.ExpiresAt, err = token.ParseExpiry(body.Expires, time.Now())
	return t, err
}

func (d *dashboard) confirmRevoke(w http.ResponseWriter, r *http.Request) {
	d.askRevoke(w, r, http.StatusOK, r.URL.Query().Get("name"), "")
}

// askRevoke shows what a token may do and when it was last used, before it is revoked.
func (d *dashboard) askRevoke(w http.ResponseWriter, r *http.Request, status int, name, why string) {
	all, err := d.Tokens.Tokens(r.Context())
	if err != nil {
		d.broken(w, r, "read the tokens", err)
		return
	}
	i := slices.IndexFunc(all, func(t token.Token) bool { return t.Name == name && t.RevokedAt.IsZero() })
	if i < 0 {
		d.fail(w, r, http.StatusNotFound, "No living token has this name.")
		return
	}
	body := revokeBody{Token: all[i], At: time.Now(), Error: why}
	if d.production() {
		body.Phrase = "revoke " + name
	}
	d.show(w, r, status, "revoke", "Revoke "+name, body)
}

func (d *dashboard) revokeToken(w http.ResponseWriter, r *http.Request) {
	name := r.PostFormValue("name")
	if d.production() && r.PostFormValue("typed") != "revoke "+name {
		d.askRevoke(w, r, http.StatusUnprocessableEntity, name, "Type the phrase to confirm.")
		return
	}
	switch err := d.Tokens.RevokeToken(r.Context(), name, who(r).actor()); {
	case errors.Is(err, token.ErrNoSuchName):
		d.fail(w, r, http.StatusNotFound, "No living token has this name.")
	case err != nil:
		d.broken(w, r, "revoke a token", err)
	default:
		d.Log.InfoContext(r.Context(), "token revoked", "token", name, "user", who(r).Name)
		redirect(w, r, "tokens?said=revoked")
	}
}

var tokenColumns = []string{"name", "state", "scopes", "created_at", "created_by", "expires_at", "last_used_at",
	"revoked_at", "revoked_by"}

func (d *dashboard) exportTokens(w http.ResponseWriter, r *http.Request) {
	all, err := d.Tokens.Tokens(r.Context())
	if err != nil {
		d.broken(w, r, "read the tokens", err)
		return
	}
	var lines [][]string
	for _, t := range all {
		lines = append(lines, []string{t.Name, t.State(time.Now()), t.Scopes.String(), export.Stamp(t.CreatedAt),
			t.CreatedBy,
			export.Stamp(t.ExpiresAt), export.Stamp(t.UsedAt), export.Stamp(t.RevokedAt), t.RevokedBy})
	}
	d.exportList(w, r, "tokens", tokenColumns, lines)
}
