package operate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// A held record has no letter yet: what is done to it is done in Redis alone, at the
// version that was looked at, and then noted in the audit. If we crash between the two it
// is done, and only its note is missing.

// MaxHeld is the number of held records that one action takes.
const MaxHeld = 100_000

// ErrTooManyHeld reports a filter that more held records match than one action takes.
var ErrTooManyHeld = errors.New("more than 100,000 held records match: narrow the filter, or flush now what waits of an entity")

// Held names a held record at the version that the database has refused.
type Held struct {
	Entity  *schema.Entity
	ID      string
	Version schema.Version
}

// HeldFits reports whether a held record is one of a filter's. Its time is that of its
// last attempt; what state letters are in says nothing of it.
func HeldFits(f ledger.LetterFilter, w pending.Waiting) bool {
	return (f.ID == "" || f.ID == w.ID) && (f.Kind == "" || f.Kind == w.Refusal.Kind) &&
		(f.Constraint == "" || f.Constraint == w.Refusal.Constraint) &&
		(f.Text == "" || strings.Contains(strings.ToLower(w.Refusal.Message), strings.ToLower(f.Text))) &&
		(f.Since.IsZero() || !w.At.Before(f.Since)) && (f.Until.IsZero() || w.At.Before(f.Until))
}

// How held records are read: so many partitions in a round trip, so many records of each.
const (
	heldPartitions = 64
	heldPage       = 500
)

// HeldRecord is a held record and what is known of its last attempt.
type HeldRecord struct {
	Entity *schema.Entity
	pending.Waiting
}

// Held names the record.
func (h HeldRecord) Held() Held { return Held{h.Entity, h.ID, h.Version} }

// SelectHeld returns the held records of a filter, by entity and partition, or
// ErrTooManyHeld.
func (m *Operator) SelectHeld(ctx context.Context, f ledger.LetterFilter) ([]Held, error) {
	return selectHeld(ctx, m, f, HeldRecord.Held)
}

// ListHeld returns the held records of a filter, the next to be tried first, or
// ErrTooManyHeld.
func (m *Operator) ListHeld(ctx context.Context, f ledger.LetterFilter) ([]HeldRecord, error) {
	found, err := selectHeld(ctx, m, f, func(h HeldRecord) HeldRecord { return h })
	slices.SortStableFunc(found, func(a, b HeldRecord) int { return a.Next.Compare(b.Next) })
	return found, err
}

// selectHeld keeps of each held record what keep makes of it.
func selectHeld[T any](ctx context.Context, m *Operator, f ledger.LetterFilter, keep func(HeldRecord) T) ([]T, error) {
	var places []pending.HeldIn
	for _, name := range slices.Sorted(maps.Keys(m.entities)) {
		if f.Entity != "" && f.Entity != name {
			continue
		}
		for partition := range m.entities[name].Partitions {
			places = append(places, pending.HeldIn{Entity: m.entities[name], Partition: partition})
		}
	}
	var found []T
	for some := range slices.Chunk(places, heldPartitions) {
		held, err := heldIn(ctx, m, f, some, MaxHeld-len(found), keep)
		if err != nil {
			return nil, err
		}
		found = append(found, held...)
	}
	return found, nil
}

// heldIn returns those of some partitions, or ErrTooManyHeld where they are more than room.
func heldIn[T any](ctx context.Context, m *Operator, f ledger.LetterFilter, places []pending.HeldIn, room int,
	keep func(HeldRecord) T) ([]T, error) {
	found := make([][]T, len(places))
	// One that got another next attempt meanwhile may come twice.
	seen := make([]map[string]bool, len(places))
	left := make([]int, len(places)) // of places, those that have more to read
	for i := range left {
		left[i], seen[i] = i, map[string]bool{}
	}
	for len(left) > 0 {
		ask := make([]pending.HeldIn, len(left))
		for i, at := range left {
			ask[i] = places[at]
			places[at].Skip += heldPage
		}
		pages, more, err := m.records.HeldFrom(ctx, ask, heldPage)
		if err != nil {
			return nil, err
		}
		next := left[:0]
		for i, at := range left {
			for _, w := range pages[i] {
				if seen[at][w.ID] || !HeldFits(f, w) {
					continue
				}
				if room--; room < 0 {
					return nil, ErrTooManyHeld
				}
				seen[at][w.ID] = true
				found[at] = append(found[at], keep(HeldRecord{ask[i].Entity, w}))
			}
			if more[i] {
				next = append(next, at)
			}
		}
		left = next
	}
	return slices.Concat(found...), nil
}

// RetryHeld sends the held records of a filter back to the database, attempts from scratch, at a
// bounded rate. Those that were selected when it began are tried once: what the database
// refuses again is held again, and left. It can be stopped by its context and repeated.
func (m *Operator) RetryHeld(ctx context.Context, s Selection, by ledger.Actor) (Report, error) {
	return m.bulkHeld(ctx, s, heldAction{"held.retry", m.retryHeld}, by)
}

// DiscardHeld gives the held records of a filter up, as [Operator.Discard] does dead ones.
func (m *Operator) DiscardHeld(ctx context.Context, s Selection, by ledger.Actor) (Report, error) {
	return m.bulkHeld(ctx, s, heldAction{"held.discarded", m.discard}, by)
}

// RetryOne sends one held record back. ErrStale where it is no longer held at that version.
func (m *Operator) RetryOne(ctx context.Context, h Held, by ledger.Actor) error {
	return m.one(ctx, h, heldAction{"held.retry", m.retryHeld}, by)
}

