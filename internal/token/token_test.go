package token_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/token"
)

func TestTokenText(t *testing.T) {
	t.Parallel()
	text, hash := token.New()
	other, otherHash := token.New()
	require.NotEqual(t, text, other)
	require.NotEqual(t, hash, otherHash)
	require.Regexp(t, `^aw_[a-z2-7]{56}$`, text)
	parsed, err := token.Parse(text)
	require.NoError(t, err)
	require.Equal(t, hash, parsed)
}

// TestSlipsAreFound: every single wrong letter, and every exchange of two neighbours, is
// told apart from an unknown token.
func TestSlipsAreFound(t *testing.T) {
	t.Parallel()
	text, _ := token.New()
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	for i := len(token.Prefix); i < len(text); i++ {
		for _, c := range alphabet {
			slip := text[:i] + string(c) + text[i+1:]
			if slip == text {
				continue
			}
			_, err := token.Parse(slip)
			require.ErrorIs(t, err, token.ErrMistyped, slip)
		}
		if i+1 < len(text) && text[i] != text[i+1] {
			_, err := token.Parse(text[:i] + text[i+1:i+2] + text[i:i+1] + text[i+2:])
			require.ErrorIs(t, err, token.ErrMistyped)
		}
	}
	for _, slip := range []string{"", "aw_", text[:len(text)-1], text + "a", strings.ToUpper(text), "xx" + text[2:],
		text[:20] + "\n" + text[21:], text[:20] + "\x00" + text[21:], text[:20] + "é" + text[22:]} {
		_, err := token.Parse(slip)
		require.ErrorIs(t, err, token.ErrMistyped, "%q", slip)
	}
}

func FuzzParse(f *testing.F) {
	text, _ := token.New()
	f.Add(text)
	f.Add("aw_")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := token.Parse(text); err != nil {
			require.ErrorIs(t, err, token.ErrMistyped)
		}
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	s, err := token.ParseScopes("user:read,write", "*:read", "user:read", "item:admin")
	require.NoError(t, err)
	require.Equal(t, "*:read item:admin user:read,write", s.String())
	require.Equal(t, []string{"item", "user"}, s.Entities())
	again, err := token.ParseScopes(s.List()...)
	require.NoError(t, err)
	require.Equal(t, s, again)
	for _, c := range []struct {
		action token.Action
		entity string
		want   bool
	}{
		{token.Read, "user", true}, {token.Write, "user", true}, {token.Admin, "user", false},
		{token.Read, "item", true}, {token.Write, "item", false}, {token.Admin, "item", true},
		{token.Read, "*", true}, {token.Write, "*", false}, {token.Admin, "*", false},
		{token.Read, "", true}, {token.Read | token.Write, "user", true}, {token.Read | token.Write, "item", false},
	} {
		require.Equal(t, c.want, s.Allow(c.action, c.entity), "%s %s", c.action, c.entity)
	}
	require.True(t, s.Somewhere(token.Write))
	require.True(t, s.Somewhere(token.Admin))
	require.False(t, token.Scopes{}.Allow(token.Read, "user"))
	require.False(t, token.Scopes{}.Somewhere(token.Read))

	for _, bad := range []string{"", "user", "user:", ":read", "user:fly", "user:read,", "User:read", "us er:read",
		"user:read write", "**:read"} {
		_, err := token.ParseScopes(bad)
		require.ErrorIs(t, err, token.ErrScope, "%q", bad)
	}
	none, err := token.ParseScopes()
	require.NoError(t, err)
	require.Empty(t, none.String())
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	var nobody token.Identity
	var beyond *token.ScopeError
	require.ErrorAs(t, nobody.Allow(token.Write, "user"), &beyond)
	require.Equal(t, "user:write", beyond.Needs)
	require.Error(t, nobody.AllowSomewhere(token.Read))
	for _, a := range []token.Action{token.Read, token.Write, token.Admin} {
		require.NoError(t, token.Anybody.Allow(a, token.Every))
	}
	_, ok := token.FromContext(t.Context())
	require.False(t, ok)
	who, ok := token.FromContext(token.NewContext(t.Context(), token.Identity{Name: "ci"}))
	require.True(t, ok)
	require.Equal(t, "ci", who.Name)
}

// shelf is a book in memory, whose time is that of the test's bubble.
type shelf struct {
	mu     sync.Mutex
	tokens map[string]token.Token
	used   []time.Time
	down   bool
	hang   bool
	reads  int
}

