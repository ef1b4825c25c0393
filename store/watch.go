package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// Other programs write an entity's table, too. Where it is watched, triggers note the ids of
// the rows that they insert, update (the old id and the new) and delete in afterwrite_changes:
// one note for each record, however often its row changes, so that the notes are bounded by the
// rows. A worker drops those records from the cache and then deletes each note if its stamp is
// still the one that was read: a change that commits in between has another stamp, and its note
// stays. So nothing depends on the order in which transactions commit.
//
// A flush writes no notes. It tells the triggers of its entity that it is one: on PostgreSQL by
// a setting that ends with the transaction, on MySQL by a variable of its connection, and on
// SQLite by a row that it changes and changes back. Triggers of other entities note what they
// see, so rows that a trigger of the user's changes in another watched table are noted.

// WatchAll stands for every entity in a [Watching].
const WatchAll = "*"

// Watching says which entities' tables are to be watched from now on and which no longer, by
// name or [WatchAll].
type Watching struct{ Watch, Unwatch []string }

// watching is how one entity's table is watched.
type watching struct {
	*table
	mark  string // by which a flush is recognized: the pairing and the entity
	home  string // before the names of our own tables: a schema and a dot, or ""
	base  string // name of the function; begins those of all triggers of this watch
	name  string // begins those of its triggers today: base and a hash of the definition
	owned bool   // PostgreSQL: we may do what the table's owner may
}

// watchTrigger is one trigger of a watch.
type watchTrigger struct {
	name   string
	create []string // statements
}

// watchDialect is what differs between the databases in watching a table.
type watchDialect interface {
	// home qualifies the names of our own tables; "" where that is not needed.
	home(ctx context.Context, q catalog.Querier) (string, error)
	// triggers are the statements that precede the triggers of a watch, and the triggers.
	triggers(w *watching) (before []string, all []watchTrigger)
	// function is what catalog.Trigger.Source says of a trigger that is up to date, "" where its
	// name tells.
	function(w *watching) string
	// dropTrigger is the statement that drops a trigger.
	dropTrigger(w *watching, name string) string
	// dropRest are the statements that drop what is left when the triggers are dropped.
	dropRest(w *watching) []string
	// flushing are the statements that say that a transaction is a flush, and at its end that it
	// was one; "" where none is needed.
	flushing(w *watching) (begin, end string)
	// now is an expression of the time, ms since 1970.
	now() string
	// forget deletes notes of one entity that have the stamps that were read.
	forget(tx *transaction, entity string, notes []Note) error
	// unseen says why triggers do not see what the database itself changes through a foreign
	// key; "" where they do.
	unseen() string
}

// watchOf returns how a table is watched, as far as that is known without the database.
func (s *Store) watchOf(t *table) *watching {
	w := &watching{table: t, mark: s.cfg.Pair + "/" + t.entity.Name}
	key := sha256.Sum256([]byte(w.mark))
	name := t.entity.Name
	w.base = catalog.WatchPrefix + name[:min(len(name), 20)] + "_" + hex.EncodeToString(key[:3])
	return w
}

// defined completes it: the names of the triggers change with their definition.
func (s *Store) defined(ctx context.Context, t *table) (*watching, error) {
	w := s.watchOf(t)
	var err error
	if w.home, err = s.dialect.home(ctx, s.reading.sql); err != nil {
		return nil, s.unavailable("find the own tables", err)
	}
	w.name = w.base
	before, all := s.dialect.triggers(w)
	text := strings.Join(before, "\n")
	for _, trigger := range all {
		text += "\n" + trigger.create[0]
	}
	sum := sha256.Sum256([]byte(text))
	w.name += "_" + hex.EncodeToString(sum[:4])
	return w, nil
}

// own are the triggers of this watch that a table has, of any definition.
func (w *watching) own(at *catalog.Table) []catalog.Trigger {
	var own []catalog.Trigger
	for _, trigger := range at.Watches {
		if strings.HasPrefix(trigger.Name, w.base+"_") {
			own = append(own, trigger)
		}
	}
	return own
}

// watched reports whether a flush has to say that it is one.
func (w *watching) watched(at *catalog.Table) bool { return len(w.own(at)) > 0 }

