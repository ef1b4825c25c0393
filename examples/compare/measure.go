package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
)

// way is one way to do an operation. The first of a figure's ways is the one that ratios are to.
type way struct {
	name string
	do   func(ctx context.Context, n int64) error // the n-th operation
}

// figure is one operation, done in several ways.
type figure struct {
	name   string
	before func(ctx context.Context) error // of each turn; or nil
	ways   []way
}

// turn is what one way did in one turn.
type turn struct{ rate, own, redis float64 } // operations/s, µs of processor an operation

// measure lets the ways take turns, and prints a table.
func measure(ctx context.Context, o options, figures []figure) error {
	client := redis.NewClient(o.redis)
	defer client.Close()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	for _, f := range figures {
		fmt.Fprintf(out, "\n%s\t operations/s\t ratio\t own CPU\t Redis CPU\t\n", f.name)
		turns := make([][]turn, len(f.ways))
		for range o.turns {
			for i, w := range f.ways {
				if f.before != nil {
					if err := f.before(ctx); err != nil {
						return fmt.Errorf("%s, %s: %w", f.name, w.name, err)
					}
				}
				t, err := once(ctx, o, client, w)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", f.name, w.name, err)
				}
				turns[i] = append(turns[i], t)
			}
		}
		for i, w := range f.ways {
			ratios := make([]float64, o.turns)
			for j := range ratios {
				ratios[j] = turns[0][j].rate / turns[i][j].rate
			}
			fmt.Fprintf(out, "%s\t %.0f\t %.2f\t %.1f µs\t %.1f µs\t\n", w.name,
				median(turns[i], func(t turn) float64 { return t.rate }), middle(ratios),
				median(turns[i], func(t turn) float64 { return t.own }),
				median(turns[i], func(t turn) float64 { return t.redis }))
		}
	}
	fmt.Fprintf(out, "\nratio: Afterwrite's rate beside that way's, the median of %d turns of %v, %d callers\n", o.turns,
		o.time, o.callers)
	return out.Flush()
}

func median(turns []turn, of func(turn) float64) float64 {
	values := make([]float64, len(turns))
	for i, t := range turns {
		values[i] = of(t)
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// number makes every operation of the program another one.
var number atomic.Int64

func once(ctx context.Context, o options, client *redis.Client, w way) (turn, error) {
	var (
		done    atomic.Int64
		failure atomic.Pointer[error]
		callers sync.WaitGroup
	)
	redisBefore, err := redisTime(ctx, client)
	if err != nil {
		return turn{}, err
	}
	began, ownBefore := time.Now(), ownTime()
	for range o.callers {
		callers.Go(func() {
			for time.Since(began) < o.time && failure.Load() == nil {
				if err := w.do(ctx, number.Add(1)); err != nil {
					failure.Store(&err)
				}
				done.Add(1)
			}
		})
	}
	callers.Wait()
	if err := failure.Load(); err != nil {
		return turn{}, *err
	}
	took, own := time.Since(began), ownTime()-ownBefore
	redisAfter, err := redisTime(ctx, client)
	n := float64(done.Load())
	return turn{n / took.Seconds(), micro(own) / n, micro(redisAfter-redisBefore) / n}, err
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// ownTime is the processor time of this process.
func ownTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// redisTime is the processor time of the Redis.
func redisTime(ctx context.Context, client *redis.Client) (total time.Duration, err error) {
	info, err := client.Info(ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, err
			}
			total += time.Duration(seconds * float64(time.Second))
		}
	}
	return total, nil
}