func (s *shelf) LivingTokens(ctx context.Context) ([]token.Token, error) {
	s.mu.Lock()
	hang := s.hang
	s.reads++
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("down")
	}
	var living []token.Token
	for _, t := range s.tokens {
		living = append(living, t)
	}
	return living, nil
}

func (s *shelf) TokensUsed(_ context.Context, numbers []int64, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errors.New("down")
	}
	for range numbers {
		s.used = append(s.used, at)
	}
	return nil
}

func (s *shelf) add(name, scope string, expires time.Time) string {
	text, hash := token.New()
	scopes, _ := token.ParseScopes(scope)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[name] = token.Token{Number: int64(len(s.tokens) + 1), Name: name, Hash: hash, Scopes: scopes,
		ExpiresAt: expires}
	return text
}

func (s *shelf) do(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// guarded runs a test in a bubble of time, with a guard that runs.
func guarded(t *testing.T, cfg token.Config, test func(t *testing.T, s *shelf, g *token.Guard, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{tokens: map[string]token.Token{}}
		cfg.Book = s
		g, err := token.NewGuard(cfg)
		require.NoError(t, err)
		stranger, _ := token.New()
		require.ErrorIs(t, identify(g, stranger), token.ErrUnread, "before the first look")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = g.Run(ctx) // returns nil
		}()
		stop := func() { cancel(); <-ended }
		defer stop()
		test(t, s, g, stop)
	})
}

func of(values ...string) http.Header {
	h := http.Header{}
	for _, v := range values {
		h.Add("Authorization", v)
	}
	return h
}

func identify(g *token.Guard, text string) error {
	_, err := g.Identify(of("Bearer " + text))
	return err
}

var required = token.Config{Required: true, Log: slog.New(slog.DiscardHandler)}

func TestGuard(t *testing.T) {
	t.Parallel()
	guarded(t, required, func(t *testing.T, s *shelf, g *token.Guard, _ func()) {
		text := s.add("ci", "user:write", time.Time{})
		stranger, _ := token.New()
		time.Sleep(token.RefreshInterval + time.Millisecond)
		for _, c := range []struct {
			what  string
			given []string
			want  error
		}{
			{"none", nil, token.ErrNone},
			{"empty", []string{""}, token.ErrScheme},
			{"basic", []string{"Basic dXNlcjpwYXNz"}, token.ErrScheme},
			{"bare", []string{text}, token.ErrScheme},
			{"scheme alone", []string{"Bearer"}, token.ErrScheme},
			{"another kind of token", []string{"Bearer eyJhbGciOi"}, token.ErrScheme},
			{"two", []string{"Bearer " + text, "Bearer " + text}, token.ErrRepeated},
			{"mistyped", []string{"Bearer " + text[:len(text)-1] + "!"}, token.ErrMistyped},
			{"two in one", []string{"Bearer " + text + "," + text}, token.ErrMistyped},
			{"unknown", []string{"Bearer " + stranger}, token.ErrUnknown},
			{"good", []string{"Bearer " + text}, nil},
			{"another case", []string{"bEARER  " + text + " "}, nil},
		} {
			who, err := g.Identify(of(c.given...))
			require.ErrorIs(t, err, c.want, c.what)
			if c.want == nil {
				require.Equal(t, "ci", who.Name)
				require.NoError(t, who.Allow(token.Write, "user"))
				require.Error(t, who.Allow(token.Read, "user"))
				continue
			}
			require.Equal(t, token.Identity{}, who, c.what)
		}
	})
}

// TestGuardOfAnOpenAPI: what is not ours is left alone, what is ours is checked.
func TestGuardOfAnOpenAPI(t *testing.T) {
	t.Parallel()
	guarded(t, token.Config{Log: slog.New(slog.DiscardHandler)},
		func(t *testing.T, s *shelf, g *token.Guard, _ func()) {
			text := s.add("ci", "user:write", time.Time{})
			stranger, _ := token.New()
			time.Sleep(token.RefreshInterval + time.Millisecond)
			for _, given := range [][]string{nil, {""}, {"Basic eA=="}, {"Bearer eyJhbGciOi"},
				{"Basic eA==", "Basic eA=="}} {
				who, err := g.Identify(of(given...))
				require.NoError(t, err, given)
				require.Equal(t, token.Anybody, who)
			}
			require.ErrorIs(t, identify(g, stranger), token.ErrUnknown)
			who, err := g.Identify(of("Bearer " + text))
			require.NoError(t, err)
			require.Error(t, who.Allow(token.Read, "user"), "its scopes hold")
		})
}