// DiscardOne gives one held record up. ErrStale where it is no longer held at that version.
func (m *Operator) DiscardOne(ctx context.Context, h Held, by ledger.Actor) error {
	return m.one(ctx, h, heldAction{"held.discarded", m.discard}, by)
}

// EditOne writes a held record again, with some fields changed, which are validated like a
// patch. ErrStale where it is no longer held at that version: the newer state stands.
func (m *Operator) EditOne(ctx context.Context, h Held, changes schema.Fields, by ledger.Actor) (producer.Accepted,
	error) {
	state, err := m.stillHeld(ctx, h)
	if err != nil {
		return producer.Accepted{}, err
	}
	if state.Record.Deleted {
		return producer.Accepted{},
			schema.Invalid("fields", "cannot be edited: what is held is a deletion; retry or discard it")
	}
	accepted, err := m.writes.Do(ctx, producer.Request{Op: cache.OpPatch, Entity: h.Entity.Name, ID: h.ID,
		Fields: unquotedInts(h.Entity, changes), IfMatch: h.Version, ThoughFull: true})
	if isStale(err) {
		return accepted, fmt.Errorf("%w: %w", ErrStale, err)
	}
	if err != nil {
		return accepted, err
	}
	ctx, cancel := finish(ctx)
	defer cancel()
	return accepted, m.Note(ctx, heldNote("held.edited", h, by))
}

func (m *Operator) stillHeld(ctx context.Context, h Held) (cache.State, error) {
	state, err := m.records.Status(ctx, h.Entity, h.ID)
	if err == nil && (state.Record.Status != schema.Held || state.Record.Version != h.Version) {
		err = ErrStale
	}
	return state, err
}

// heldAction is what is done with held records.
type heldAction struct {
	name string // in the audit
	// move changes records of one partition in Redis. It returns what became of each:
	// nil, ErrStale, or what failed.
	move func(ctx context.Context, at share, some []schema.Versioned) ([]error, error)
}

func (m *Operator) retryHeld(ctx context.Context, at share, some []schema.Versioned) ([]error, error) {
	back, order, err := m.records.Retry(ctx, at.entity, at.partition, some)
	if err != nil {
		return nil, err
	}
	m.enqueue(ctx, order)
	outcomes := make([]error, len(some))
	for i := range outcomes {
		if !back[i] {
			outcomes[i] = ErrStale
		}
	}
	return outcomes, nil
}

func (m *Operator) one(ctx context.Context, h Held, do heldAction, by ledger.Actor) error {
	if _, err := m.stillHeld(ctx, h); err != nil {
		return err
	}
	ctx, cancel := finish(ctx)
	defer cancel()
	outcomes, err := do.move(ctx, share{h.Entity, h.Entity.Partition(h.ID)},
		[]schema.Versioned{{ID: h.ID, Version: h.Version}})
	if err == nil {
		err = outcomes[0]
	}
	if err != nil {
		return err
	}
	return m.Note(ctx, heldNote(do.name, h, by))
}

func heldNote(action string, h Held, by ledger.Actor) ledger.AuditEntry {
	return ledger.AuditEntry{Actor: by, Action: action, Entity: h.Entity.Name, ID: h.ID, Version: h.Version}
}

// bulkHeld does something with the held records of a filter, in steps.
func (m *Operator) bulkHeld(ctx context.Context, s Selection, do heldAction, by ledger.Actor) (Report, error) {
	found, err := m.SelectHeld(ctx, s.Filter)
	r := s.From.Report
	if err != nil {
		return r, err
	}
	if r.Selected == 0 {
		r.Selected = len(found)
		if s.Expect > 0 && s.Expect != len(found) {
			return r, schema.Invalid("expect", "is %d, but %d held records match now; look again", s.Expect, len(found))
		}
	}
	pace, size := m.pace(s)
	for len(found) > 0 {
		some := found[:min(size, len(found))]
		found = found[len(some):]
		if err := pace.WaitN(ctx, len(some)); err != nil {
			return r, err
		}
		if err := m.stepHeld(ctx, some, do, by, &r); err != nil {
			return r, err
		}
		if s.OnStep != nil {
			s.OnStep(Progress{Report: r})
		}
	}
	return r, nil
}

// stepHeld deals some records out by partition, in which they follow each other. Once
// begun it is finished, whatever the context.
func (m *Operator) stepHeld(ctx context.Context, some []Held, do heldAction, by ledger.Actor, r *Report) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	for len(some) > 0 {
		at := share{some[0].Entity, some[0].Entity.Partition(some[0].ID)}
		var records []schema.Versioned
		for _, h := range some {
			if h.Entity != at.entity || h.Entity.Partition(h.ID) != at.partition {
				break
			}
			records = append(records, schema.Versioned{ID: h.ID, Version: h.Version})
		}
		outcomes, err := do.move(ctx, at, records)
		if err != nil {
			return fmt.Errorf("%s/%d: %w", at.entity.Name, at.partition, err)
		}
		var notes []ledger.AuditEntry
		for i, failed := range outcomes {
			switch {
			case failed == nil:
				r.Done++
				notes = append(notes, heldNote(do.name, some[i], by))
			case errors.Is(failed, ErrStale):
				r.Stale++
			default:
				r.fail(at.entity.Name+" "+some[i].ID, failed)
			}
		}
		if err := m.Note(ctx, notes...); err != nil && len(r.Errors) < reported {
			r.Errors = append(r.Errors, fmt.Sprintf("%d records of %s: %v", len(notes), at.entity.Name, err))
		}
		some = some[len(records):]
	}
	return nil
}
