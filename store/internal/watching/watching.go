// Package watching defines how the tables that other programs write, too, are watched: by triggers that note what
// changes.
package watching

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
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

// Definition is how one entity's table is watched.
type Definition struct {
	*mapping.Table
	Mark   string // by which a flush is recognized: the pairing and the entity
	Home   string // before the names of our own tables: a schema and a dot, or ""
	Base   string // name of the function; begins those of all triggers of this watch
	Prefix string // begins those of its triggers today: base and a hash of the definition
	Owned  bool   // PostgreSQL: we may do what the table's owner may
}

// Trigger is one trigger of a watch.
type Trigger struct {
	Name   string
	Create []string // statements
}

// Dialect is what differs between the databases in watching a table.
type Dialect interface {
	// Home qualifies the names of our own tables; "" where that is not needed.
	Home(ctx context.Context, q catalog.Querier) (string, error)
	// Triggers are the statements that precede the triggers of a watch, and the triggers.
	Triggers(w *Definition) (before []string, all []Trigger)
	// Function is what catalog.Trigger.Source says of a trigger that is up to date, "" where its
	// name tells.
	Function(w *Definition) string
	// DropTrigger is the statement that drops a trigger.
	DropTrigger(w *Definition, name string) string
	// DropRest are the statements that drop what is left when the triggers are dropped.
	DropRest(w *Definition) []string
	// Flushing are the statements that say that a transaction is a flush, and at its end that it
	// was one; "" where none is needed.
	Flushing(w *Definition) (begin, end string)
	// Now is an expression of the time, ms since 1970.
	Now() string
	// Forget deletes notes of one entity of a pairing that have the stamps that were read, within a transaction.
	Forget(tx *gorm.DB, pair, entity string, notes []Note) error
	// Unseen says why triggers do not see what the database itself changes through a foreign
	// key; "" where they do.
	Unseen() string
}

// Of returns how a table is watched for a pairing, as far as that is known without the database.
func Of(t *mapping.Table, pair string) *Definition {
	w := &Definition{Table: t, Mark: pair + "/" + t.Entity.Name}
	key := sha256.Sum256([]byte(w.Mark))
	name := t.Entity.Name
	w.Base = catalog.WatchPrefix + name[:min(len(name), 20)] + "_" + hex.EncodeToString(key[:3])
	return w
}

// Define completes it: the names of the triggers change with their definition.
func (w *Definition) Define(ctx context.Context, d Dialect, q catalog.Querier) (err error) {
	if w.Home, err = d.Home(ctx, q); err != nil {
		return err
	}
	w.Prefix = w.Base
	before, all := d.Triggers(w)
	text := strings.Join(before, "\n")
	for _, trigger := range all {
		text += "\n" + trigger.Create[0]
	}
	sum := sha256.Sum256([]byte(text))
	w.Prefix += "_" + hex.EncodeToString(sum[:4])
	return nil
}

// Own are the triggers of this watch that a table has, of any definition.
func (w *Definition) Own(at *catalog.Table) []catalog.Trigger {
	var own []catalog.Trigger
	for _, trigger := range at.Watches {
		if strings.HasPrefix(trigger.Name, w.Base+"_") {
			own = append(own, trigger)
		}
	}
	return own
}

// Watched reports whether a flush has to say that it is one.
func (w *Definition) Watched(at *catalog.Table) bool { return len(w.Own(at)) > 0 }

// PairingEntity are the values of the first two columns of our tables.
func (w *Definition) PairingEntity() string {
	return SQLText(strings.TrimSuffix(w.Mark, "/"+w.Entity.Name)) + ", " + SQLText(w.Entity.Name)
}

// Where is the condition of those two columns.
func (w *Definition) Where() string {
	return "pairing = " + SQLText(strings.TrimSuffix(w.Mark, "/"+w.Entity.Name)) + " AND entity = " +
		SQLText(w.Entity.Name)
}

// ID spells the id of a row as a note has it: the text of its column, or the texts of the
// columns of its key with "~" between two, in which "=" and "~" are "=3D" and "=7E".
func (w *Definition) ID(text func(column *mapping.Column) string, join func(parts []string) string) string {
	if !w.Composite() {
		return text(&w.Columns[0])
	}
	var parts []string
	for n := range w.Keys {
		if n > 0 {
			parts = append(parts, "'~'")
		}
		parts = append(parts, "replace(replace("+text(&w.Columns[n])+", '=', '=3D'), '~', '=7E')")
	}
	return join(parts)
}

