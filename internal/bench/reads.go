package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// few bounds the number of records where a measurement does not vary it.
const few = 100_000

// reads measures reads of records that are cached.
func (r *run) reads(ctx context.Context) error {
	cached := min(r.Backlog, few)
	fill := func(ctx context.Context) error {
		for _, entity := range []string{entityName, localName} {
			if err := r.fill(ctx, entity, cached); err != nil {
				return err
			}
		}
		pipe := r.redis.Pipeline()
		for n := range cached {
			pipe.Set(ctx, plainPrefix+id(n), sampleText, 0)
			if pipe.Len() == 1000 || n == cached-1 {
				if _, err := pipe.Exec(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	}
	read := func(name string, do action) way {
		return way{name, func(ctx context.Context) (map[string]float64, error) {
			if err := fill(ctx); err != nil {
				return nil, err
			}
			if _, err := closed(ctx, some, patience, cached, do); err != nil { // fills the L1
				return nil, err
			}
			o, err := closed(ctx, some, r.Time, 0, do)
			return map[string]float64{"reads": o.rate(), "read p50": o.quantile(0.5), "read p99": o.quantile(0.99)}, err
		}}
	}
	return r.alternate(ctx, []Figure{
		{Section: "reads", Name: "reads", Unit: "/s", Base: wayGet},
		{Section: "reads", Name: "read p50", Unit: "µs", Base: wayGet},
		{Section: "reads", Name: "read p99", Unit: "µs", Base: wayGet},
	},
		read(wayGet, func(ctx context.Context, n int) error {
			return r.redis.Get(ctx, plainPrefix+id(n%cached)).Err()
		}),
		read(wayLibrary, func(ctx context.Context, n int) error {
			_, err := r.cache.Get(ctx, r.entity, id(n%cached))
			return err
		}),
		read("afterwrite with an L1", func(ctx context.Context, n int) error {
			_, err := r.cache.Get(ctx, r.local, id(n%cached))
			return err
		}))
}

// space measures only the bytes of Redis that a pending record takes.
func (r *run) space(ctx context.Context) error {
	records := min(r.Backlog, few)
	client := r.taskClient()
	for _, form := range []struct {
		name  string
		bytes int
		of    func(id string, bytes int) row
	}{{"six values of together", 52, sized}, {"six values of together", 200, sized}, {"three texts of", 52, each},
		{"three texts of", 200, each}} {
		name := fmt.Sprintf("bytes, %s %d", form.name, form.bytes)
		took := func(write func(ctx context.Context, x row) error) func(context.Context) (map[string]float64, error) {
			return func(ctx context.Context) (map[string]float64, error) {
				bytes, err := r.grown(ctx, records, func(ctx context.Context,
					n int) error {
					return write(ctx, form.of(id(n), form.bytes))
				})
				return map[string]float64{name: bytes, name + ", a task": bytes}, err
			}
		}
		const wayTask = "asynq task"
		runs := r.Runs
		r.Runs = 1 // bytes do not vary
		err := r.alternate(ctx, []Figure{
			{Section: "space", Name: name, Unit: "B", Base: waySet},
			{Section: "space", Name: name + ", a task", Unit: "B", Base: wayTask},
		},
			way{waySet, took(func(ctx context.Context, x row) error {
				return r.redis.Set(ctx, plainPrefix+x.ID, x.text(), 0).Err()
			})},
			way{wayTask, took(func(ctx context.Context, x row) error {
				_, err := client.EnqueueContext(ctx, asynq.NewTask(taskType, []byte(x.text())), asynq.Queue(tasksQueue))
				return err
			})},
			way{wayLibrary, took(func(ctx context.Context, x row) error {
				_, err := r.silent.Put(ctx, entityName, x.ID, x.fields())
				return err
			})})
		r.Runs = runs
		if err != nil {
			return err
		}
	}
	return nil
}

// grown returns by how much each of n writes grows the data in Redis.
func (r *run) grown(ctx context.Context, n int, do action) (float64, error) {
	before, err := r.used(ctx)
	if err != nil {
		return 0, err
	}
	o, err := closed(ctx, some, patience, n, do)
	if err != nil {
		return 0, err
	}
	// Redis resizes its tables a little later.
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(300 * time.Millisecond):
	}
	after, err := r.used(ctx)
	return float64(after-before) / float64(o.n), err
}
