package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/httpcache"
)

// newPages keeps the API's pages of rows until a record of their entity changes.
func (p *parts) newPages() (*httpcache.Cache, error) {
	pages, err := httpcache.New(httpcache.Config{Cache: p.cache, Tags: func(r *http.Request) []cache.Tag {
		e, ok := p.config.Entity(strings.TrimPrefix(r.URL.Path, "/v1/"))
		if !ok {
			return nil
		}
		return []cache.Tag{cache.EntityTag(e)}
	}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return pages, nil
}