// Concatenated joins parts by the operator of the standard.
func Concatenated(parts []string) string { return strings.Join(parts, " || ") }

// RecordOf is the id of the record that a note is about, "" where no record can have it.
func RecordOf(t *mapping.Table, noted string) string {
	id := noted
	if t.Composite() {
		parts := strings.Split(noted, "~")
		if len(parts) != t.Keys {
			return ""
		}
		for n, part := range parts {
			part = strings.NewReplacer("=3D", "=", "=7E", "~").Replace(part)
			text, foreign := t.KeyText(&t.Columns[n], &part)
			if foreign != "" {
				return ""
			}
			parts[n] = text
		}
		id = t.Entity.KeyID(parts)
	} else {
		id = t.WholeID(id)
	}
	if t.ForeignID(id) != "" {
		return ""
	}
	return id
}

// SQLText spells a text in a statement.
func SQLText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// The own tables of watches.
const (
	WatchesTable = "afterwrite_watches"
	ChangesTable = "afterwrite_changes"
)

// Absent is the condition that no row of a table meets a condition.
func Absent(table, condition string) string {
	return " WHERE NOT EXISTS (SELECT 1 FROM " + table + " o WHERE " + condition + ")"
}

// State compares the triggers that a table has with those that it should have.
type State struct {
	Missing  []string // triggers that are not there
	Disabled []string // triggers that do not fire
	Older    []string // triggers of another definition than today's
}

// Fine reports whether all triggers are there, as they should be.
func (s State) Fine() bool { return len(s.Missing)+len(s.Disabled)+len(s.Older) == 0 }

// StateOf compares the triggers of a table with their definition.
func (w *Definition) StateOf(d Dialect, at *catalog.Table) (state State) {
	_, want := d.Triggers(w)
	function := d.Function(w)
	own := w.Own(at)
	isWanted := func(name string) bool {
		return slices.ContainsFunc(want, func(t Trigger) bool { return t.Name == name })
	}
	for _, trigger := range own {
		switch {
		case !isWanted(trigger.Name), function != "" && trigger.Source != function:
			state.Older = append(state.Older, trigger.Name)
		case !trigger.Enabled:
			state.Disabled = append(state.Disabled, trigger.Name)
		}
	}
	for _, trigger := range want {
		there := slices.ContainsFunc(own, func(t catalog.Trigger) bool { return t.Name == trigger.Name })
		if !there && len(state.Older) == 0 {
			state.Missing = append(state.Missing, trigger.Name)
		}
	}
	return state
}

// BlindOf names the foreign keys through which the database changes rows of a table without
// running triggers.
func (w *Definition) BlindOf(d Dialect, at *catalog.Table) []string {
	why := d.Unseen()
	if why == "" {
		return nil
	}
	var lines []string
	for _, key := range at.ForeignKeys {
		if catalog.Follows(key.OnDelete) || catalog.Follows(key.OnUpdate) {
			lines = append(lines, fmt.Sprintf("rows of %s that the foreign key %s to %s changes are not noted: %s",
				w.Table.Name, key.Name, key.RefTable, why))
		}
	}
	return lines
}

// Note is a note that another program has changed a row, as it was read.
type Note struct {
	ID    string
	Stamp int64
}

// ForgetSeen locks the notes that no other transaction holds, and deletes those with the stamps that were
// read.
func ForgetSeen(tx *gorm.DB, pair, entity string, notes []Note, lock string) error {
	stamps, ids := make(map[string]int64, len(notes)), make([]string, len(notes))
	for i, n := range notes {
		stamps[n.ID], ids[i] = n.Stamp, n.ID
	}
	const which = " FROM " + ChangesTable + " WHERE pairing = ? AND entity = ? AND id IN ?"
	var found []struct {
		ID    string
		Stamp int64
	}
	if err := tx.Raw("SELECT id, stamp"+which+lock, pair, entity, ids).Scan(&found).Error; err != nil {
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
	return tx.Exec("DELETE"+which, pair, entity, seen).Error
}
