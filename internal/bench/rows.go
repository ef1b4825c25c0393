package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/producer"
)

// patience bounds the wait for a backlog.
const patience = 10 * time.Minute

// worker starts a worker and waits until it has started.
func (r *run) worker(ctx context.Context) (Process, error) {
	p, err := r.Start(ctx, "worker")
	if err != nil {
		return nil, err
	}
	if err := r.ready(ctx, r.config.Worker.Addr); err != nil {
		p.Kill()
		return nil, fmt.Errorf("worker: %w", err)
	}
	return p, nil
}

// Measurements of rows per second, each beside another way to persist them. The default settings of gorm and of asynq's
// example are what many programs run with; the tuned settings are harder to beat.
const (
	besideTasks   = "rows, end to end"
	besideExample = "rows beside asynq's example"
	besideUpsert  = "rows beside one upsert per request"
	besidePlain   = "rows beside gorm as it comes"
)

// rows measures rows per second from the first write until the last row is committed. Each way gets as many writes as
// it can persist in about one turn, and the same number of callers.
func (r *run) rows(ctx context.Context) error {
	figure := []Figure{
		{Section: "rows", Name: besideTasks, Unit: "/s", Base: wayTasks},
		{Section: "rows", Name: besideExample, Unit: "/s", Base: wayExample},
		{Section: "rows", Name: besideUpsert, Unit: "/s", Base: wayUpsert},
		{Section: "rows", Name: besidePlain, Unit: "/s", Base: wayPlain},
		{Section: "rows", Name: "memory of the consumer", Unit: "MB"},
	}
	tasks := task(r.taskClient())
	return r.alternate(ctx, figure,
		way{wayTasks, r.consumed("tasks", r.writes(1000), tasks, besideTasks)},
		way{wayExample, r.consumed("example", r.writes(1000), tasks, besideExample)},
		way{wayObvious, r.consumed("obvious", r.writes(2000), r.obvious, besideTasks)},
		way{wayUpsert, r.upserted(r.database, besideUpsert)},
		way{wayPlain, r.upserted(r.plain, besidePlain)},
		way{wayLibrary, r.throughLibrary})
}

// upserted returns a turn of callers that write their rows themselves.
func (r *run) upserted(db *gorm.DB, figure string) func(context.Context) (map[string]float64, error) {
	return func(ctx context.Context) (map[string]float64, error) {
		o, err := closed(ctx, some, r.Time, 0, upsertOne(db))
		return rated(o.rate(), nil, figure), err
	}
}

func (r *run) writes(perSecond float64) int { return int(perSecond * r.Time.Seconds()) }

// rated returns the rate of a way under each of the names, and its consumer's peak memory.
func rated(rate float64, p Process, figures ...string) map[string]float64 {
	values := map[string]float64{}
	for _, name := range figures {
		values[name] = rate
	}
	if p != nil {
		_, values["memory of the consumer"] = resident(p.PID())
	}
	return values
}

// consumed returns a turn of a way whose rows a consumer process writes.
func (r *run) consumed(kind string, most int, do action, figure string) func(context.Context) (map[string]float64,
	error) {
	return func(ctx context.Context) (map[string]float64, error) {
		p, err := r.Start(ctx, "bench", "consume", kind)
		if err != nil {
			return nil, err
		}
		defer p.Kill()
		done := func(n int) func() (bool, error) {
			return func() (bool, error) {
				text, err := r.redis.Get(ctx, doneKey).Result()
				written, _ := strconv.Atoi(text)
				return err == nil && written >= n, nil
			}
		}
		if err := r.until(ctx, 30*time.Second, done(0)); err != nil {
			return nil, fmt.Errorf("the consumer has not started: %w", err)
		}
		start := time.Now()
		o, err := closed(ctx, some, patience, most, do)
		if err != nil {
			return nil, err
		}
		if err := r.until(ctx, patience, done(o.n)); err != nil {
			return nil, err
		}
		return rated(float64(o.n)/time.Since(start).Seconds(), p, figure), nil
	}
}

func (r *run) throughLibrary(ctx context.Context) (map[string]float64, error) {
	worker, err := r.worker(ctx)
	if err != nil {
		return nil, err
	}
	defer worker.Kill()
	start := time.Now()
	o, err := closed(ctx, some, patience, r.writes(30_000), put(r.producer, entityName))
	if err != nil {
		return nil, err
	}
	if err := r.drained(ctx); err != nil {
		return nil, err
	}
	return rated(float64(o.n)/time.Since(start).Seconds(), worker, besideTasks, besideExample, besideUpsert,
		besidePlain), nil
}

