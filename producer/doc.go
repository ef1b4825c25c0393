// Package producer is the write path: it validates a request against its entity, lets the cache accept it in one atomic
// step, and enqueues the sync task that will flush it.
//
//	Do ── put.go, patch.go, increment.go, delete.go   the request becomes a canonical write
//	   ── gather.go    it joins the writes that wait for the same round trip to Redis
//	   ── cache.Write  one script accepts it: visible to every reader, and pending
//	   ── order.go     if the partition has no sync task, one is enqueued
//
// When Do returns without an error the write is accepted, whatever happens later: if the process dies before the sync
// task is enqueued, the workers' sweeper enqueues it.
//
// A write that depends on the record (create, patch, increment, delete, any with If-Match) and does not find it in
// Redis loads the row and is sent again together with the row. The script installs the row and applies the write in one
// step, so other writers cannot starve it.
//
// An entity whose writes go to the database first (write: through or around) uses through.go instead.
//
// Gathering adds no latency: a caller that finds an idle lane sends its write immediately; later callers join the next
// round trip, which one of them leads. There is no timer.
package producer
