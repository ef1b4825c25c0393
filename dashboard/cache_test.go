package dashboard_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// The cache page tells what the memory is for, and drops by key, by pattern and by tag.
func TestCachePage(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.refuse("eve")
	pages, err := values.New[string](d.cache, values.Policy{Group: "page", TTL: time.Hour}, nil)
	require.NoError(t, err)
	said := "old"
	load := func() string {
		v, err := pages.Load(t.Context(), "home", func(ctx context.Context) (string, error) {
			values.AddTags(ctx, values.NamedTag("menu"))
			return said, nil
		})
		require.NoError(t, err)
		return v
	}
	require.Equal(t, "old", load())

	d.eventually("the keys are shown, of which a page on a busy machine may have looked at a part", func() bool {
		_, page := d.visit(http.MethodGet, "/cache", "", nil)
		shown := text(page)
		for _, part := range []string{"entity user 2", "values page 1", "under 1 d", "Largest keys"} {
			if !strings.Contains(shown, part) {
				return false
			}
		}
		return true
	})

	said = "new"
	require.Equal(t, "old", load())
	r, page := d.visit(http.MethodPost, "/cache/invalidate", "", url.Values{"tag": {"menu"}})
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, text(page), "Every value with the tag &#34;menu&#34; is loaded again")
	require.Equal(t, "new", load())
	for _, bad := range []url.Values{{"tag": {""}}, {"entity": {"user"}, "pattern": {""}}} {
		r, page = d.visit(http.MethodPost, "/cache/invalidate", "", bad)
		require.Equal(t, http.StatusUnprocessableEntity, r.StatusCode)
		require.Contains(t, page, `role="alert"`)
	}
	log, err := d.store.AuditLog(t.Context(), ledger.AuditQuery{})
	require.NoError(t, err)
	require.Equal(t, "cache.invalidate", log[0].Action)
	require.Equal(t, "menu", log[0].Detail["tag"])
}
