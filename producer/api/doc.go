// Package api is the HTTP surface of Afterwrite: it turns requests into calls of
// the write path and of the cache, and their results into answers.
//
// A request walks through these files:
//
//	serve.go      request id, headers, deadline, metrics, the log line
//	route.go      which endpoint, entity and id the path names
//	path.go       which ids a path can name, the parameter id for the others
//	auth.go       who calls, and whether they may; limit.go how often
//	body.go       the body, bounded          decode.go   its fields, strictly
//	condition.go  If-Match, If-None-Match    prefer.go   Prefer: wait=N
//	write.go      put, create, patch, increment, delete; batch.go many of them
//	read.go       one record, many.go by ids, list.go a page, status.go its way to the database
//	rank.go       the best records, and a record's place among all
//	events.go     what becomes of writes, stream.go as server-sent events, relay.go for all of them
//	admin.go      what operators do: internal/operate/web serves it
//	problem.go    what an error answers: the only place that knows
//	memory.go     how many bytes all requests may hold
//	unread.go     what the server refuses before it asks us
//
// A 202 means that the write is accepted: every later read sees it, and it reaches
// the database without further help. What Redis itself can lose (with
// appendfsync everysec up to a second at a power failure) an accepted write can
// lose too; a caller that must not waits with "Prefer: wait=N" for the 200.
//
// Ids are one path segment, percent-encoded. An id whose path a proxy may rewrite is
// rejected there and named by the parameter id instead. The handler works on the
// escaped path and never cleans or redirects it, so it must be the server's own
// handler, not behind an [http.ServeMux], which would.
//
// Values travel as JSON text from the body to Redis and back: no number passes
// through a float, so 64-bit integers and decimals keep every digit.
package api