// drain measures how fast a backlog becomes rows, beside gorm's own upserts of the same rows; also a backlog of a
// tenth, and gorm with a tenth, which shows what a larger table costs the database.
func (r *run) drain(ctx context.Context) error {
	const base, tenth, baseTenth = "gorm, 500 rows a statement", "a tenth", "gorm, a tenth"
	small := r.Backlog / 10
	name := "drain of " + thousands(int64(r.Backlog))
	figures := []Figure{
		{Section: "drain", Name: name, Unit: "rows/s", Base: base},
		{Section: "drain", Name: "drain beside a tenth of it", Unit: "rows/s", Base: tenth},
		{Section: "drain", Name: "gorm beside a tenth of it", Unit: "rows/s", Base: baseTenth},
		{Section: "drain", Name: "bytes of Redis a record", Unit: "B", Base: tenth},
		{Section: "drain", Name: "worker memory at its highest", Unit: "MB"},
		{Section: "drain", Name: "CPU of the writer a row", Unit: "µs", Base: base},
		{Section: "drain", Name: "CPU of Redis a row", Unit: "µs"},
	}
	return r.alternate(ctx, figures,
		way{base, func(ctx context.Context) (map[string]float64, error) {
			before, err := r.spent(ctx)
			if err != nil {
				return nil, err
			}
			rate, err := r.bulk(ctx, r.Backlog)
			if err != nil {
				return nil, err
			}
			after, err := r.spent(ctx)
			return map[string]float64{name: rate, "gorm beside a tenth of it": rate,
				"CPU of the writer a row": micros(after.here-before.here, r.Backlog)}, err
		}},
		way{baseTenth, func(ctx context.Context) (map[string]float64, error) {
			rate, err := r.bulk(ctx, small)
			return map[string]float64{"gorm beside a tenth of it": rate}, err
		}},
		way{tenth, func(ctx context.Context) (map[string]float64, error) {
			d, err := r.drainOf(ctx, small)
			return map[string]float64{"drain beside a tenth of it": d.rate, "bytes of Redis a record": d.bytes}, err
		}},
		way{wayLibrary, func(ctx context.Context) (map[string]float64, error) {
			d, err := r.drainOf(ctx, r.Backlog)
			return map[string]float64{
				name: d.rate, "drain beside a tenth of it": d.rate, "bytes of Redis a record": d.bytes,
				"worker memory at its highest": d.memory,
				"CPU of the writer a row":      d.cpu, "CPU of Redis a row": d.redis,
			}, err
		}})
}

// bulk upserts rows with gorm's own batches.
func (r *run) bulk(ctx context.Context, n int) (float64, error) {
	start := time.Now()
	for from := 0; from < n; from += 500 {
		rows := make([]row, min(500, n-from))
		for i := range rows {
			rows[i] = sample(id(from + i))
		}
		upsert := clause.OnConflict{UpdateAll: true}
		if err := r.database.WithContext(ctx).Clauses(upsert).Create(&rows).Error; err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

func micros(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }

type drained struct{ rate, bytes, memory, cpu, redis float64 }

// drainOf fills a backlog, starts a worker and measures from the worker's first rows to the last.
func (r *run) drainOf(ctx context.Context, n int) (d drained, err error) {
	before, err := r.used(ctx)
	if err != nil {
		return d, err
	}
	if err := r.fill(ctx, entityName, n); err != nil {
		return d, err
	}
	after, err := r.used(ctx)
	if err != nil {
		return d, err
	}
	d.bytes = float64(after-before) / float64(n)
	worker, err := r.worker(ctx)
	if err != nil {
		return d, err
	}
	defer worker.Kill()
	spent, err := r.spent(ctx)
	if err != nil {
		return d, err
	}
	var first int64
	var began time.Time
	err = r.until(ctx, patience, func() (bool, error) {
		s, err := r.stats(ctx)
		if began.IsZero() && s.Persisted > 0 {
			first, began = s.Persisted, time.Now()
		}
		if s.Pending%1000 < 100 {
			r.progress(thousands(s.Pending) + " pending")
		}
		return err == nil && s.Pending == 0, err
	})
	d.rate = float64(int64(n)-first) / time.Since(began).Seconds()
	_, d.memory = resident(worker.PID())
	if err != nil {
		return d, err
	}
	d.cpu = micros(processor(worker.PID()), n)
	total, err := r.spent(ctx)
	d.redis = micros(total.redis-spent.redis, n)
	return d, err
}

// fill makes records pending.
func (r *run) fill(ctx context.Context, entity string, n int) error {
	const batch = 2000
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for from := 0; from < n; from += batch {
		group.Go(func() error {
			requests := make([]producer.Request, min(batch, n-from))
			for i := range requests {
				requests[i] = producer.Request{Op: cache.OpPut, Entity: entity, ID: id(from + i), Fields: fields}
			}
			for _, result := range r.producer.DoAll(ctx, requests) {
				if result.Err != nil {
					return result.Err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// used returns the memory of Redis that its data take.
func (p *place) used(ctx context.Context) (int64, error) {
	info, err := p.redis.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	m := info["Memory"]
	total, err := strconv.ParseInt(m["used_memory_dataset"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("used_memory_dataset of Redis: %w", err)
	}
	overhead, err := strconv.ParseInt(m["used_memory_overhead"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("used_memory_overhead of Redis: %w", err)
	}
	for _, of := range []string{"mem_aof_buffer", "mem_clients_normal", "mem_clients_slaves",
		"mem_replication_backlog"} {
		n, _ := strconv.ParseInt(m[of], 10, 64)
		overhead -= n
	}
	return total + overhead, nil // Redis counts the key tables as overhead
}
