// Package httpcache is net/http middleware that keeps responses in Redis, shared by all
// processes: a shared cache in the sense of RFC 9111.
//
//	pages, err := httpcache.New(httpcache.Config{Cache: c, Tags: func(r *http.Request) []cache.Tag {
//		return []cache.Tag{cache.EntityTag(user)}
//	}})
//	handler = pages.Handler(handler)
//
// GET and HEAD alone are answered from it. The key is the target URI (scheme, host, path and
// query, each in one form, the query sorted by name), whether the request has Authorization,
// the request's fields that Config.Vary names, and those that may send it elsewhere, such as
// X-Forwarded-Host; a response that varies by anything else is not kept. Nor is one that
// broke off, one without explicit freshness, with Set-Cookie, larger than Config.MaxSize, in
// parts, or to a request with Authorization unless the response is public, s-maxage or
// must-revalidate. What the handler says to this cache alone, it says in the field
// Config.Target (RFC 9213).
//
// Of the requests for one key one reaches the handler, in all processes, as a GET without
// the conditions and the Cache-Control of that request; the others get its response, and
// Cache-Status says that they were collapsed (RFC 9211). A request with only-if-cached,
// no-store, no-cache, Range or a body takes no part in this.
//
// A response that is not kept goes to the request that led to it, and the others reach the
// handler each on its own; those that waited for a response of 500 or more share one more
// call, if nothing in it says that it is for one caller. A handler that flushes, or writes
// more than Config.MaxSize, is called again with the caller's own writer: for a GET it may
// run twice. After either, requests for that key go straight through for a while.
//
// A response is invalid as soon as one of its tags is. A successful unsafe request to a path
// invalidates what is kept of the path.
package httpcache
