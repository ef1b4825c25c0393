package process

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/httpcache"
)

// newPages keeps the API's pages of rows until a record of their entity changes.
func (p *Parts) newPages() (*httpcache.Cache, error) {
	pages, err := httpcache.New(httpcache.Config{Cache: p.Cache, Tags: func(r *http.Request) []cache.Tag {
		e, ok := p.Config.Entity(strings.TrimPrefix(r.URL.Path, "/v1/"))
		if !ok {
			return nil
		}
		return []cache.Tag{cache.EntityTag(e)}
	}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return pages, nil
}
