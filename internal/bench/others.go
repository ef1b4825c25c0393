package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/internal/config"
)

// Names of the ways.
const (
	waySet     = "go-redis SET"
	wayGet     = "go-redis GET"
	wayUpsert  = "gorm upsert per request"
	wayPlain   = "gorm as it comes"
	wayObvious = "the obvious way"
	wayTasks   = "asynq task per write"
	wayExample = "asynq's example"
	wayLibrary = "afterwrite"
)

const (
	plainPrefix = Prefix + ":plain:"   // of plain values, not records of Afterwrite
	jobsKey     = Prefix + ":jobs"     // list of the hand-written way
	doneKey     = Prefix + ":done"     // number of rows that a consumer has written
	tasksQueue  = Prefix + ":tasks"    // of asynq
	taskType    = "bench:row"          // a task of one row
	expiry      = time.Hour            // of a value in the cache
	consumers   = 32                   // rows that a consumer writes at once
	example     = 10                   // the same in asynq's own example, with gorm's default settings
	reportEvery = 5 * time.Millisecond // how often a consumer reports its progress
)

// set is the base of all comparisons: one SET that stores the value alone.
func (p *place) set(ctx context.Context, n int) error {
	name := id(n)
	return p.redis.Set(ctx, plainPrefix+name, sampleText, 0).Err()
}

var sampleText = sample("u1x2y3z4a5b6c").text()

// upsertOne is what an API without a cache does.
func upsertOne(db *gorm.DB) action {
	return func(ctx context.Context, n int) error {
		r := sample(id(n))
		return db.WithContext(ctx).Clauses(upsert).Create(&r).Error
	}
}

// obvious is the write-behind that most people write: read the cached value, merge, write it with a TTL, push a job.
// The two writes share a round trip.
func (p *place) obvious(ctx context.Context, n int) error {
	r := sample(id(n))
	key := plainPrefix + r.ID
	old, err := p.redis.Get(ctx, key).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	merged := r
	if len(old) > 0 {
		if err := json.Unmarshal(old, &merged); err != nil {
			return err
		}
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return err
	}
	_, err = p.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.SetEx(ctx, key, text, expiry)
		pipe.RPush(ctx, jobsKey, text)
		return nil
	})
	return err
}

// task is one asynq task per write, whose payload is the row.
func task(client *asynq.Client) action {
	return func(ctx context.Context, n int) error {
		text, err := json.Marshal(sample(id(n)))
		if err != nil {
			return err
		}
		_, err = client.EnqueueContext(ctx, asynq.NewTask(taskType, text), asynq.Queue(tasksQueue))
		return err
	}
}

func (p *place) taskClient() *asynq.Client { return asynq.NewClientFromRedisClient(p.redis) }

// Consume runs the process that writes the rows of another way ("obvious", "tasks" or "example") until ctx ends.
func Consume(ctx context.Context, c *config.Config, kind string) error {
	db, err := openDatabase(c.Database.URL, kind != "example")
	if err != nil {
		return err
	}
	client, err := connect(c.Redis.URL, 2*consumers) // each consumer waits in a BLPOP on its own connection
	if err != nil {
		return err
	}
	defer client.Close()
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return tell(ctx, client, &done) })
	switch kind {
	case "tasks":
		group.Go(func() error { return consumeTasks(ctx, client, db, consumers, &done) })
	case "example":
		group.Go(func() error { return consumeTasks(ctx, client, db, example, &done) })
	default:
		for range consumers {
			group.Go(func() error { return consumeJobs(ctx, client, db, &done) })
		}
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// tell stores the number of written rows in Redis, where the run reads it.
func tell(ctx context.Context, client redis.UniversalClient, done *atomic.Int64) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for last := int64(-1); ; {
		if n := done.Load(); n != last {
			if err := client.Set(ctx, doneKey, n, 0).Err(); err != nil {
				return err
			}
			last = n
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func consumeJobs(ctx context.Context, client redis.UniversalClient, db *gorm.DB, done *atomic.Int64) error {
	for {
		job, err := client.BLPop(ctx, time.Second, jobsKey).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return err
		}
		if err := write(ctx, db, []byte(job[1])); err != nil {
			return err
		}
		done.Add(1)
	}
}

func consumeTasks(ctx context.Context, client redis.UniversalClient, db *gorm.DB, concurrency int,
	done *atomic.Int64) error {
	server := asynq.NewServerFromRedisClient(client, asynq.Config{
		Concurrency: concurrency, Queues: map[string]int{tasksQueue: 1},
		TaskCheckInterval: 50 * time.Millisecond, LogLevel: asynq.ErrorLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		err := write(ctx, db, t.Payload())
		if err == nil {
			done.Add(1)
		} else {
			slog.WarnContext(ctx, "task failed", "error", err)
		}
		return err
	}))
	if err != nil {
		return fmt.Errorf("start asynq: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

func write(ctx context.Context, db *gorm.DB, text []byte) error {
	var r row
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	return db.WithContext(ctx).Clauses(upsert).Create(&r).Error
}
