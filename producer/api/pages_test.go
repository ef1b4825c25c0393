package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/httpcache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
)

// TestPagesAreKeptUntilARecordChanges shows that a page is kept, and that none is older
// than a change which the database has.
func TestPagesAreKeptUntilARecordChanges(t *testing.T) {
	b := setup(t)
	pages, err := httpcache.New(httpcache.Config{Cache: b.cache, Tags: func(r *http.Request) []cache.Tag {
		return []cache.Tag{cache.EntityTag(b.entities[strings.TrimPrefix(r.URL.Path, "/v1/")])}
	}})
	require.NoError(t, err)
	cfg := b.config
	cfg.Pages, cfg.Registerer = pages, nil
	h, err := api.New(cfg)
	require.NoError(t, err)
	list := func(query string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/v1/user?"+query, nil)
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	hit := func(w *httptest.ResponseRecorder) bool {
		return strings.Contains(w.Header().Get("Cache-Status"), "; hit")
	}

	testkit.Eventually(t, "a page is kept", func() bool { return hit(list("limit=2")) })
	kept := list("limit=2")
	require.Equal(t, 200, kept.Code)
	require.Equal(t, `{"records":[],"next":null}`+"\n", kept.Body.String())
	require.Equal(t, "private, no-cache", kept.Header().Get("Cache-Control"))
	require.NotEmpty(t, kept.Header().Get("Afterwrite-Lag"))
	require.Empty(t, kept.Header().Get("Afterwrite-Cache-Control"))
	require.Equal(t, 304, list("limit=2", "If-None-Match: "+kept.Header().Get("Etag")).Code)

	for _, name := range []string{"ada", "grace", "linus"} {
		b.do("PUT", "/v1/user/"+name, `{"name":"`+name+`"}`).want(t, 202)
		b.flush()
		require.Contains(t, list("").Body.String(), name, "a page after a change has it")
	}
	require.Equal(t, 422, list("age=old").Code)
	b.sql.Inject(testkit.Refuse, testkit.AnyStatement, testkit.Always())
	w := list("limit=1", "X-Request-Id: mine")
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), `"request_id":"mine"`)
	require.Equal(t, "mine", w.Header().Get("X-Request-Id"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}
