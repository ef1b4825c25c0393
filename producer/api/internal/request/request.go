// Package request parses what a request of the HTTP API says: its path, query, headers and JSON bodies. It knows no
// endpoint and answers nothing; its errors are the problems of an answer.
//
//	path.go       which ids a path can name, and paths that a proxy has rewritten
//	query.go      the parameters of a query
//	condition.go  If-Match, If-None-Match    key.go  Idempotency-Key    prefer.go  Prefer
//	decode.go     the fields of a record, strictly
//	batch.go      the items of a batch
package request

// Bounds of requests.
const (
	MaxBatchItems = 10_000 // items of one batch
	MaxIDs        = 1000   // ids of one multi-get
	MaxLimit      = 1000   // records of one page
	DefaultLimit  = 50     // records of a page if the request sets no limit
	DefaultAround = 5      // records around one in the rank if the request sets no limit
)

// The media types of bodies.
const (
	JSON   = "application/json"
	Merge  = "application/merge-patch+json"
	NDJSON = "application/x-ndjson"
)
