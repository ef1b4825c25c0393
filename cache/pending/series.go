package pending

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Point is one sample of a series.
type Point struct {
	At    time.Time // the beginning of its step
	Value string
}

// Sample stores a value in a series of a fixed number of steps, at the step that contains the time; the last value of a
// step counts. The series is a ring in one hash, so it never grows beyond its steps, and it expires when no process
// samples any more. It is meant for charts: Redis may evict it.
func (b *Backlog) Sample(ctx context.Context, series string, at time.Time, step time.Duration, steps int,
	value string) error {
	key := b.seriesKey(series)
	n := at.UnixMilli() / layout.MS(step)
	p := b.redis.Pipeline()
	p.HSet(ctx, key, n%int64(steps), strconv.FormatInt(n, 10)+" "+value)
	p.PExpire(ctx, key, time.Duration(steps)*step)
	if _, err := p.Exec(ctx); err != nil {
		return rdb.Fault("sample", err)
	}
	return nil
}

// Series reads the samples of the steps up to a time, oldest first. Steps without a sample are left out.
func (b *Backlog) Series(ctx context.Context, series string, until time.Time, step time.Duration, steps int) ([]Point,
	error) {
	ring, err := b.redis.HGetAll(ctx, b.seriesKey(series)).Result()
	if err != nil {
		return nil, rdb.Fault("series", err)
	}
	last := until.UnixMilli() / layout.MS(step)
	points := make([]Point, 0, len(ring))
	for _, sample := range ring {
		number, value, _ := strings.Cut(sample, " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if err == nil && n <= last && n > last-int64(steps) {
			points = append(points, Point{time.UnixMilli(n * layout.MS(step)), value})
		}
	}
	slices.SortFunc(points, func(a, b Point) int { return cmp.Compare(a.At.UnixMilli(), b.At.UnixMilli()) })
	return points, nil
}

func (b *Backlog) seriesKey(series string) string { return b.prefix.Shared("series:" + series) }
