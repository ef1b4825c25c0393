// Package httpcache is net/http middleware that caches responses in Redis, shared by all processes: a shared cache as
// defined by RFC 9111.
//
//	pages, err := httpcache.New(httpcache.Config{Cache: c, Tags: func(r *http.Request) []values.Tag {
//		return []values.Tag{values.EntityTag(user)}
//	}})
//	handler = pages.Handler(handler)
//
// Only GET and HEAD are answered from it. The key is the target URI (scheme, host, path and query, each normalised, the
// query sorted by name), whether the request has Authorization, the request fields that Config.Vary names, and fields
// that can change the target, such as X-Forwarded-Host. Not cached are responses that vary by anything else, that broke
// off, that have no explicit freshness, that set a cookie, that are partial or larger than Config.MaxSize, and
// responses to requests with Authorization unless they are public, s-maxage or must-revalidate. The handler can address
// this cache alone with the field Config.Target (RFC 9213).
//
// Of concurrent requests for one key, over all processes, one reaches the handler, as a GET without that request's
// conditions and Cache-Control. The others get the same response; Cache-Status marks them as collapsed (RFC 9211). A
// request with only-if-cached, no-store, no-cache, Range or a body is never collapsed.
//
// A response that cannot be cached goes to the request that caused it, and each waiting request calls the handler
// itself. Requests that waited for a response of 500 or more share one more call, unless the response says that it is
// for one caller. A handler that flushes, or writes more than Config.MaxSize, is called again with the caller's own
// writer: for a GET it may run twice. After either, requests for that key bypass the cache for a while.
//
// A response becomes invalid with any of its tags. A successful unsafe request to a path invalidates the path's
// responses.
package httpcache
