package store

import (
	"errors"
	"time"

	"github.com/afterwrite/afterwrite"
)

// isolate writes changes by one statement and appends the refused ones to refused.
// When the database names a constraint, one query finds those that violate it; for
// the rest the statement is halved. Past the batch's patience it leaves changes
// untried.
func (b *batch) isolate(changes []afterwrite.Change, run statement, refused []Refused) ([]Refused, error) {
	if len(changes) == 0 || (len(refused) > 0 && time.Now().After(b.until)) {
		return refused, nil
	}
	failed, ended := b.tx.try(func() error { return run(changes) })
	if ended != nil {
		return nil, ended
	}
	if failed == nil {
		b.flushed.Persisted = append(b.flushed.Persisted, changes...)
		return refused, nil
	}
	r, ok := b.classify(failed)
	if !ok {
		return nil, b.tx.store.unavailable("write "+b.table.name, failed)
	}
	if len(changes) == 1 {
		return append(refused, Refused{changes[0], r}), nil
	}
	culprits, err := b.culprits(r, changes)
	if err != nil {
		return nil, err
	}
	if len(culprits) == 0 {
		return b.halve(changes, run, refused)
	}
	var rest []afterwrite.Change
	for _, c := range changes {
		if culprits[c.ID] {
			refused = append(refused, Refused{c, r})
		} else {
			rest = append(rest, c)
		}
	}
	return b.isolate(rest, run, refused)
}

func (b *batch) halve(changes []afterwrite.Change, run statement, refused []Refused) ([]Refused, error) {
	refused, err := b.isolate(changes[:len(changes)/2], run, refused)
	if err != nil {
		return nil, err
	}
	return b.isolate(changes[len(changes)/2:], run, refused)
}

func (b *batch) classify(err error) (afterwrite.Refusal, bool) {
	var unfit *unfitError
	if errors.As(err, &unfit) {
		return refusal(afterwrite.KindType, "", "", err.Error()), true
	}
	if r, ok := b.tx.store.dialect.classify(err); ok {
		return r, true
	}
	if b.suspicious && b.tx.db.Statement.Context.Err() == nil && b.tx.store.dialect.suspect(err) {
		return refusal(afterwrite.KindPoison, "", "", err.Error()), true
	}
	return afterwrite.Refusal{}, false
}
