package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Note says that another program has changed the row of a record, or of all of an entity's.
type Note struct {
	Entity string
	ID     string // of the note; "" for all of the entity's
	Record string // id of the record; "" where no record has it, or the entity is unknown here
	Stamp  int64  // another one for each change; 0: of the migration that began to watch
	At     time.Time
}

// Notes returns notes of other programs' changes in the order of entity and id, at most limit,
// after one; the zero Note is the beginning. They stay until [Store.ForgetNotes].
func (s *Store) Notes(ctx context.Context, after Note, limit int) ([]Note, error) {
	var found []struct {
		Entity, ID     string
		Stamp, NotedAt int64
	}
	err := s.read(ctx).Raw("SELECT entity, id, stamp, noted_at FROM "+changesTable+
		" WHERE pairing = ? AND (entity > ? OR entity = ? AND id > ?) ORDER BY entity, id LIMIT ?",
		s.cfg.Pair, after.Entity, after.Entity, after.ID, limit).Scan(&found).Error
	if err != nil {
		return nil, s.unavailable("read "+changesTable, err)
	}
	notes := make([]Note, len(found))
	for i, f := range found {
		notes[i] = Note{Entity: f.Entity, ID: f.ID, Stamp: f.Stamp, At: time.UnixMilli(f.NotedAt)}
		if t := s.tables[f.Entity]; t != nil {
			if err := s.foldable(ctx, t); err != nil {
				return nil, err
			}
			notes[i].Record = t.recordOf(f.ID)
		}
	}
	return notes, nil
}

// noted are the ids of the persisted changes about whose rows there is a note. What commits after
// these rows were written waits for the flush to end: it is no conflict with it.
func (b *batch) noted() (ids []string, err error) {
	for some := range slices.Chunk(b.outcome.Persisted, b.table.ids) {
		keys, err := b.table.noteIDs(some)
		if err != nil {
			return nil, b.tx.store.unavailable("read "+changesTable, err)
		}
		var found []string
		err = b.tx.db.Raw("SELECT id FROM "+changesTable+" WHERE pairing = ? AND entity = ? AND id IN ?",
			b.tx.store.cfg.Pair, b.table.entity.Name, keys).Scan(&found).Error
		if err != nil {
			return nil, b.tx.store.unavailable("read "+changesTable, err)
		}
		for _, id := range found {
			if record := b.table.recordOf(id); record != "" {
				ids = append(ids, record)
			}
		}
	}
	return ids, nil
}

// noteIDs are the ids that notes about the rows of changes have, see watching.id.
func (t *table) noteIDs(changes []schema.Change) ([]string, error) {
	parts, err := t.plainKeys(changes)
	if err != nil {
		return nil, err
	}
	if !t.composite() {
		return parts[0], nil
	}
	ids := make([]string, len(changes))
	for i := range ids {
		for n := range parts {
			if n > 0 {
				ids[i] += "~"
			}
			ids[i] += strings.NewReplacer("=", "=3D", "~", "=7E").Replace(parts[n][i])
		}
	}
	return ids, nil
}

// ForgetNotes deletes notes of one entity whose records have been dropped from the cache. A row
// that was changed again since its note was read keeps its note.
func (s *Store) ForgetNotes(ctx context.Context, e *schema.Entity, notes []Note) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback()
	if err := s.dialect.forget(tx, e.Name, notes); err != nil {
		return s.unavailable("delete from "+changesTable, err)
	}
	return s.unavailable("commit", tx.commit())
}

// forgetSeen locks the notes that no other transaction holds, and deletes those with the stamps that were
// read.
func forgetSeen(tx *transaction, entity string, notes []Note, lock string) error {
	stamps, ids := make(map[string]int64, len(notes)), make([]string, len(notes))
	for i, n := range notes {
		stamps[n.ID], ids[i] = n.Stamp, n.ID
	}
	const which = " FROM " + changesTable + " WHERE pairing = ? AND entity = ? AND id IN ?"
	var found []struct {
		ID    string
		Stamp int64
	}
	if err := tx.db.Raw("SELECT id, stamp"+which+lock, tx.store.cfg.Pair, entity, ids).Scan(&found).Error; err != nil {
		return err
	}
	seen := ids[:0]
	for _, f := range found {
		if stamps[f.ID] == f.Stamp {
			seen = append(seen, f.ID)
		}
	}
	if len(seen) == 0 {
		return nil
	}
	return tx.db.Exec("DELETE"+which, tx.store.cfg.Pair, entity, seen).Error
}
