// Package httpcache is net/http middleware that keeps responses in Redis, shared by all
// processes: a shared cache in the sense of RFC 9111.
//
//	pages, err := httpcache.New(httpcache.Config{Cache: c, Tags: func(r *http.Request) []cache.Tag {
//		return []cache.Tag{cache.EntityTag(user)}
//	}})
//	handler = pages.Handler(handler)
//
// GET and HEAD alone are answered from it. The key is the host, the path, the query sorted
// by name, the request's fields that Config.Vary names, and those that may send it elsewhere,
// such as X-Forwarded-Host; a response that varies by anything else is not kept. Nor is one
// that broke off, one without explicit freshness, with Set-Cookie, larger
// than Config.MaxSize, in parts, or to a request with Authorization unless the response is
// public, s-maxage or must-revalidate. What the handler says to this cache alone, it says in
// the field Config.Target (RFC 9213).
//
// Of the requests for one key one reaches the handler, in all processes; the others get its
// response. A handler that flushes is streaming: it is called again with the caller's own
// writer, as is one whose response cannot be kept, and for a while requests for that key
// go straight through. So a handler of GET may run twice for one request, as GETs may.
//
// A response is invalid as soon as one of its tags is. A successful unsafe request to a path
// invalidates what is kept of the path.
package httpcache
