package cache

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite"
)

// Versioned names a record at a version.
type Versioned struct {
	ID      string
	Version afterwrite.Version
}

// Retry puts held or dead records of one partition back to pending, attempts anew, where
// they are still at that version. It tells for each whether it was put back, and returns
// the sync task to enqueue. A repeat changes nothing.
func (c *Cache) Retry(ctx context.Context, e *afterwrite.Entity, partition int, records []Versioned) ([]bool, Order, error) {
	if len(records) == 0 {
		return nil, Order{}, nil
	}
	k := c.keys(e, partition)
	keys := append(make([]string, 0, 5+len(records)), k.lists()...)
	args := append(make([]any, 0, 2+2*len(records)), ms(c.flagMargin), ms(e.Flush.Delay))
	for _, r := range records {
		keys = append(keys, k.record+r.ID)
		args = append(args, r.ID, int64(r.Version))
	}
	reply, err := c.run(ctx, retryScript, keys, args...)
	if err != nil {
		return nil, Order{}, err
	}
	if len(reply) != len(records)+1 {
		return nil, Order{}, fmt.Errorf("retry script: %d values", len(reply))
	}
	back := make([]bool, len(records))
	for i := range back {
		n, _ := reply[i+1].(int64)
		back[i] = n == 1
	}
	if text(reply[0]) == "" {
		return back, Order{}, nil
	}
	o, err := order(e, partition, []any{reply[0], strconv.FormatInt(ms(e.Flush.Delay), 10)})
	return back, o, err
}

// Waiting is a held record and what is known of its last attempt.
type Waiting struct {
	ID       string
	Version  afterwrite.Version // that was refused
	Next     time.Time          // of the next attempt
	At       time.Time          // of the last attempt
	Attempts int
	Kind     afterwrite.Kind
	Refusal  afterwrite.Refusal // of the last attempt
	Apart    bool               // it is set apart: see [Refused]
}

// Waiting reads a page of a partition's held records, by the time of their next attempt,
// after that many others.
func (c *Cache) Waiting(ctx context.Context, e *afterwrite.Entity, partition, skip, limit int) ([]Waiting, error) {
	held, _, err := c.HeldFrom(ctx, []HeldIn{{Entity: e, Partition: partition, Skip: skip}}, limit)
	if err != nil {
		return nil, err
	}
	return held[0], nil
}

// Move is a held record's new time.
type Move struct {
	ID   string
	From time.Time // the next attempt as it was read
	To   time.Time
}

// Reschedule gives held records of one partition another time for their next attempt,
// where it has not changed since it was read. It returns the number moved; the sweeper
// sees the new times.
func (c *Cache) Reschedule(ctx context.Context, e *afterwrite.Entity, partition int, moves []Move) (int, error) {
	if len(moves) == 0 {
		return 0, nil
	}
	args := make([]any, 0, 3*len(moves))
	for _, m := range moves {
		args = append(args, m.ID, strconv.FormatInt(m.From.UnixMilli(), 10), m.To.UnixMilli())
	}
	return c.runInt(ctx, rescheduleScript, []string{c.keys(e, partition).held}, args...)
}
