package dashboard_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// A token is made, shown once, and revoked.
func TestTokens(t *testing.T) {
	onEach(t, func(t *testing.T, d *deployment) {
		b := newTab(t, d.pages.URL)
		b.expects("status of 422")
		b.expects("status of 409")
		b.open("/tokens")
		b.sees("There are none.")
		fill := func(name, scopes, expires string) {
			b.fill("[name=name]", name)
			b.fill("[name=scopes]", scopes)
			b.fill("[name=expires]", expires)
			b.button("Create token")
		}
		for _, bad := range [][4]string{
			{"a b", "", "", "is no name for a token"}, {"shop", "user", "", "is not a scope"},
			{"shop", "nobody:read", "", "there is no entity nobody"}, {"shop", "user:read", "2001-01-01", "has passed"},
		} {
			fill(bad[0], bad[1], bad[2])
			b.sees(bad[3])
			require.Equal(t, bad[1], js[string](b, `document.querySelector("[name=scopes]").value`),
				"what was typed is kept")
		}
		fill("shop", "user:read,write *:read", "90d")
		b.sees("it is not shown again")
		secret := js[string](b, `document.querySelector("#made code").innerText`)
		hash, err := token.Parse(secret)
		require.NoError(t, err)
		living, err := d.store.LivingTokens(t.Context())
		require.NoError(t, err)
		require.Len(t, living, 1)
		require.Equal(t, hash, living[0].Hash)
		require.Equal(t, []string{"*:read", "user:read,write"}, living[0].Scopes.List())
		fill("shop", "", "")
		b.sees("a living token has this name")

		b.open("/tokens")
		b.sees("✓ active")
		require.NotContains(t, b.html(), secret)
		b.button("Revoke…")
		b.sees("Revoke the token shop?")
		b.button("Cancel")
		b.button("Revoke…")
		b.sees("Revoke the token shop?")
		b.button("Revoke shop")
		b.sees("The token is revoked")
		b.sees("■ revoked")
		living, err = d.store.LivingTokens(t.Context())
		require.NoError(t, err)
		require.Empty(t, living)
		log, err := d.store.AuditLog(t.Context(), ledger.AuditQuery{})
		require.NoError(t, err)
		require.Equal(t, []string{"token.revoke", "token.new"}, []string{log[0].Action, log[1].Action})
		r, list := d.visit(http.MethodGet, "/tokens/export?format=csv", "", nil)
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Contains(t, list, "shop,revoked,")
		require.NotContains(t, list, secret[len(token.Prefix):])
	})
}

// Tokens are an admin's matter, and in production a revocation is typed.
func TestTokensAreAnAdmins(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(o *dashboard.Config) { proxied(o); o.Environment = "production" })
	form := url.Values{"name": {"shop"}, "scopes": {"*:read"}}
	for _, user := range []string{"somebody", "otto"} {
		for path, method := range map[string]string{"/tokens": http.MethodGet, "/tokens?": http.MethodPost,
			"/tokens/revoke": http.MethodPost, "/tokens/revoke?name=shop": http.MethodGet,
			"/tokens/export?format=csv": http.MethodGet} {
			r, _ := d.visit(method, path, user, form)
			require.Equal(t, http.StatusForbidden, r.StatusCode, "%s %s", method, path)
		}
		_, page := d.visit(http.MethodGet, "/", user, nil)
		require.NotContains(t, page, `href="./tokens"`)
	}
	_, page := d.visit(http.MethodGet, "/", "anna", nil)
	require.Contains(t, page, `href="./tokens"`)
	r, page := d.visit(http.MethodPost, "/tokens", "anna", form)
	require.Equal(t, http.StatusCreated, r.StatusCode)
	require.Contains(t, text(page), "Copy it now")
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	_, page = d.visit(http.MethodGet, "/tokens/revoke?name=shop", "anna", nil)
	require.Contains(t, text(page), "Type revoke shop to confirm")
	r, _ = d.visit(http.MethodPost, "/tokens/revoke", "anna", form)
	require.Equal(t, http.StatusUnprocessableEntity, r.StatusCode)
	form.Set("typed", "revoke shop")
	r, _ = d.visit(http.MethodPost, "/tokens/revoke", "anna", form)
	require.Equal(t, http.StatusSeeOther, r.StatusCode)
	r, _ = d.visit(http.MethodPost, "/tokens/revoke", "anna", form)
	require.Equal(t, http.StatusNotFound, r.StatusCode, "once")
	r, _ = d.visit(http.MethodGet, "/tokens/revoke?name=shop", "anna", nil)
	require.Equal(t, http.StatusNotFound, r.StatusCode)
}
