package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

var keeper = ledger.Actor{Name: "keeper", Origin: "command line"}

func scopes(t *testing.T, texts ...string) token.Scopes {
	t.Helper()
	s, err := token.ParseScopes(texts...)
	require.NoError(t, err)
	return s
}

func TestTokens(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		ctx := t.Context()
		expires := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
		text, hash := token.New()
		require.NoError(t, b.NewToken(ctx, token.Token{
			Name: "ci", Hash: hash, Scopes: scopes(t, "user:read,write", "*:read"), ExpiresAt: expires}, keeper))
		_, other := token.New()
		require.NoError(t, b.NewToken(ctx, token.Token{Name: "a", Hash: other}, keeper))
		require.ErrorIs(t, b.NewToken(ctx, token.Token{Name: "ci", Hash: token.Hash{1}}, keeper), token.ErrNameTaken)

		living, err := b.LivingTokens(ctx)
		require.NoError(t, err)
		require.Len(t, living, 2)
		got := living[1]
		require.Equal(t, []string{"*:read", "user:read,write"}, got.Scopes.List())
		require.Equal(t, hash, got.Hash)
		require.Equal(t, expires, got.ExpiresAt)
		require.Equal(t, "keeper", got.CreatedBy)
		require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)
		require.Zero(t, got.UsedAt)
		require.Zero(t, living[0].ExpiresAt)
		require.Empty(t, living[0].Scopes.List())

		require.NoError(t, b.RevokeToken(ctx, "ci", keeper))
		require.ErrorIs(t, b.RevokeToken(ctx, "ci", keeper), token.ErrNoSuchName)
		living, err = b.LivingTokens(ctx)
		require.NoError(t, err)
		require.Len(t, living, 1)
		_, again := token.New()
		require.NoError(t, b.NewToken(ctx, token.Token{Name: "ci", Hash: again}, keeper), "the name is free again")

		all, err := b.Tokens(ctx)
		require.NoError(t, err)
		require.Len(t, all, 3)
		require.Equal(t, "keeper", all[2].RevokedBy)
		require.False(t, all[2].RevokedAt.IsZero())

		audit, err := b.AuditLog(ctx, ledger.AuditQuery{})
		require.NoError(t, err)
		require.Len(t, audit, 4)
		require.Equal(t, "token.revoke", audit[1].Action)
		require.Equal(t, keeper, audit[1].Actor)
		require.Equal(t, "ci", audit[3].Detail["name"])
		for _, e := range audit {
			require.NotContains(t, e.Detail, "hash")
			require.NotContains(t, e.Detail, text)
		}
	})
}

func TestTokenUse(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		ctx := t.Context()
		require.NoError(t, b.NewToken(ctx, token.Token{Name: "a", Hash: token.Hash{1}}, keeper))
		require.NoError(t, b.NewToken(ctx, token.Token{Name: "b", Hash: token.Hash{2}}, keeper))
		living, err := b.LivingTokens(ctx)
		require.NoError(t, err)
		at := time.Date(2026, 1, 31, 12, 0, 0, 500_000_000, time.UTC)
		use := func(at time.Time) time.Time {
			t.Helper()
			require.NoError(t, b.TokensUsed(ctx, []int64{living[0].Number}, at))
			now, err := b.LivingTokens(ctx)
			require.NoError(t, err)
			require.Zero(t, now[1].UsedAt)
			return now[0].UsedAt
		}
		require.Equal(t, at, use(at))
		require.Equal(t, at, use(at.Add(59*time.Second)), "once a minute")
		require.Equal(t, at, use(at.Add(-time.Hour)), "never back")
		require.Equal(t, at.Add(time.Minute), use(at.Add(time.Minute)))
	})
}

func TestExpiredTokenFreesItsName(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		ctx := t.Context()
		past := time.Now().Add(-time.Second)
		require.NoError(t, b.NewToken(ctx, token.Token{Name: "a", Hash: token.Hash{1}, ExpiresAt: past}, keeper))
		require.NoError(t, b.NewToken(ctx, token.Token{Name: "a", Hash: token.Hash{2}}, keeper))
		living, err := b.LivingTokens(ctx)
		require.NoError(t, err)
		require.Len(t, living, 1)
		require.Equal(t, token.Hash{2}, living[0].Hash)
	})
}

func TestTokensAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		b.exec(`INSERT INTO afterwrite_tokens (name, hash, scopes, created_at, created_by)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
			SELECT 'n' || i, 'h' || i, '', CURRENT_TIMESTAMP, '' FROM n`)
		require.ErrorIs(t, b.NewToken(t.Context(), token.Token{Name: "one more"}, keeper), token.ErrTooMany)
	})
}

func TestUnreadableTokenSpoilsNoOther(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		require.NoError(t, b.NewToken(t.Context(), token.Token{Name: "good", Hash: token.Hash{1}}, keeper))
		for _, bad := range []string{"'', ''", "'zz', ''", "'00ff', ''", "'" + strings.Repeat("00", 32) +
			"', 'user:fly'"} {
			b.exec(`INSERT INTO afterwrite_tokens (name, hash, scopes, created_at, created_by) VALUES ('bad', ` + bad +
				`, CURRENT_TIMESTAMP, '')`)
			living, err := b.LivingTokens(t.Context())
			require.NoError(t, err)
			require.Len(t, living, 1)
			_, err = b.Tokens(t.Context())
			require.ErrorContains(t, err, `token "bad"`)
			b.exec(`DELETE FROM afterwrite_tokens WHERE name = 'bad'`)
		}
	})
}

func TestTokensWithoutTheirTable(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := open(t, url, nil)
		_, err := b.LivingTokens(t.Context())
		require.ErrorIs(t, err, fault.ErrNotMigrated)
		require.ErrorIs(t, err, schema.ErrDatabaseUnavailable)
	})
}
