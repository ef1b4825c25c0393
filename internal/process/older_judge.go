package process

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/worker"
)

// This file judges what an older copy of Redis has pending. See docs/ARCHITECTURE.md for the reasons.

// Verdicts on a record that an older copy of Redis lists as pending or held.
type verdict int

const (
	wanted    verdict = iota // the database has it in no state: flush it
	persisted                // the database has it, in that state or a newer one
	doubtful                 // neither is known: compare it with its row
)

// judged is the verdict on a record, given how far the committed flushes had read. A record
// that was accepted after the last of them has a newer version. Times count only while
// Redis's clock is ahead of what it showed then: else it was set back, and what was accepted
// since looks as old as what was read.
func judged(d pending.Due, r store.Reach, now time.Time) verdict {
	since := d.PendingSince.UnixMilli()
	switch {
	case d.Version > r.Newest || since > r.Last:
		return wanted
	case d.Version > r.Version || since >= r.Before || now.UnixMilli() <= r.Last:
		return doubtful
	case d.Held:
		return doubtful // it is not known when it was written
	}
	return persisted
}

// judge settles records of an older copy of Redis, and returns how many it has left to their
// rows. What cannot be judged, and differs from its row, becomes a dead letter: an operator
// sees both.
func (p *Parts) judge(ctx context.Context, at behind, r store.Reach, now time.Time, some []pending.Due) (int, error) {
	var known, doubts, since []pending.Due
	for _, d := range some {
		switch v := judged(d, r, now); {
		case v == persisted:
			known = append(known, d)
		case v == doubtful:
			doubts = append(doubts, d)
		case d.Version > r.Newest:
			since = append(since, d)
		}
	}
	if err := p.acceptedSince(ctx, at, r, now, since); err != nil {
		return 0, err
	}
	same, different, err := p.compared(ctx, at.entity, doubts)
	if err != nil {
		return 0, err
	}
	left, err := p.Pending.Yield(ctx, at.entity, at.partition, versioned(append(known, same...)), true)
	if err == nil {
		err = p.setAside(ctx, at, different, now)
	}
	if err != nil || len(different) == 0 {
		return left, err
	}
	n, err := p.Pending.Yield(ctx, at.entity, at.partition, versioned(different), false)
	return left + n, err
}

// setAside makes dead letters of what may be older than the rows. If we crash after it they are judged again, and their
// letters are there already.
func (p *Parts) setAside(ctx context.Context, at behind, different []pending.Due, now time.Time) error {
	if len(different) == 0 {
		return nil
	}
	letters := make([]ledger.Letter, len(different))
	for i, d := range different {
		letters[i] = letterOf(at.entity, d, now)
	}
	if err := p.Store.InsertDead(ctx, letters); err != nil {
		return err
	}
	p.Log.Warn("records of an older Redis differ from their rows, which stay: they became dead letters", "entity",
		at.entity.Name, "partition", at.partition, "letters", len(letters))
	return nil
}

// acceptedSince prepares records that were written to the older copy for their flush, which keeps only the fields of
// these writes: what was changed before may be older than the row. Of that, what a flush had read is persisted, and
// what may not have been read is compared with the row, as if it stood alone. The ack drops each record from the cache.
func (p *Parts) acceptedSince(ctx context.Context, at behind, r store.Reach, now time.Time,
	some []pending.Due) error {
	if len(some) == 0 {
		return nil
	}
	ids, earlier, doubts := make([]string, len(some)), []schema.Change{}, []pending.Due{}
	for i, d := range some {
		if ids[i] = d.ID; d.PendingSince.UnixMilli() > r.Last {
			continue // no flush had read any of it
		}
		earlier = append(earlier, schema.Change{ID: d.ID, Version: r.Newest})
		known := d
		known.Version = r.Version
		after := schema.Version(0)
		if judged(known, r, now) == persisted {
			after = r.Version
		}
		if part, ok := d.Between(at.entity, after, r.Newest); ok {
			doubts = append(doubts, part)
		}
	}
	token, err := p.Cache.BarAll(ctx, at.entity, ids, time.Second)
	if err == nil {
		err = p.Cache.UnbarAll(ctx, at.entity, ids, token)
	}
	if err != nil {
		return err
	}
	_, different, err := p.compared(ctx, at.entity, doubts)
	if err == nil {
		err = p.setAside(ctx, at, different, now)
	}
	if err != nil || len(earlier) == 0 {
		return err
	}
	_, err = p.Pending.Ack(ctx, at.entity, at.partition, pending.Batch{ReadAt: now}, earlier)
	return err
}

// compared splits records by whether their rows have what was written.
func (p *Parts) compared(ctx context.Context, e *schema.Entity, some []pending.Due) (same, different []pending.Due,
	err error) {
	if len(some) == 0 {
		return nil, nil, nil
	}
	ids := make([]string, len(some))
	for i, d := range some {
		ids[i] = d.ID
	}
	rows, err := p.Store.Load(ctx, e, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range some {
		if row, there := rows[d.ID]; has(row, there, d) {
			same = append(same, d)
		} else {
			different = append(different, d)
		}
	}
	return same, different, nil
}

// has reports whether a row has what a record would write.
func has(row schema.Values, there bool, d pending.Due) bool {
	if d.Deleted || !there {
		return d.Deleted && !there
	}
	if len(d.Unknown) > 0 {
		return false
	}
	for i, value := range d.Values {
		if value != "" && value != row[i] && (d.Only == nil || slices.Contains(d.Only, i)) {
			return false
		}
	}
	return true
}

func versioned(some []pending.Due) []schema.Versioned {
	all := make([]schema.Versioned, len(some))
	for i, d := range some {
		all[i] = schema.Versioned{ID: d.ID, Version: d.Version}
	}
	return all
}

// letterOf is the dead letter of a record that an older copy of Redis has.
func letterOf(e *schema.Entity, d pending.Due, now time.Time) ledger.Letter {
	l := worker.Letter(e, pending.Refused{
		Change: d.Change, Attempts: d.Attempts, History: d.History, Since: d.PendingSince, At: now,
		Refusal: schema.Refusal{Kind: schema.KindOlder,
			Message: "Redis went back to an older copy of itself, in which this write waited; the row may be newer, and stays"},
	})
	if !l.Deleted {
		l.Payload = payload(e, d)
	}
	if l.Changed != nil {
		l.Changed = append(l.Changed, d.Unknown...)
	}
	return l
}

// payload is the whole record, with what this process does not know of it.
func payload(e *schema.Entity, d pending.Due) string {
	text := e.AppendFields(nil, d.Values)
	for _, name := range slices.Sorted(maps.Keys(d.Unread)) {
		text = text[:len(text)-1]
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, strconv.Quote(name)+":"...), d.Unread[name]...), '}')
	}
	return string(text)
}
