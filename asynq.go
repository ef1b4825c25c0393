package afterwrite

import (
	"github.com/hibiken/asynq"

	"github.com/afterwrite/afterwrite/internal/queue"
)

// TaskType is that of sync tasks: {"entity", "partition", "generation"}.
const TaskType = queue.TypeSync

// Register has an asynq server of the program's own run the sync tasks. Call it before Work, and
// give that server [DB.Queues], [RetryDelay] and [IsFailure].
func (db *DB) Register(mux *asynq.ServeMux) {
	mux.Handle(TaskType, db.guest)
	db.parts.Serve(db.guest)
}

// Queues are the asynq queues of the sync tasks, each with weight 1.
func (db *DB) Queues() map[string]int {
	queues := map[string]int{}
	for _, e := range db.entities {
		queues[queue.Name(db.parts.Config.Redis.Prefix, e.Flush.Queue)] = 1
	}
	return queues
}

// RetryDelay tells a server when to retry sync tasks; other has the rest.
func RetryDelay(other asynq.RetryDelayFunc) asynq.RetryDelayFunc { return queue.RetryDelay(other) }

// IsFailure tells a server that a deferred sync task has not failed.
func IsFailure(err error) bool { return queue.IsFailure(err) }
