// Package api is the HTTP API of Afterwrite: it turns requests into calls of the write path and of the cache, and their
// results into answers.
//
// A request passes through these files:
//
//	serve.go      request id, headers, deadline, metrics, the log line
//	route.go      the endpoint, entity and id that the path names
//	path.go       which ids a path can name; other ids need the parameter id
//	auth.go       the caller's identity and scopes; limit.go the rate limit
//	body.go       the body, bounded          decode.go   its fields, strictly
//	condition.go  If-Match, If-None-Match    prefer.go   Prefer: wait=N
//	write.go      put, create, patch, increment, delete; batch.go many of them
//	read.go       one record, many.go by ids, list.go a page, status.go its way to the database
//	rank.go       the best records, and a record's place among all
//	events.go     what becomes of writes, stream.go as server-sent events, relay.go for all of them
//	admin.go      operators' actions: internal/operate/web serves them
//	problem.go    the answers to errors, the only place that defines them
//	memory.go     how many bytes all requests can hold
//	unread.go     requests that the server rejects before it calls the handler
//
// A 202 means that the write is accepted: every later read sees it, and it reaches the database without further help.
// What Redis itself can lose (with appendfsync everysec up to a second at a power failure), an accepted write can lose
// too; a caller that cannot accept this waits with "Prefer: wait=N" for the 200.
//
// An id is one path segment, percent-encoded. A path segment that proxies may rewrite is rejected; such a record is
// named by the parameter id. The handler works on the escaped path and never cleans or redirects it. It must therefore
// be the server's own handler, not behind an [http.ServeMux], which would.
//
// Values stay JSON text from the body to Redis and back: no number passes through a float, so 64-bit integers and
// decimals keep every digit.
package api