// pairingEntity are the values of the first two columns of our tables.
func (w *watching) pairingEntity() string {
	return sqlText(strings.TrimSuffix(w.mark, "/"+w.entity.Name)) + ", " + sqlText(w.entity.Name)
}

// where is the condition of those two columns.
func (w *watching) where() string {
	return "pairing = " + sqlText(strings.TrimSuffix(w.mark, "/"+w.entity.Name)) + " AND entity = " +
		sqlText(w.entity.Name)
}

// id spells the id of a row as a note has it: the text of its column, or the texts of the
// columns of its key with "~" between two, in which "=" and "~" are "=3D" and "=7E".
func (w *watching) id(text func(column *column) string, join func(parts []string) string) string {
	if !w.composite() {
		return text(&w.columns[0])
	}
	var parts []string
	for n := range w.keys {
		if n > 0 {
			parts = append(parts, "'~'")
		}
		parts = append(parts, "replace(replace("+text(&w.columns[n])+", '=', '=3D'), '~', '=7E')")
	}
	return join(parts)
}

// concatenated joins parts by the operator of the standard.
func concatenated(parts []string) string { return strings.Join(parts, " || ") }

// recordOf is the id of the record that a note is about, "" where no record can have it.
func (t *table) recordOf(noted string) string {
	id := noted
	if t.composite() {
		parts := strings.Split(noted, "~")
		if len(parts) != t.keys {
			return ""
		}
		for n, part := range parts {
			part = strings.NewReplacer("=3D", "=", "=7E", "~").Replace(part)
			text, foreign := t.keyText(&t.columns[n], &part)
			if foreign != "" {
				return ""
			}
			parts[n] = text
		}
		id = t.entity.KeyID(parts)
	} else {
		id = t.wholeID(id)
	}
	if t.foreignID(id) != "" {
		return ""
	}
	return id
}

