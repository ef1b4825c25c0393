// Package producer is the write path: it validates a request against its entity, has the
// cache accept it in one atomic step, and orders the sync task that will flush it.
//
//	Do ── put.go, patch.go, increment.go, delete.go   the request becomes a canonical write
//	   ── gather.go    it joins the writes that wait for the same trip to Redis
//	   ── cache.Write  one script accepts it: visible to every reader, and pending
//	   ── order.go     where the partition had no sync task, one is enqueued
//
// When Do returns without an error the write is accepted, whatever happens later: if the
// process dies before the sync task is enqueued, the sweeper of the workers orders it.
//
// A write that depends on the record (create, patch, increment, delete, any with If-Match)
// and does not find it in Redis loads its row and is sent again together with it; the
// script installs and applies in one step, so no writer can be starved by others.
//
// An entity whose writes go to the database first (write: through or around) takes the way
// of through.go instead.
//
// Gathering adds no latency: a caller that finds nobody on the way to Redis goes at once
// and alone. Those who come while it is away go together on the next trip, led by one of
// them. There is no timer.
package producer
