package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/session"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

func TestMain(m *testing.M) {
	// scs.New begins with a store in memory that nobody can stop without a race.
	memory := goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup")
	goleak.VerifyTestMain(m, testkit.Goroutines(), memory)
}

type bundle struct {
	*session.Store
	rdb    *redis.Client
	prefix string
}

func setup(t *testing.T, cfg session.Config) *bundle {
	t.Helper()
	t.Parallel()
	server := testkit.SharedRedis(t)
	b := &bundle{rdb: server.Client(t), prefix: testkit.Prefix(t)}
	c, err := cache.New(cache.Config{URL: server.URL(), Prefix: b.prefix})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	cfg.Cache, cfg.UserKey = c, "user"
	b.Store, err = session.New(cfg)
	require.NoError(t, err)
	return b
}

// data is a session of a user.
func data(t *testing.T, user string) []byte {
	t.Helper()
	text, err := scs.GobCodec{}.Encode(time.Now().Add(time.Hour), map[string]any{"user": user})
	require.NoError(t, err)
	return text
}

func (b *bundle) commit(t *testing.T, token, user string, life time.Duration) {
	t.Helper()
	require.NoError(t, b.CommitCtx(t.Context(), token, data(t, user), time.Now().Add(life)))
}

func (b *bundle) found(t *testing.T, token string) bool {
	t.Helper()
	_, ok, err := b.FindCtx(t.Context(), token)
	require.NoError(t, err)
	return ok
}

func TestStore(t *testing.T) {
	b := setup(t, session.Config{MaxSize: 1000})
	require.False(t, b.found(t, "unknown"))
	want := data(t, "ada")
	require.NoError(t, b.Commit("token", want, time.Now().Add(time.Hour)))
	got, ok, err := b.Find("token")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, want, got)

	require.NoError(t, b.Commit("token", []byte("\x00not gob\xff"), time.Now().Add(time.Hour)))
	got, _, err = b.Find("token")
	require.NoError(t, err)
	require.Equal(t, "\x00not gob\xff", string(got), "data is any bytes")

	require.ErrorIs(t, b.Commit("token", make([]byte, 1001), time.Now().Add(time.Hour)), session.ErrTooLarge)
	require.NoError(t, b.Delete("token"))
	require.False(t, b.found(t, "token"))
	require.NoError(t, b.Delete("unknown"), "no error, as scs asks")

	b.commit(t, "short", "ada", 20*time.Millisecond)
	testkit.Eventually(t, "it expires", func() bool { return !b.found(t, "short") })
	b.commit(t, "past", "ada", -time.Second)
	require.False(t, b.found(t, "past"))
}

// TestRedisNeverSeesATokenAndEverythingEnds looks at every key: none has a token or the name
// of a user in it, and each has a time to live.
func TestRedisNeverSeesATokenAndEverythingEnds(t *testing.T) {
	b := setup(t, session.Config{})
	const user = "grace" // a name that no hash and no prefix, both hexadecimal, can spell
	b.commit(t, "secret-token", user, time.Hour)
	b.commit(t, "secret-other", user, 2*time.Hour)
	require.NoError(t, b.Delete("secret-other"))
	keys, err := b.rdb.Keys(t.Context(), b.prefix+":*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 3) // two sessions and a list
	for _, key := range keys {
		dump := b.rdb.Dump(t.Context(), key).Val()
		require.NotContains(t, key+dump, "secret-token")
		require.NotContains(t, key, user)
		life := b.rdb.PTTL(t.Context(), key).Val()
		require.Positive(t, life, key)
		require.LessOrEqual(t, life, 2*time.Hour)
	}
}

func TestIdle(t *testing.T) {
	b := setup(t, session.Config{Idle: time.Hour})
	b.commit(t, "used", "ada", 24*time.Hour)
	b.commit(t, "ending", "ada", 10*time.Minute)
	b.commit(t, "idle", "ada", 24*time.Hour)
	key := func(token string) string { return fmt.Sprintf("%s:{_session/%s}:s", b.prefix, session.ID(token)) }
	life := func(token string) time.Duration { return b.rdb.PTTL(t.Context(), key(token)).Val() }
	require.Positive(t, life("idle"))
	require.LessOrEqual(t, life("idle"), time.Hour, "unread, it ends though it expires in a day")

	require.NoError(t, b.rdb.PExpire(t.Context(), key("used"), time.Minute).Err())
	require.True(t, b.found(t, "used"))
	require.Greater(t, life("used"), 30*time.Minute, "each read puts the end off")
	require.True(t, b.found(t, "ending"))
	require.LessOrEqual(t, life("ending"), 10*time.Minute, "not beyond the expiry")

	require.NoError(t, b.rdb.PExpire(t.Context(), key("idle"), time.Millisecond).Err())
	testkit.Eventually(t, "it ends, and is listed no longer", func() bool {
		list, err := b.List(t.Context(), "ada")
		require.NoError(t, err)
		return len(list) == 2
	})
	require.False(t, b.found(t, "idle"))
}

func TestListAndRevoke(t *testing.T) {
	b := setup(t, session.Config{})
	for _, token := range []string{"a", "b", "c", "d"} {
		b.commit(t, token, "ada", time.Hour)
	}
	b.commit(t, "g", "grace", time.Hour)
	b.commit(t, "n", "", time.Hour)
	require.True(t, b.found(t, "a"))
	list, err := b.List(t.Context(), "ada")
	require.NoError(t, err)
	require.Len(t, list, 4)
	for _, s := range list {
		require.WithinDuration(t, time.Now(), s.Created, time.Minute)
		require.WithinDuration(t, time.Now().Add(time.Hour), s.Expires, time.Minute)
	}

	for _, tt := range []struct {
		user, token string
		want        bool
	}{{"grace", "a", false}, {"ada", "b", true}, {"ada", "b", false}, {"ada", "nope", false}} {
		ok, err := b.Revoke(t.Context(), tt.user, session.ID(tt.token))
		require.NoError(t, err)
		require.Equal(t, tt.want, ok, tt)
	}
	require.True(t, b.found(t, "a"), "nobody revokes the session of another")
	require.False(t, b.found(t, "b"))

	n, err := b.RevokeAll(t.Context(), "ada", "c")
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.True(t, b.found(t, "c"), "kept")
	for _, token := range []string{"a", "b", "d"} {
		require.False(t, b.found(t, token))
	}
	require.True(t, b.found(t, "g"))
	list, err = b.List(t.Context(), "ada")
	require.NoError(t, err)
	require.Len(t, list, 1)
	n, err = b.RevokeAll(t.Context(), "nobody")
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestRevokedStaysRevoked lets a request under way commit the session that was revoked
// meanwhile.
func TestRevokedStaysRevoked(t *testing.T) {
	b := setup(t, session.Config{})
	for how, end := range map[string]func(token string){
		"deleted":     func(token string) { require.NoError(t, b.Delete(token)) },
		"revoked":     func(token string) { _, _ = b.Revoke(t.Context(), "ada", session.ID(token)) },
		"all revoked": func(string) { _, _ = b.RevokeAll(t.Context(), "ada") },
	} {
		b.commit(t, how, "ada", time.Hour)
		end(how)
		b.commit(t, how, "ada", time.Hour)
		require.False(t, b.found(t, how), how)
	}
}

// TestRevokeAllMissesNone revokes while sessions are committed: what was committed before
// it began is gone in the end, whatever else happened.
func TestRevokeAllMissesNone(t *testing.T) {
	b := setup(t, session.Config{})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 40 {
				_ = b.CommitCtx(context.Background(), fmt.Sprint(w, "/", i), data(t, "ada"), time.Now().Add(time.Hour))
			}
		})
	}
	all.Go(func() {
		for range 20 {
			_, _ = b.RevokeAll(context.Background(), "ada")
		}
	})
	all.Wait()
	_, err := b.RevokeAll(t.Context(), "ada")
	require.NoError(t, err)
	for w := range 4 {
		for i := range 40 {
			require.False(t, b.found(t, fmt.Sprint(w, "/", i)))
		}
	}
}

