package cache

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite"
)

// HeldIn is a place in the held records of one partition: those whose next attempt is at a
// time or later, after that many others.
type HeldIn struct {
	Entity    *afterwrite.Entity
	Partition int
	From      time.Time // zero: all
	Skip      int
}

// HeldFrom reads up to limit held records after each place, by the time of their next
// attempt and then by id, in two round trips for all of them. A record that leaves the
// list meanwhile is left out, so fewer than limit do not mean the end; more tells.
func (c *Cache) HeldFrom(ctx context.Context, places []HeldIn, limit int) (held [][]Waiting, more []bool, err error) {
	lists := make([]*redis.ZSliceCmd, len(places))
	p := c.redis.Pipeline()
	for i, at := range places {
		from := "-inf"
		if !at.From.IsZero() {
			from = strconv.FormatInt(at.From.UnixMilli(), 10)
		}
		lists[i] = p.ZRangeByScoreWithScores(ctx, c.keys(at.Entity, at.Partition).held,
			&redis.ZRangeBy{Min: from, Max: "+inf", Offset: int64(at.Skip), Count: int64(limit)})
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, nil, fault("held", err)
	}
	details := make([]*redis.SliceCmd, len(places))
	p = c.redis.Pipeline()
	for i, at := range places {
		if ids := idsOf(lists[i].Val()); len(ids) > 0 {
			details[i] = p.HMGet(ctx, c.keys(at.Entity, at.Partition).why, ids...)
		}
	}
	if p.Len() > 0 {
		if _, err := p.Exec(ctx); err != nil {
			return nil, nil, fault("held", err)
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

func idsOf(list []redis.Z) []string {
	ids := make([]string, len(list))
	for i, z := range list {
		ids[i] = text(z.Member)
	}
	return ids
}

func waitingOf(list []redis.Z, details []any) []Waiting {
	waiting := make([]Waiting, 0, len(list))
	for i, z := range list {
		if details[i] == nil {
			continue // it has left the list meanwhile
		}
		w := parseWhy(text(details[i]))
		waiting = append(waiting, Waiting{
			ID: text(z.Member), Version: w.Version, Next: time.UnixMilli(int64(z.Score)),
			At: time.UnixMilli(w.At), Attempts: w.Attempts, Kind: w.Kind, Refusal: *w.refusal(), Apart: w.Apart,
		})
	}
	return waiting
}
