package events

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// storedPage is how many messages of a partition are read, and held, at a time.
const storedPage = 4

// Stored is the events of one message, at least one. Without events it says that older events of the entity may have
// been dropped before the ones that follow.
type Stored struct {
	Entity *schema.Entity
	Events []Event
}

// Events reads the stored events of entities from a time on, in the order of their times: what happened to records on
// their way to the database ("persisted", "held", "dead", "resolved"). It holds a few messages of each partition,
// however many are stored and however slowly they are consumed. It ends after an error.
func (b *Bus) Events(ctx context.Context, entities []*schema.Entity, since time.Time) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		reels := b.reels(entities, since)
		for {
			missed, err := b.wind(ctx, reels)
			if err != nil {
				yield(Stored{}, rdb.Fault("events", err))
				return
			}
			for _, e := range missed {
				if !yield(Stored{Entity: e}, nil) {
					return
				}
			}
			first := earliest(reels)
			if first == nil {
				return
			}
			events := first.events
			first.events = nil
			if !yield(Stored{first.entity, events}, nil) {
				return
			}
		}
	}
}

// reel is the stored messages of one partition, read page by page.
type reel struct {
	entity *schema.Entity
	stream string
	since  time.Time
	last   string           // id of the last message read; "": none yet
	page   []redis.XMessage // the messages after the first
	events []Event          // of the first message
	ended  bool
}

func (b *Bus) reels(entities []*schema.Entity, since time.Time) []*reel {
	var reels []*reel
	for _, e := range entities {
		for i := range e.Partitions {
			reels = append(reels, &reel{entity: e, stream: b.prefix.Keys(e, i).Stream,
				since: since.Truncate(time.Millisecond)})
		}
	}
	return reels
}

// begin returns the ms at which the first page begins. A message's id and the time in it come from two readings of the
// clock: the id can be a little older.
func (r *reel) begin() int64 { return max(r.since.Add(-time.Second).UnixMilli(), 0) }

// from returns where the next page begins: at the last message that was read, which shows that no later message was
// dropped meanwhile.
func (r *reel) from() string { return cmp.Or(r.last, strconv.FormatInt(r.begin(), 10)) }

// wind reads a first message for each reel that has not ended. It returns the entities of which messages may be
// missing.
func (b *Bus) wind(ctx context.Context, reels []*reel) (missed []*schema.Entity, err error) {
	for {
		var empty []*reel
		for _, r := range reels {
			if !r.next() {
				empty = append(empty, r)
			}
		}
		if len(empty) == 0 {
			return missed, nil
		}
		dropped, err := b.turn(ctx, empty)
		if err != nil {
			return nil, err
		}
		for _, r := range dropped {
			if !slices.Contains(missed, r.entity) {
				missed = append(missed, r.entity)
			}
		}
	}
}

// turn reads the next page of each reel. It returns the reels that may have lost messages before the page.
func (b *Bus) turn(ctx context.Context, reels []*reel) (dropped []*reel, err error) {
	p := b.redis.Pipeline()
	pages, heads, sizes := make([]*redis.XMessageSliceCmd, len(reels)), make([]*redis.XMessageSliceCmd, len(reels)),
		make([]*redis.IntCmd, len(reels))
	for i, r := range reels {
		if r.last == "" {
			heads[i], sizes[i] = p.XRangeN(ctx, r.stream, "-", "+", 1), p.XLen(ctx, r.stream)
		}
		pages[i] = p.XRangeN(ctx, r.stream, r.from(), "+", storedPage)
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, err
	}
	for i, r := range reels {
		page := pages[i].Val()
		r.ended = len(page) < storedPage
		var trimmed bool
		switch {
		case r.last != "":
			if trimmed = len(page) == 0 || page[0].ID != r.last; !trimmed {
				page = page[1:]
			}
		case sizes[i].Val() >= layout.KeptEvents: // a shorter stream was not trimmed
			trimmed = len(heads[i].Val()) > 0 && idMS(heads[i].Val()[0].ID) > r.begin()
		}
		if trimmed {
			dropped = append(dropped, r)
		}
		if r.page = page; len(page) > 0 {
			r.last = page[len(page)-1].ID
		}
	}
	return dropped, nil
}

// idMS returns the time in the id of a stream's entry.
func idMS(id string) int64 {
	text, _, _ := strings.Cut(id, "-")
	ms, _ := strconv.ParseInt(text, 10, 64) // Redis made it
	return ms
}

// next moves to the next message of the page. It returns false if a page must be read first.
func (r *reel) next() bool {
	for len(r.events) == 0 && len(r.page) > 0 {
		r.events = parseEvents(r.entity.Name, layout.Text(r.page[0].Values["e"]))
		r.page = r.page[1:]
		if len(r.events) > 0 && r.events[0].At.Before(r.since) {
			r.events = nil
		}
	}
	return len(r.events) > 0 || r.ended
}

// earliest returns the reel whose first message is the oldest; nil if all have ended.
func earliest(reels []*reel) *reel {
	var first *reel
	for _, r := range reels {
		if len(r.events) > 0 && (first == nil || r.events[0].At.Before(first.events[0].At)) {
			first = r
		}
	}
	return first
}
