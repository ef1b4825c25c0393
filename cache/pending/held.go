package pending

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Waiting is a held record and its last attempt.
type Waiting struct {
	ID       string
	Version  schema.Version // the refused version
	Next     time.Time      // of the next attempt
	At       time.Time      // of the last attempt
	Attempts int            // refusals so far
	Refusal  schema.Refusal // of the last attempt
	Isolated bool           // it is isolated: see [Refused]
}

// HeldIn is a position in the held records of one partition: skips that many of the records whose next attempt is at or
// after From.
type HeldIn struct {
	Entity    *schema.Entity
	Partition int
	From      time.Time // zero: all
	Skip      int
}

// HeldFrom reads up to limit held records from each position, by the time of their next attempt and then by id, in two
// round trips for all positions. A record that leaves the list meanwhile is left out, so a result shorter than limit is
// not the end; more says whether there are more.
func (b *Backlog) HeldFrom(ctx context.Context, places []HeldIn, limit int) (held [][]Waiting, more []bool, err error) {
	lists := make([]*redis.ZSliceCmd, len(places))
	p := b.redis.Pipeline()
	for i, at := range places {
		from := "-inf"
		if !at.From.IsZero() {
			from = strconv.FormatInt(at.From.UnixMilli(), 10)
		}
		lists[i] = p.ZRangeByScoreWithScores(ctx, b.prefix.Keys(at.Entity, at.Partition).Held,
			&redis.ZRangeBy{Min: from, Max: "+inf", Offset: int64(at.Skip), Count: int64(limit)})
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, nil, rdb.Fault("held", err)
	}
	details := make([]*redis.SliceCmd, len(places))
	p = b.redis.Pipeline()
	for i, at := range places {
		if ids := idsOf(lists[i].Val()); len(ids) > 0 {
			details[i] = p.HMGet(ctx, b.prefix.Keys(at.Entity, at.Partition).Why, ids...)
		}
	}
	if p.Len() > 0 {
		if _, err := p.Exec(ctx); err != nil {
			return nil, nil, rdb.Fault("held", err)
		}
	}
	held, more = make([][]Waiting, len(places)), make([]bool, len(places))
	for i, list := range lists {
		more[i] = len(list.Val()) == limit
		if details[i] != nil {
			held[i] = waitingOf(list.Val(), details[i].Val())
		}
	}
	return held, more, nil
}

// Waiting reads a page of a partition's held records, by the time of their next attempt, after the first skip records.
func (b *Backlog) Waiting(ctx context.Context, e *schema.Entity, partition, skip, limit int) ([]Waiting, error) {
	held, _, err := b.HeldFrom(ctx, []HeldIn{{Entity: e, Partition: partition, Skip: skip}}, limit)
	if err != nil {
		return nil, err
	}
	return held[0], nil
}

func idsOf(list []redis.Z) []string {
	ids := make([]string, len(list))
	for i, z := range list {
		ids[i] = layout.Text(z.Member)
	}
	return ids
}

func waitingOf(list []redis.Z, details []any) []Waiting {
	waiting := make([]Waiting, 0, len(list))
	for i, z := range list {
		if details[i] == nil {
			continue // it has left the list meanwhile
		}
		w := layout.ParseWhy(layout.Text(details[i]))
		waiting = append(waiting, Waiting{
			ID: layout.Text(z.Member), Version: w.Version, Next: time.UnixMilli(int64(z.Score)),
			At: time.UnixMilli(w.At), Attempts: w.Attempts, Refusal: *w.Refusal(), Isolated: w.Isolated,
		})
	}
	return waiting
}

// Move is a new time for a held record.
type Move struct {
	ID   string
	From time.Time // the next attempt as it was read
	To   time.Time
}

// Reschedule sets the time of the next attempt of held records of one partition, unless it has changed since it was
// read. It returns the number of records moved; the sweeper uses the new times.
func (b *Backlog) Reschedule(ctx context.Context, e *schema.Entity, partition int, moves []Move) (int, error) {
	if len(moves) == 0 {
		return 0, nil
	}
	args := make([]any, 0, 3*len(moves))
	for _, m := range moves {
		args = append(args, m.ID, strconv.FormatInt(m.From.UnixMilli(), 10), m.To.UnixMilli())
	}
	return b.redis.RunInt(ctx, rescheduleScript, []string{b.prefix.Keys(e, partition).Held}, args...)
}
