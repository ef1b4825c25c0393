package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hibiken/asynq"

	"github.com/afterwrite/afterwrite/schema"
)

// TypeSync is the asynq type of sync tasks, the only tasks there are.
const TypeSync = "afterwrite:sync"

// TaskTimeout is the longest that a sync task can run before asynq cancels and retries it. Workers end their tasks long
// before: their time slice is seconds.
const TaskTimeout = 2 * time.Minute

// tries is asynq's largest count: failures never archive a sync task.
const tries = math.MaxInt32

// Task is the payload of a sync task: flush one partition, under the generation that the partition's flag had when the
// task was ordered. Generation 0 is a wake-up for held records.
type Task struct {
	Entity     string `json:"entity"`
	Partition  int    `json:"partition"`
	Generation int64  `json:"generation"`
}

// message builds the asynq task of an order.
func message(prefix string, o schema.Order) (*asynq.Task, error) {
	payload, err := json.Marshal(Task{Entity: o.Entity.Name, Partition: o.Partition, Generation: o.Generation})
	if err != nil {
		return nil, fmt.Errorf("encode sync task %s: %w", o.TaskID(), err)
	}
	opts := []asynq.Option{
		asynq.TaskID(o.TaskID()),
		asynq.Queue(name(prefix, o.Entity.Flush.Queue)),
		asynq.MaxRetry(tries),
		asynq.Timeout(TaskTimeout),
		asynq.Retention(0),
	}
	if o.Delay > 0 {
		opts = append(opts, asynq.ProcessIn(notBefore(o.Delay)))
	}
	return asynq.NewTask(TypeSync, payload, opts...), nil
}

// notBefore returns the delay to give asynq so that a task never runs early: asynq truncates times to whole seconds. A
// task that ran early would find nothing due and order a successor that runs early too, without end. So tasks start up
// to a second late.
func notBefore(delay time.Duration) time.Duration { return delay + time.Second - time.Nanosecond }

// parse decodes the payload of a sync task.
func parse(payload []byte) (Task, error) {
	var t Task
	if err := json.Unmarshal(payload, &t); err != nil {
		return Task{}, fmt.Errorf("decode sync task: %w", err)
	}
	return t, nil
}

var errNotWorking = errors.New("nothing in this process works now")

// Later asks for a retry of a task after a time. It is not counted as a failure; asynq's tools show the error's text
// beside the task.
type Later struct {
	Err   error         // why the task cannot run now
	After time.Duration // until the retry, which is at the next whole second
}

func (l Later) Error() string { return fmt.Sprintf("again in %s: %v", l.After, l.Err) }

func (l Later) Unwrap() error { return l.Err }
