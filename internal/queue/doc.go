// Package queue carries orders to flush a partition from a process that accepted a write to a worker that is free.
// Asynq is the queue. This package alone defines asynq's task types, payloads, names and settings, so that the write
// path and the workers share them without importing each other.
//
// A [Task] says which partition to flush and carries no data: the pending set in the cache is the truth. So a task can
// be lost, duplicated, run late, run twice at once, archived or deleted from a console without harm. Asynq's part is to
// wake one worker quickly, to keep a task until its time, and to retry it after a failure without end.
//
// A task's id is its order's, "entity/partition/generation". While a task exists in any state, asynq rejects a second
// one with the same id, so an enqueue can safely be repeated after a lost reply.
//
// Asynq's queues are named "prefix:queue", which is unambiguous because a configured queue name cannot contain a colon:
// deployments of different prefixes can share one Redis.
package queue
