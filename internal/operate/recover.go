package operate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// recoverPage is the number of dead records that are looked at together.
const recoverPage = 64

// Keeper is the name in the audit for letters that a process restores by itself.
var Keeper = ledger.Actor{Name: "afterwrite", Origin: "recover"}

// Recover restores the dead letters of records that are dead in Redis and have none in the database, as after an
// older copy of the database was put back. From then on they are letters like all others: nothing else can name the
// record, to retry, edit or discard it. It returns how many there were, of one entity or, where that is "", of all. It
// is safe to repeat, and beside workers: a letter is in the database before its record is dead, and a resolved one
// stays for long.
func (m *Operator) Recover(ctx context.Context, entity string, by ledger.Actor) (int, error) {
	recovered := 0
	for _, name := range slices.Sorted(maps.Keys(m.entities)) {
		if entity != "" && entity != name {
			continue
		}
		e := m.entities[name]
		stats, err := m.records.Stats(ctx, e)
		if err != nil {
			return recovered, err
		}
		for partition, s := range stats {
			for skip := 0; int64(skip) < s.Dead; skip += recoverPage {
				n, err := m.recoverPage(ctx, share{e, partition}, skip, by)
				if recovered += n; err != nil {
					return recovered, fmt.Errorf("%s/%d: %w", name, partition, err)
				}
			}
		}
	}
	return recovered, nil
}

func (m *Operator) recoverPage(ctx context.Context, at share, skip int, by ledger.Actor) (int, error) {
	list, err := m.records.List(ctx, at.entity, at.partition, schema.Dead, skip, recoverPage)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	ids := make([]string, len(list))
	for i, l := range list {
		ids[i] = l.ID
	}
	records, err := m.records.Peek(ctx, at.entity, at.partition, ids)
	if err != nil {
		return 0, err
	}
	var dead []schema.Versioned
	for _, r := range records {
		if r.Status == schema.Dead {
			dead = append(dead, schema.Versioned{ID: r.ID, Version: r.Version})
		}
	}
	if len(dead) == 0 {
		return 0, nil
	}
	have, err := m.letters.Lettered(ctx, at.entity, dead)
	if err != nil {
		return 0, err
	}
	var letters []ledger.Letter
	var notes []ledger.AuditEntry
	for i, one := range dead {
		if have[i] {
			continue
		}
		l, ok, err := m.letterOf(ctx, at.entity, one)
		if err != nil {
			return 0, err
		}
		if ok {
			letters = append(letters, l)
			notes = append(notes, ledger.AuditEntry{Actor: by, Action: "dead.recovered", Entity: l.Entity, ID: l.ID,
				Version: l.Version})
		}
	}
	if len(letters) == 0 {
		return 0, nil
	}
	if err := m.letters.InsertDead(ctx, letters); err != nil {
		return 0, err
	}
	return len(letters), m.letters.Note(ctx, notes...)
}

// letterOf is the letter of a dead record, as Redis knows it; false if the record is no longer dead at that version.
func (m *Operator) letterOf(ctx context.Context, e *schema.Entity, dead schema.Versioned) (ledger.Letter, bool, error) {
	s, err := m.records.Status(ctx, e, dead.ID)
	if err != nil || s.Record.Status != schema.Dead || s.Record.Version != dead.Version || s.Refusal == nil {
		return ledger.Letter{}, false, err
	}
	l := ledger.Letter{Entity: e.Name, ID: dead.ID, Version: dead.Version, Deleted: s.Record.Deleted,
		Refusal: *s.Refusal, Attempts: s.Attempts, History: s.History, AcceptedAt: s.DiedAt, DiedAt: s.DiedAt}
	if len(s.History) > 0 {
		l.AcceptedAt = cmp.Or(s.History[0].At, s.DiedAt)
	}
	if !l.Deleted {
		l.Payload = string(e.AppendFields(nil, s.Record.Values))
	}
	return l, true, nil
}
