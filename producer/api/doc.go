// Package api is the HTTP API of Afterwrite: it turns requests into calls of the write path and of the cache, and their
// results into answers.
//
// A request passes through these files:
//
//	serve.go      request id, headers, deadline, metrics, the log line; cors.go for browsers of other origins
//	route.go      the endpoint, entity and id that the path names
//	auth.go       the caller's identity and scopes, and its rate limit
//	body.go       the body, bounded and not too slow
//	condition.go  what a write requires of the record
//	write.go      put, create, patch, increment, delete; batch.go many of them; wait.go until they are persisted
//	read.go       one record, many.go by ids, list.go a page, status.go its way to the database
//	rank.go       the best records, and a record's place among all
//	answer.go     records, versions and foreign rows in an answer
//	events.go     what becomes of writes, as a stream; ticket.go for programs that cannot send a header
//	admin.go      operators' actions: internal/operate/web serves them
//	problem.go    the answers to errors, the only place that defines them
//	health.go     whether the process is alive and ready; metrics.go its numbers
//	unread.go     requests that no handler sees: rejected by the server, or before the API is ready
//
// What they need stands in rooms of its own, below internal: request parses what a request says, share counts what each
// caller holds of memory and places, stream sends events, openapi describes the API.
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