func TestRevokedAndNewTokens(t *testing.T) {
	t.Parallel()
	guarded(t, required, func(t *testing.T, s *shelf, g *token.Guard, _ func()) {
		old, expiring := s.add("old", "*:read", time.Time{}), s.add("expiring", "*:read", time.Now().Add(time.Minute))
		time.Sleep(token.RevokedWithin)
		require.NoError(t, identify(g, old))
		s.do(func() { delete(s.tokens, "old") })
		fresh := s.add("new", "*:read", time.Time{})
		time.Sleep(token.RevokedWithin)
		require.ErrorIs(t, identify(g, old), token.ErrUnknown)
		require.NoError(t, identify(g, fresh))
		require.NoError(t, identify(g, expiring))
		time.Sleep(time.Minute)
		require.ErrorIs(t, identify(g, expiring), token.ErrExpired)
	})
}

// TestGuardWithTheDatabaseDown: known tokens work for Grace, and not for ever; guessing
// asks the database nothing.
func TestGuardWithTheDatabaseDown(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	cfg := token.Config{Required: true, Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry}
	guarded(t, cfg, func(t *testing.T, s *shelf, g *token.Guard, stop func()) {
		text := s.add("ci", "*:read", time.Time{})
		stranger, _ := token.New()
		time.Sleep(token.RevokedWithin)
		require.NoError(t, identify(g, text))
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(
			"# HELP afterwrite_tokens Living API tokens that this process knows.\n# TYPE afterwrite_tokens gauge\nafterwrite_tokens 1\n"),
			"afterwrite_tokens"))
		s.do(func() { s.hang = true })
		time.Sleep(token.Grace - time.Minute)
		require.NoError(t, identify(g, text))
		var reads int
		s.do(func() { reads = s.reads })
		for range 1000 {
			require.ErrorIs(t, identify(g, stranger), token.ErrUnread, "it may be a new one")
		}
		s.do(func() { require.Equal(t, reads, s.reads) })
		time.Sleep(2 * time.Minute)
		require.ErrorIs(t, identify(g, text), token.ErrUnread)
		s.do(func() { s.hang = false })
		time.Sleep(token.RevokedWithin)
		require.NoError(t, identify(g, text))
		stop()
		require.Equal(t, 1, strings.Count(log.String(), "tokens not read"), log.String())
		require.Equal(t, 1, strings.Count(log.String(), "read again"))
		require.NotContains(t, log.String(), text)
	})
}

func TestUseIsNotedOnceAMinute(t *testing.T) {
	t.Parallel()
	guarded(t, required, func(t *testing.T, s *shelf, g *token.Guard, stop func()) {
		text, _ := s.add("ci", "*:read", time.Time{}), s.add("idle", "*:read", time.Time{})
		for range 300 { // seconds
			time.Sleep(time.Second)
			require.NoError(t, ignore(identify(g, text), token.ErrUnread))
		}
		s.do(func() { require.InDelta(t, 5, len(s.used), 1); s.down = true })
		time.Sleep(2 * token.UsedInterval)
		s.do(func() { s.used, s.down = nil, false })
		time.Sleep(2 * token.UsedInterval)
		s.do(func() { require.Len(t, s.used, 1, "the note that failed is made up for") })
		require.NoError(t, identify(g, text))
		stop()
		s.do(func() { require.Len(t, s.used, 2, "the last use is noted at the end") })
	})
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}

func TestGuardSaysThatThereIsNoToken(t *testing.T) {
	t.Parallel()
	for _, needed := range []bool{true, false} {
		var log bytes.Buffer
		guarded(t, token.Config{Required: needed, Log: slog.New(slog.NewTextHandler(&log, nil))},
			func(t *testing.T, _ *shelf, _ *token.Guard, stop func()) {
				time.Sleep(time.Minute)
				stop()
				require.Equal(t, needed, strings.Count(log.String(), "afterwrite token new") == 1, log.String())
			})
	}
}

// BenchmarkIdentify is what a token costs each request.
func BenchmarkIdentify(b *testing.B) {
	s := &shelf{tokens: map[string]token.Token{}}
	text := s.add("ci", "user:read,write", time.Time{})
	g, err := token.NewGuard(token.Config{Book: s, Required: true})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Run(ctx) }()
	defer func() { cancel(); <-done }()
	h := of("Bearer " + text)
	for identify(g, text) != nil { //nolint:revive // the first look takes a moment
	}
	b.ReportAllocs()
	for b.Loop() {
		who, err := g.Identify(h)
		if err != nil || who.Allow(token.Write, "user") != nil {
			b.Fatal(err)
		}
	}
}
