// Package queue carries orders to flush a partition from whoever accepted a write to
// whichever worker is free. Asynq is the queue; this package is the one place that
// fixes its task types, payloads, names and settings, so that the write path and the
// workers agree without meeting.
//
// A [Task] is an order to look, never the data: the pending set in the cache is the
// truth. So a task may be lost, doubled, run late, run twice at once, archived or
// deleted from a console without harm. What asynq is relied on for is to wake one
// worker quickly, to hold an order until its time, and to try it again after a
// failure, for ever.
//
// Each task has the id of its order, "entity/partition/generation". Asynq refuses a second task of
// that id while the first exists in any state, which makes an enqueue safe to repeat
// after a lost reply.
//
// Asynq's queues are named "prefix:queue", which is unambiguous because no queue of a
// configuration may contain a colon: deployments of different prefixes can share one
// Redis.
package queue
