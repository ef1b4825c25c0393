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

// TypeSync is the asynq type of the one kind of task there is.
const TypeSync = "afterwrite:sync"

// TaskTimeout is the longest that a sync task may run before asynq cancels it and
// orders it again. Workers end theirs long before: their time slice is seconds.
const TaskTimeout = 2 * time.Minute

// tries is as often as asynq can count: a sync task is never archived by a failure.
const tries = math.MaxInt32

// Task is the payload of a sync task: an order to flush one partition, under the
// generation that the partition's flag had when it was given. Generation 0 is a wake-up
// for held records.
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

// notBefore is the delay to give asynq so that a task never runs early: asynq cuts its
// times to whole seconds. An order that came early would find nothing due and order a
// successor that comes early too, round and round. So delays end up to a second late.
func notBefore(delay time.Duration) time.Duration { return delay + time.Second - time.Nanosecond }

// parse reads the payload of a sync task.
func parse(payload []byte) (Task, error) {
	var t Task
	if err := json.Unmarshal(payload, &t); err != nil {
		return Task{}, fmt.Errorf("decode sync task: %w", err)
	}
	return t, nil
}

var errNotWorking = errors.New("nothing in this process works now")

// Later asks for a task to be tried again after a time. It is no failure of the task
// and is not counted as one; the error's text is what asynq's tools show beside it.
type Later struct {
	Err   error         // why not now
	After time.Duration // until the next try, at the next whole second
}

func (l Later) Error() string { return fmt.Sprintf("again in %s: %v", l.After, l.Err) }

// Unwrap returns the reason.
func (l Later) Unwrap() error { return l.Err }