// sqlText spells a text in a statement.
func sqlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// watchSteps compares the triggers with those that should be there: of the entities that were
// watched before and those that are to be from now on.
func (s *Store) watchSteps(ctx context.Context, want Watching) ([]step, error) {
	if err := s.checkWatching(want); err != nil {
		return nil, err
	}
	recorded, err := s.recordedWatches(ctx)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, t := range s.entries {
		name := t.entity.Name
		begin, end := named(want.Watch, name), named(want.Unwatch, name)
		if !begin && !end && !recorded[name] {
			continue
		}
		w, err := s.defined(ctx, t)
		if err != nil {
			return nil, err
		}
		at, err := s.catalog(ctx, t.name)
		if err != nil {
			return nil, err
		}
		if end {
			steps = append(steps, s.endSteps(w, at, recorded[name])...)
			continue
		}
		if err := s.watchable(w, at); err != nil {
			if slices.Contains(want.Watch, name) {
				return nil, err
			}
			steps = append(steps, step{line: "note: " + err.Error(), watch: true})
			continue
		}
		more, err := s.beginSteps(ctx, w, at, recorded[name])
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

func named(list []string, name string) bool {
	return slices.Contains(list, name) || slices.Contains(list, WatchAll)
}

// checkWatching refuses names that are no entity's, and entities that are in both lists.
func (s *Store) checkWatching(want Watching) error {
	for _, name := range slices.Concat(want.Watch, want.Unwatch) {
		if name != WatchAll && s.tables[name] == nil {
			return fmt.Errorf("watch %s: %w", name, schema.ErrUnknownEntity)
		}
		if named(want.Watch, name) && named(want.Unwatch, name) {
			return fmt.Errorf("%s is to be watched and not to be watched", name)
		}
	}
	return nil
}

// recordedWatches are the names of the entities that are watched.
func (s *Store) recordedWatches(ctx context.Context) (map[string]bool, error) {
	recorded := map[string]bool{}
	at, err := s.catalog(ctx, watchesTable)
	if err != nil || !at.Exists() {
		return recorded, err
	}
	var names []string
	err = s.read(ctx).Raw("SELECT entity FROM "+watchesTable+" WHERE pairing = ?", s.cfg.Pair).Scan(&names).Error
	for _, name := range names {
		recorded[name] = true
	}
	return recorded, s.unavailable("read "+watchesTable, err)
}

// The own tables of watches.
const (
	watchesTable = "afterwrite_watches"
	changesTable = "afterwrite_changes"
)

// watchable is the error of a table on which no trigger would see what changes its rows.
func (s *Store) watchable(w *watching, at *catalog.Table) error {
	if at.Exists() && at.Kind != catalog.Plain && at.Kind != catalog.Partitioned {
		return fmt.Errorf("%s cannot be watched: it is a %s, and no trigger sees all that changes its rows",
			w.table.name, at.Kind)
	}
	for _, name := range w.keyNames() {
		if c, ok := at.Column(name); ok && c.Base == "timestamp with time zone" && s.dialect.catalogOf() == catalog.MySQL {
			return fmt.Errorf("%s cannot be watched: the text of its key's column %s depends on the session of who writes it; make it a datetime",
				w.table.name, name)
		}
	}
	return nil
}

// beginSteps make the triggers, all again where one of them is not as it should be.
func (s *Store) beginSteps(ctx context.Context, w *watching, at *catalog.Table, recorded bool) ([]step, error) {
	state := s.stateOf(w, at)
	steps := s.unseenSteps(w, at)
	if recorded && state.Fine() {
		return steps, nil
	}
	if owned, ok := s.dialect.(interface {
		owns(ctx context.Context, q catalog.Querier, table string) (bool, error)
	}); ok {
		var err error
		if w.owned, err = owned.owns(ctx, s.reading.sql, w.table.name); err != nil {
			return nil, s.unavailable("read the owner of "+w.table.name, err)
		}
	}
	var statements []string
	for _, trigger := range w.own(at) {
		statements = append(statements, s.dialect.dropTrigger(w, trigger.Name))
	}
	before, all := s.dialect.triggers(w)
	// Where triggers have names of the schema, a table that was renamed away keeps them.
	for _, trigger := range all {
		statements = append(statements, s.dialect.dropTrigger(w, trigger.name))
	}
	statements = append(statements, before...)
	for _, trigger := range all {
		statements = append(statements, trigger.create...)
	}
	// What is cached may be old already: all of the entity is noted, stamp 0.
	row := "SELECT " + w.pairingEntity()
	statements = append(statements,
		"INSERT INTO "+w.home+watchesTable+" (pairing, entity) "+row+absent(w.home+watchesTable, w.where()),
		"INSERT INTO "+w.home+changesTable+" (pairing, entity, id, stamp, noted_at) "+row+", '', 0, "+s.dialect.now()+
			absent(w.home+changesTable, w.where()+" AND id = ''"))
	line := "watch " + w.table.name + ": note what other programs write"
	return append([]step{{line: line, watch: true, run: runAll(statements)}}, steps...), nil
}

// absent is the condition that no row of a table meets a condition.
func absent(table, condition string) string {
	return " WHERE NOT EXISTS (SELECT 1 FROM " + table + " o WHERE " + condition + ")"
}

func runAll(statements []string) func(db *gorm.DB) error {
	return func(db *gorm.DB) error {
		for _, statement := range statements {
			if err := db.Exec(statement).Error; err != nil {
				return err
			}
		}
		return nil
	}
}

// unseenSteps are notes on what the triggers do not see.
func (s *Store) unseenSteps(w *watching, at *catalog.Table) []step {
	var steps []step
	for _, line := range s.blindOf(w.table, at) {
		steps = append(steps, step{line: "note: " + line, watch: true})
	}
	return steps
}

// endSteps drop the triggers and the notes.
func (s *Store) endSteps(w *watching, at *catalog.Table, recorded bool) []step {
	own := w.own(at)
	if !recorded && len(own) == 0 {
		return nil
	}
	var statements []string
	for _, trigger := range own {
		statements = append(statements, s.dialect.dropTrigger(w, trigger.Name))
	}
	statements = append(statements, s.dialect.dropRest(w)...)
	for _, table := range []string{watchesTable, changesTable} {
		statements = append(statements, "DELETE FROM "+w.home+table+" WHERE "+w.where())
	}
	return []step{{line: "unwatch " + w.table.name, watch: true, run: runAll(statements)}}
}
