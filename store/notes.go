package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// Note says that another program changed the row of a record, or all rows.
type Note struct {
	Entity string
	ID     string // of the note; "" for all of the entity's
	Record string // id of the record; "" where no record has it, or the entity is unknown here
	Stamp  int64  // another one for each change; 0: of the migration that began to watch
	At     time.Time
}

// Notes returns notes by entity and id, after one or from the start.
func (s *Store) Notes(ctx context.Context, after Note, limit int) ([]Note, error) {
	var found []struct {
		Entity, ID     string
		Stamp, NotedAt int64
	}
	err := s.db.Read(ctx).Raw("SELECT entity, id, stamp, noted_at FROM "+watching.ChangesTable+
		" WHERE pairing = ? AND (entity > ? OR entity = ? AND id > ?) ORDER BY entity, id LIMIT ?",
		s.db.Settings.Pair, after.Entity, after.Entity, after.ID, limit).Scan(&found).Error
	if err != nil {
		return nil, s.db.Unavailable("read "+watching.ChangesTable, err)
	}
	notes := make([]Note, len(found))
	for i, f := range found {
		notes[i] = Note{Entity: f.Entity, ID: f.ID, Stamp: f.Stamp, At: time.UnixMilli(f.NotedAt)}
		if t := s.tables[f.Entity]; t != nil {
			if err := s.db.Foldable(ctx, t.Table); err != nil {
				return nil, err
			}
			notes[i].Record = watching.RecordOf(t.Table, f.ID)
		}
	}
	return notes, nil
}

// noted are the ids of the persisted changes about whose rows there is a note. What commits after
// these rows were written waits for the flush to end: it is no conflict with it.
func (b *batch) noted() (ids []string, err error) {
	for some := range slices.Chunk(b.outcome.Persisted, b.table.IDs) {
		keys, err := b.table.noteIDs(some)
		if err != nil {
			return nil, b.tx.Database.Unavailable("read "+watching.ChangesTable, err)
		}
		var found []string
		err = b.tx.DB.Raw("SELECT id FROM "+watching.ChangesTable+" WHERE pairing = ? AND entity = ? AND id IN ?",
			b.tx.Database.Settings.Pair, b.table.Entity.Name, keys).Scan(&found).Error
		if err != nil {
			return nil, b.tx.Database.Unavailable("read "+watching.ChangesTable, err)
		}
		for _, id := range found {
			if record := watching.RecordOf(b.table.Table, id); record != "" {
				ids = append(ids, record)
			}
		}
	}
	return ids, nil
}

// noteIDs are the ids that notes about the rows of changes have, see watching.Definition.ID.
func (t *table) noteIDs(changes []schema.Change) ([]string, error) {
	parts, err := t.PlainKeys(changes)
	if err != nil {
		return nil, err
	}
	if !t.Composite() {
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

// ForgetNotes deletes notes, but of rows that were changed again since.
func (s *Store) ForgetNotes(ctx context.Context, e *schema.Entity, notes []Note) error {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	seen := make([]watching.Note, len(notes))
	for i, n := range notes {
		seen[i] = watching.Note{ID: n.ID, Stamp: n.Stamp}
	}
	if err := s.db.Dialect.Forget(tx.DB, s.db.Settings.Pair, e.Name, seen); err != nil {
		return s.db.Unavailable("delete from "+watching.ChangesTable, err)
	}
	return s.db.Unavailable("commit", tx.Commit())
}