// TestWithSessionManager logs in and out through scs itself.
func TestWithSessionManager(t *testing.T) {
	b := setup(t, session.Config{Idle: time.Minute})
	manager := scs.New()
	manager.Store = b.Store
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(_ http.ResponseWriter, r *http.Request) {
		_ = manager.RenewToken(r.Context())
		manager.Put(r.Context(), "user", "ada")
	})
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(manager.GetString(r.Context(), "user")))
	})
	mux.HandleFunc("/logout", func(_ http.ResponseWriter, r *http.Request) { _ = manager.Destroy(r.Context()) })
	server := httptest.NewServer(manager.LoadAndSave(mux))
	t.Cleanup(server.Close)
	browser := func() func(path string) string {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		client := &http.Client{Jar: jar, Transport: server.Client().Transport}
		return func(path string) string {
			resp, err := client.Get(server.URL + path)
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			var text strings.Builder
			_, err = fmt.Fprint(&text, resp.StatusCode, " ")
			require.NoError(t, err)
			_ = resp.Write(&text)
			_, body, _ := strings.Cut(text.String(), "\r\n\r\n")
			return strings.TrimSpace(body)
		}
	}
	one, two := browser(), browser()
	for _, get := range []func(string) string{one, two} {
		require.NotContains(t, get("/who"), "ada")
		get("/login")
		require.Contains(t, get("/who"), "ada")
	}
	list, err := b.List(t.Context(), "ada")
	require.NoError(t, err)
	require.Len(t, list, 2)
	one("/logout")
	require.NotContains(t, one("/who"), "ada")
	require.Contains(t, two("/who"), "ada")
	_, err = b.RevokeAll(t.Context(), "ada")
	require.NoError(t, err)
	require.NotContains(t, two("/who"), "ada")
}

func TestRedisDown(t *testing.T) {
	t.Parallel()
	c, err := cache.New(cache.Config{URL: "redis://127.0.0.1:1", Timeout: 50 * time.Millisecond})
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	s, err := session.New(session.Config{Cache: c})
	require.NoError(t, err)
	_, _, err = s.Find("x")
	require.ErrorIs(t, err, schema.ErrUnavailable)
	require.ErrorIs(t, s.Commit("x", nil, time.Now().Add(time.Hour)), schema.ErrUnavailable)
	require.ErrorIs(t, s.Delete("x"), schema.ErrUnavailable)
	_, err = session.New(session.Config{})
	require.Error(t, err)
}

func ExampleStore() {
	server, err := miniredis.Run() // any Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	c, err := cache.New(cache.Config{URL: "redis://" + server.Addr()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	store, err := session.New(session.Config{Cache: c, UserKey: "user", Idle: 30 * time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions := scs.New()
	sessions.Store, sessions.Lifetime = store, 12*time.Hour
	handler := sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			sessions.Put(r.Context(), "user", "ann")
		}
		fmt.Printf("%s: user %q\n", r.URL.Path, sessions.GetString(r.Context(), "user"))
	}))
	login := httptest.NewRecorder()
	handler.ServeHTTP(login, httptest.NewRequest(http.MethodPost, "/login", nil))
	later := httptest.NewRequest(http.MethodGet, "/", nil)
	later.AddCookie(login.Result().Cookies()[0])
	handler.ServeHTTP(httptest.NewRecorder(), later)
	// Output:
	// /login: user "ann"
	// /: user "ann"
}
