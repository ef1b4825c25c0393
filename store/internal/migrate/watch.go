package migrate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// Defined is how a table is watched.
func (m *Migration) Defined(ctx context.Context, t *mapping.Table) (*watching.Definition, error) {
	w := watching.Of(t, m.DB.Settings.Pair)
	return w, m.DB.Unavailable("find the own tables", w.Define(ctx, m.DB.Dialect, m.DB.Reading.SQL))
}

// watchSteps compares the triggers with those that should be there: of the entities that were
// watched before and those that are to be from now on.
func (m *Migration) watchSteps(ctx context.Context, want Wanted) ([]step, error) {
	if err := m.checkWatching(want); err != nil {
		return nil, err
	}
	recorded, err := m.Recorded(ctx)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, t := range m.Tables {
		name := t.Entity.Name
		begin, end := named(want.Watch, name), named(want.Unwatch, name)
		if !begin && !end && !recorded[name] {
			continue
		}
		w, err := m.Defined(ctx, t)
		if err != nil {
			return nil, err
		}
		at, err := m.DB.Catalog(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		if end {
			steps = append(steps, m.endSteps(w, at, recorded[name])...)
			continue
		}
		if err := m.watchable(w, at); err != nil {
			if slices.Contains(want.Watch, name) {
				return nil, err
			}
			steps = append(steps, step{line: "note: " + err.Error(), watch: true})
			continue
		}
		more, err := m.beginSteps(ctx, w, at, recorded[name])
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

func named(list []string, name string) bool {
	return slices.Contains(list, name) || slices.Contains(list, All)
}

// checkWatching refuses names that are no entity's, and entities that are in both lists.
func (m *Migration) checkWatching(want Wanted) error {
	for _, name := range slices.Concat(want.Watch, want.Unwatch) {
		if name != All && !m.has(name) {
			return fmt.Errorf("watch %s: %w", name, schema.ErrUnknownEntity)
		}
		if named(want.Watch, name) && named(want.Unwatch, name) {
			return fmt.Errorf("%s is to be watched and not to be watched", name)
		}
	}
	return nil
}

// Recorded are the names of the entities that are watched.
func (m *Migration) Recorded(ctx context.Context) (map[string]bool, error) {
	recorded := map[string]bool{}
	at, err := m.DB.Catalog(ctx, watching.WatchesTable)
	if err != nil || !at.Exists() {
		return recorded, err
	}
	var names []string
	err = m.DB.Read(ctx).Raw("SELECT entity FROM "+watching.WatchesTable+" WHERE pairing = ?", m.DB.Settings.Pair).Scan(&names).Error
	for _, name := range names {
		recorded[name] = true
	}
	return recorded, m.DB.Unavailable("read "+watching.WatchesTable, err)
}

// watchable is the error of a table on which no trigger would see what changes its rows.
func (m *Migration) watchable(w *watching.Definition, at *catalog.Table) error {
	if at.Exists() && at.Kind != catalog.Plain && at.Kind != catalog.Partitioned {
		return fmt.Errorf("%s cannot be watched: it is a %s, and no trigger sees all that changes its rows",
			w.Table.Name, at.Kind)
	}
	for _, name := range w.KeyNames() {
		if c, ok := at.Column(name); ok && c.Base == "timestamp with time zone" && m.DB.Dialect.CatalogOf() == catalog.MySQL {
			return fmt.Errorf("%s cannot be watched: the text of its key's column %s depends on the session of who writes it; make it a datetime",
				w.Table.Name, name)
		}
	}
	return nil
}

// beginSteps make the triggers, all again where one of them is not as it should be.
func (m *Migration) beginSteps(ctx context.Context, w *watching.Definition, at *catalog.Table, recorded bool) ([]step,
	error) {
	state := w.StateOf(m.DB.Dialect, at)
	steps := m.unseenSteps(w, at)
	if recorded && state.Fine() {
		return steps, nil
	}
	if owned, ok := m.DB.Dialect.(database.Owning); ok {
		var err error
		if w.Owned, err = owned.Owns(ctx, m.DB.Reading.SQL, w.Table.Name); err != nil {
			return nil, m.DB.Unavailable("read the owner of "+w.Table.Name, err)
		}
	}
	var statements []string
	for _, trigger := range w.Own(at) {
		statements = append(statements, m.DB.Dialect.DropTrigger(w, trigger.Name))
	}
	before, all := m.DB.Dialect.Triggers(w)
	// Where triggers have names of the schema, a table that was renamed away keeps them.
	for _, trigger := range all {
		statements = append(statements, m.DB.Dialect.DropTrigger(w, trigger.Name))
	}
	statements = append(statements, before...)
	for _, trigger := range all {
		statements = append(statements, trigger.Create...)
	}
	// What is cached may be old already: all of the entity is noted, stamp 0.
	row := "SELECT " + w.PairingEntity()
	statements = append(statements,
		"INSERT INTO "+w.Home+watching.WatchesTable+" (pairing, entity) "+row+watching.Absent(w.Home+watching.WatchesTable, w.Where()),
		"INSERT INTO "+w.Home+watching.ChangesTable+" (pairing, entity, id, stamp, noted_at) "+row+", '', 0, "+m.DB.Dialect.Now()+
			watching.Absent(w.Home+watching.ChangesTable, w.Where()+" AND id = ''"))
	line := "watch " + w.Table.Name + ": note what other programs write"
	return append([]step{{line: line, watch: true, run: runAll(statements)}}, steps...), nil
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
func (m *Migration) unseenSteps(w *watching.Definition, at *catalog.Table) []step {
	var steps []step
	for _, line := range w.BlindOf(m.DB.Dialect, at) {
		steps = append(steps, step{line: "note: " + line, watch: true})
	}
	return steps
}

// endSteps drop the triggers and the notes.
func (m *Migration) endSteps(w *watching.Definition, at *catalog.Table, recorded bool) []step {
	own := w.Own(at)
	if !recorded && len(own) == 0 {
		return nil
	}
	var statements []string
	for _, trigger := range own {
		statements = append(statements, m.DB.Dialect.DropTrigger(w, trigger.Name))
	}
	statements = append(statements, m.DB.Dialect.DropRest(w)...)
	for _, table := range []string{watching.WatchesTable, watching.ChangesTable} {
		statements = append(statements, "DELETE FROM "+w.Home+table+" WHERE "+w.Where())
	}
	return []step{{line: "unwatch " + w.Table.Name, watch: true, run: runAll(statements)}}
}

// has reports whether an entity of that name is mapped.
func (m *Migration) has(name string) bool {
	return slices.ContainsFunc(m.Tables, func(t *mapping.Table) bool { return t.Entity.Name == name })
}

// Unseen names the triggers of a table that may change rows of other entities, or other rows of its own.
func (m *Migration) Unseen(ctx context.Context, t *mapping.Table, at *catalog.Table) ([]string, error) {
	var lines []string
	var watched map[string]bool
	for _, trigger := range at.Fires(catalog.Insert, catalog.Update, catalog.Delete) {
		if changesOthers(t, trigger.Source) {
			lines = append(lines, fmt.Sprintf("the trigger %s of %s changes other rows of %[2]s than the one that is written: they stay "+
				"cached as they were until they expire; shorten cache.ttl, or invalidate them", trigger.Name, t.Name))
		}
		for _, other := range m.Tables {
			name := other.Name[strings.LastIndex(other.Name, ".")+1:]
			word := regexp.MustCompile(`(?i)(^|\W)` + regexp.QuoteMeta(name) + `($|\W)`)
			if other == t || !word.MatchString(trigger.Source) {
				continue
			}
			if watched == nil {
				var err error
				if watched, err = m.Recorded(ctx); err != nil {
					return nil, err
				}
			}
			if !watched[other.Entity.Name] {
				lines = append(lines,
					fmt.Sprintf("the trigger %s of %s names %s: rows of %s that it changes stay cached as they were until they expire; "+
						"watch it (`afterwrite migrate --watch=%[4]s`), shorten cache.ttl, or invalidate them", trigger.Name, t.Name, other.Name,
						other.Entity.Name))
			}
		}
	}
	return lines, nil
}

// changesOthers reports whether a trigger has a statement that changes its own table, and not only the row for which it
// fires.
func changesOthers(t *mapping.Table, source string) bool {
	name := regexp.QuoteMeta(t.Name[strings.LastIndex(t.Name, ".")+1:])
	own := regexp.MustCompile(`(?is)\b(?:update(?:\s+or\s+\w+)?(?:\s+only)?|delete\s+from(?:\s+only)?|into)\s+` +
		`(?:["\w]+\.)?["` + "`" + `\[]?` + name + `(?:\W|$)`)
	key := `"?(?:` + regexp.QuoteMeta(t.KeyNames()[0]) + `|rowid)"?`
	row := regexp.MustCompile(`(?is)\bwhere\s(?:.*[^\w])?(?:` + key + `\s*=\s*(?:new|old)\.` + key + `|(?:new|old)\.` + key +
		`\s*=\s*(?:\w+\.)?` + key + `)(?:\W|$)`)
	for statement := range strings.SplitSeq(source, ";") {
		if at := own.FindStringIndex(statement); at != nil && !row.MatchString(statement[at[0]:]) {
			return true
		}
	}
	return false
}
