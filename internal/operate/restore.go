package operate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// ErrLost reports a dead letter whose record Redis has lost, as after it was emptied or
// went back to an older copy of itself. Whether something newer was written meanwhile
// only the operator knows, who sees the row: so nothing is done unasked.
var ErrLost = errors.New("redis has lost the record; the letter still has what was refused: " +
	"compare it with the row, then restore it, edit it or discard it")

// lost tells which of the letters of a partition Redis has lost. One that Redis does not
// remember may also have been resolved since it was read: the call that resolves a letter has it
// forgotten after that, so the database is asked once more.
func (m *Operator) lost(ctx context.Context, at share, some []ledger.Letter) ([]bool, error) {
	told, err := m.records.Fates(ctx, at.entity, at.partition, versioned(some))
	if err != nil {
		return nil, err
	}
	lost := make([]bool, len(some))
	for i := range told {
		if told[i].Fate != pending.FateLost {
			continue
		}
		if lost[i], err = m.open(ctx, some[i].Number); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// open reports whether a letter is unresolved now.
func (m *Operator) open(ctx context.Context, number int64) (bool, error) {
	l, err := m.letters.Letter(ctx, number)
	if errors.Is(err, ledger.ErrNoLetter) { // it was resolved long enough ago to be deleted
		return false, nil
	}
	return l.Resolution == ledger.Unresolved, err
}

// leftBehind deals with letters whose records are not dead at their version: they are
// stale, or lost, which is for do to end.
func (m *Operator) leftBehind(ctx context.Context, at share, left []ledger.Letter, r *Report,
	do func(l ledger.Letter) error) error {
	lost, err := m.lost(ctx, at, left)
	if err != nil {
		return err
	}
	for i, l := range left {
		if !lost[i] {
			r.Stale++
			continue
		}
		switch err := do(l); {
		case err == nil:
			r.Done++
		case errors.Is(err, ErrStale):
			r.Stale++
		default:
			r.fail(letterName(l.Number), err)
		}
	}
	return nil
}

// restore writes a lost letter's payload again, with some fields changed, over what the
// database has now, and resolves the letter as edited. A write that comes between the
// look and the write wins: then the error is ErrStale.
func (m *Operator) restore(ctx context.Context, e *schema.Entity, l ledger.Letter, changes schema.Fields,
	by ledger.Actor) (producer.Accepted, error) {
	if overtaken, err := m.overtaken(ctx, e, l, by); err != nil || overtaken {
		return producer.Accepted{}, cmp.Or(err, ErrStale)
	}
	now, err := m.records.Get(ctx, e, l.ID)
	if err != nil {
		return producer.Accepted{}, err
	}
	if now.Source == cache.Bypass {
		return producer.Accepted{}, schema.ErrUnavailable
	}
	if now.Status != schema.Persisted && now.Version > l.Version {
		return producer.Accepted{}, fmt.Errorf("%w: a newer write waits for the database", ErrStale)
	}
	var fields schema.Fields
	if !l.Deleted {
		if fields, err = payload(l.Payload); err != nil {
			return producer.Accepted{}, fmt.Errorf("payload of dead letter %d: %w", l.Number, err)
		}
		if l.Changed != nil && !now.Deleted { // the row has the other fields, as others may have changed them since
			maps.DeleteFunc(fields, func(name string, _ any) bool { return !slices.Contains(l.Changed, name) })
		}
		if fields, err = today(e, fields); err != nil {
			return producer.Accepted{}, fmt.Errorf("payload of dead letter %d: %w", l.Number, err)
		}
		maps.Copy(fields, changes)
	}
	as, accepted := ledger.Edited, producer.Accepted{}
	if l.Deleted && now.Deleted {
		as = ledger.Persisted // what it wanted is so
	} else if accepted, err = m.writes.Do(ctx, rewrite(l, now, fields)); err != nil {
		if isStale(err) || errors.Is(err, schema.ErrExists) {
			err = fmt.Errorf("%w: %w", ErrStale, err)
		}
		return producer.Accepted{}, err
	}
	// If we crash here the letter stays open and lost; who restores it again sees a row
	// that does not differ.
	return accepted, m.close(ctx, share{e, e.Partition(l.ID)}, []ledger.Letter{l}, as, by)
}

// payload reads what [schema.Entity.AppendFields] wrote.
func payload(object string) (schema.Fields, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(object), &raw); err != nil {
		return nil, err
	}
	fields := make(schema.Fields, len(raw))
	for name, text := range raw {
		fields[name] = text
	}
	return fields, nil
}

// today gives the fields of a letter's payload their names of today. A value of a field that
// this process does not know would be lost with the letter, which has it alone.
func today(e *schema.Entity, payload schema.Fields) (schema.Fields, error) {
	fields := schema.Fields{}
	for name, value := range payload {
		i, ok := e.FieldOf(name)
		raw, _ := value.(json.RawMessage)
		switch {
		case ok:
			fields[e.Fields[i].Name] = value
		case value != nil && string(raw) != schema.Null:
			return nil, schema.Invalid(name,
				"is not in the configuration of this process, so its value would be lost: restore the "+
					"letter with a process that has it, give the field back, or give its new name renamed_from")
		}
	}
	return fields, nil
}

// overtaken closes a letter whose record has died at a newer version as well: that one's
// letter shows that a newer write was accepted, though Redis has lost both.
func (m *Operator) overtaken(ctx context.Context, e *schema.Entity, l ledger.Letter, by ledger.Actor) (bool, error) {
	others, err := m.letters.Letters(ctx, ledger.LetterFilter{Entity: l.Entity, ID: l.ID}, 0, page)
	if err != nil {
		return false, err
	}
	if !slices.ContainsFunc(others, func(o ledger.Letter) bool { return o.Version > l.Version }) {
		return false, nil
	}
	return true, m.close(ctx, share{e, e.Partition(l.ID)}, []ledger.Letter{l}, ledger.Superseded, by)
}

// rewrite is the write of a letter's payload over the record as it is now. A field that
// the entity got since is not in the payload, and stays as it is.
func rewrite(l ledger.Letter, now cache.Read, fields schema.Fields) producer.Request {
	r := producer.Request{Op: cache.OpPatch, Entity: l.Entity, ID: l.ID, Fields: fields, IfMatch: now.Version,
		ThoughFull: true}
	switch {
	case l.Deleted:
		r.Op = cache.OpDelete
	case now.Deleted:
		r.Op, r.IfMatch = cache.OpCreate, 0
	}
	return r
}
