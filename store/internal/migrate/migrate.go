// Package migrate brings a database up to date with its entities.
package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// step is one line of a migration. A note changes nothing: it tells what the
// migration leaves as it is.
type step struct {
	line  string
	run   func(db *gorm.DB) error
	alone bool // it cannot run within a transaction
	watch bool // it is about what other programs write: no process needs it to start
}

// Migration brings a database up to date with its entities. It is safe for concurrent use.
type Migration struct {
	DB     *database.Database
	Tables []*mapping.Table // in the order of the configuration
}

// New brings up to date the tables of entities.
func New(db *database.Database) *Migration { return &Migration{DB: db} }

// Add takes up the table of one more entity.
func (m *Migration) Add(t *mapping.Table) { m.Tables = append(m.Tables, t) }

// Wanted says which entities' tables are to be watched from now on and which no longer, by
// name or All.
type Wanted struct{ Watch, Unwatch []string }

// All stands for every entity.
const All = "*"

// Preview returns what Run would do.
func (m *Migration) Preview(ctx context.Context, want Wanted) ([]string, error) {
	if err := m.checkWatching(want); err != nil {
		return nil, err
	}
	steps, err := m.plan(ctx, want)
	return lines(steps), err
}

// Run brings the database up to date and returns what it did.
func (m *Migration) Run(ctx context.Context, want Wanted) (done []string, err error) {
	if err := m.checkWatching(want); err != nil {
		return nil, err
	}
	err = m.DB.Dialect.Migrating(ctx, m.DB.Writing.SQL, func() error {
		var err error
		done, err = m.migrate(ctx, want)
		return err
	})
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	return done, nil
}

// Outstanding returns what Run would change, the triggers of watched tables aside.
func (m *Migration) Outstanding(ctx context.Context) ([]string, error) {
	steps, err := m.plan(ctx, Wanted{})
	var changes []step
	for _, st := range steps {
		if st.run != nil && !st.watch {
			changes = append(changes, st)
		}
	}
	return lines(changes), err
}

func lines(steps []step) []string {
	lines := make([]string, len(steps))
	for i, st := range steps {
		lines[i] = st.line
	}
	return lines
}

func (m *Migration) migrate(ctx context.Context, want Wanted) ([]string, error) {
	done, err := m.up(ctx)
	if err != nil {
		return done, err
	}
	for _, t := range m.Tables {
		steps, err := m.tableSteps(ctx, t)
		if err != nil {
			return done, err
		}
		more, err := m.applyAll(ctx, steps)
		if done = append(done, more...); err != nil {
			return done, err
		}
	}
	steps, err := m.watchSteps(ctx, want)
	if err != nil {
		return done, err
	}
	more, err := m.applyAll(ctx, steps)
	return append(done, more...), err
}

// up applies the project's own migrations. Another process may have applied the same a
// moment ago where the dialect cannot keep it out: then nothing is left to do.
func (m *Migration) up(ctx context.Context) ([]string, error) {
	steps, err := m.ownSteps(ctx)
	if err != nil {
		return nil, err
	}
	return m.applyAll(ctx, steps)
}

// applyAll returns the lines of the steps that it has applied.
func (m *Migration) applyAll(ctx context.Context, steps []step) (done []string, err error) {
	for _, st := range steps {
		if err := m.apply(ctx, st); err != nil {
			return done, fmt.Errorf("%s: %w", st.line, err)
		}
		done = append(done, st.line)
	}
	return done, nil
}

// plan is what Migrate would do now.
func (m *Migration) plan(ctx context.Context, want Wanted) ([]step, error) {
	steps, err := m.ownSteps(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range m.Tables {
		more, err := m.tableSteps(ctx, t)
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	more, err := m.watchSteps(ctx, want)
	return append(steps, more...), err
}

// tableSteps compares an entity with its table.
func (m *Migration) tableSteps(ctx context.Context, t *mapping.Table) ([]step, error) {
	at, err := m.DB.Catalog(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	if !at.Exists() {
		create := step{line: "create table " + t.Name, run: func(db *gorm.DB) error {
			return t.Scope(db).Migrator().CreateTable(t.Model())
		}}
		return append([]step{create}, indexSteps(t, m.DB.Dialect, at)...), nil
	}
	if err := m.checkAlone(ctx, t); err != nil {
		return nil, err
	}
	if err := checkKey(t, m.DB.Dialect, at); err != nil {
		return nil, err
	}
	if err := t.Unfit(at, m.DB.Dialect); err != nil {
		return nil, err
	}
	steps := append(columnSteps(t, at, m.DB.Dialect), indexSteps(t, m.DB.Dialect, at)...)
	steps = append(steps, notes(t, at)...)
	unseen, err := m.Unseen(ctx, t, at)
	for _, line := range unseen {
		steps = append(steps, step{line: "note: " + line})
	}
	return steps, err
}

// checkAlone refuses a table that another entity names, too, with or without its schema: what is written by the one
// would stay cached as it was of the other.
func (m *Migration) checkAlone(ctx context.Context, t *mapping.Table) error {
	names := make([]string, len(m.Tables))
	for i, other := range m.Tables {
		names[i] = other.Name
	}
	ids, err := m.DB.Dialect.TableIDs(ctx, m.DB.Reading.SQL, names)
	if err != nil {
		return m.DB.Unavailable("read the catalog of "+t.Name, err)
	}
	own := ids[slices.Index(m.Tables, t)]
	for i, other := range m.Tables {
		if ids[i] == own && other != t {
			return fmt.Errorf("%s, the table of %s, is %s, that of %s: %w", t.Name, t.Entity.Name, other.Name,
				other.Entity.Name, fault.ErrUnfit)
		}
	}
	return nil
}

// checkKey refuses a column of ids that is not unique by itself, or that takes two ids
// for the same.
func checkKey(t *mapping.Table, d database.Dialect, at *catalog.Table) error {
	id := strings.Join(t.KeyNames(), ", ")
	for _, name := range t.KeyNames() {
		if _, ok := at.Column(name); !ok {
			return fmt.Errorf("table %s has no column %s, the id of %s: %w", t.Name, name, t.Entity.Name, fault.ErrUnfit)
		}
	}
	unique, loose := t.Tells(at)
	if loose != "" && !unique {
		return fmt.Errorf("table %s takes different values of %s, the id of %s, for the same, and one record would overwrite another: %s: %w",
			t.Name, id, t.Entity.Name, loose, fault.ErrUnfit)
	}
	for n, name := range t.KeyNames() {
		column, _ := at.Column(name)
		if err := keeps(t, d, n, column); err != nil {
			return err
		}
	}
	if why, fix := t.NoKey(at); !unique && why != "" {
		return fmt.Errorf("table %s cannot be found by %s, the id of %s: %s; %s: %w", t.Name, id, t.Entity.Name, why, fix,
			fault.ErrUnfit)
	}
	if !unique {
		return fmt.Errorf("table %s has no primary key or unique index on %s alone, the id of %s: %s: %w", t.Name, id,
			t.Entity.Name, t.UniqueFix(at), fault.ErrUnfit)
	}
	for n, name := range t.KeyNames() {
		if column, _ := at.Column(name); t.FindsOthers(n, column) {
			return fmt.Errorf("table %s finds rows of other ids by %s, the id of %s: the collation of the column is %s: "+
				"give it one that tells all texts apart: %w", t.Name, name, t.Entity.Name, column.Collation, fault.ErrUnfit)
		}
	}
	return nil
}

// keeps refuses a type of the id's column that takes two ids for the same, as "007" and
// "7" are one number, or that has two spellings of one id, as a text has of a number.
func keeps(t *mapping.Table, d database.Dialect, n int, id catalog.Column) error {
	v := t.JudgeKey(d, n, id)
	if v.Hold != catalog.Refused {
		return nil
	}
	want := map[schema.FieldType]string{schema.String: "text", schema.Int: "a whole number",
		schema.UUID: "a UUID", schema.Time: "a time"}[t.KeyID(n).Type]
	if id.Computed() {
		return fmt.Errorf("%s.%s is GENERATED ALWAYS: it takes no value of %s, and every write would be refused: %s: %w",
			t.Name, id.Name, t.Entity.Name, v.Fix, fault.ErrUnfit)
	}
	return fmt.Errorf("table %s would not keep every id of %s as it is, and one record would overwrite another: the type of %s is %s, not %s: %s: %w",
		t.Name, t.Entity.Name, id.Name, cmp.Or(id.Type, "not given"), want, v.Fix, fault.ErrUnfit)
}

// columnSteps adds missing columns. They take NULL even where the field is required:
// the rows that are there have no value.
func columnSteps(t *mapping.Table, at *catalog.Table, d database.Dialect) []step {
	var steps []step
	for _, c := range t.Columns {
		if _, ok := at.Column(c.Name); ok {
			continue
		}
		add := "ALTER TABLE " + mapping.QuoteTable(t.Name) + " ADD COLUMN " + mapping.Quote(c.Name) + " " + d.Spell(c.Type)
		steps = append(steps, step{line: fmt.Sprintf("add column %s.%s %s", t.Name, c.Name, c.Type),
			run: func(db *gorm.DB) error {
				return db.Exec(add).Error
			}})
	}
	return steps
}

// indexSteps adds the missing indexes of unique fields and sets of fields. Any index or
// constraint that makes the same columns unique counts, whatever its name is; one that has
// the name and does not make them unique does not.
func indexSteps(t *mapping.Table, d database.Dialect, at *catalog.Table) []step {
	var steps []step
	for _, key := range t.Entity.UniqueKeys() {
		names, spelled := make([]string, len(key.Fields)), make([]string, len(key.Fields))
		for n, i := range key.Fields {
			names[n] = t.Column(i).Name
			spelled[n] = mapping.Quote(names[n])
		}
		if isUnique(t, at, key, names) {
			continue
		}
		name := identifier(key.Index)
		if slices.Contains(at.Invalid, name) {
			drop := "DROP INDEX " + quoteIn(t.Name, name)
			steps = append(steps, step{line: "drop invalid index " + name,
				run: func(db *gorm.DB) error { return db.Exec(drop).Error }})
		}
		name = freeName(at, name)
		create := "CREATE UNIQUE INDEX " + d.Concurrently(at) + mapping.Quote(name) + " ON " + mapping.QuoteTable(t.Name) +
			" (" + strings.Join(spelled, ", ") + ")"
		if key.Where != "" {
			create += " WHERE " + key.Where
		}
		steps = append(steps, step{
			line: "create unique index " + name, alone: d.Concurrently(at) != "",
			run: func(db *gorm.DB) error { return db.Exec(create).Error },
		})
	}
	return steps
}

// isUnique reports whether an index makes the columns of a key unique. The name of one of
// ours stands for its condition, which the database may spell in another way.
func isUnique(t *mapping.Table, at *catalog.Table, key schema.UniqueKey, names []string) bool {
	if at.UniqueWhere(key.Where, names...) {
		return true
	}
	own, ok := at.IndexNamed(identifier(key.Index))
	return ok && key.Where != "" && own.Where != "" && at.UniqueWhere(own.Where, names...)
}

// freeName is the name of a new index: another where one has it that does something else.
func freeName(at *catalog.Table, name string) string {
	taken := func(name string) bool {
		_, unique := at.IndexNamed(name)
		return unique || slices.Contains(at.Others, name)
	}
	free := name
	for n := 2; taken(free); n++ {
		suffix := fmt.Sprintf("_%d", n)
		free = name[:min(len(name), schema.MaxNameBytes-len(suffix))] + suffix
	}
	return free
}

// quoteIn spells the name of an index of a table, which has the table's schema.
func quoteIn(table, index string) string {
	if dot := strings.LastIndexByte(table, '.'); dot >= 0 {
		return mapping.QuoteTable(table[:dot]) + "." + mapping.Quote(index)
	}
	return mapping.Quote(index)
}

// identifier is a name as PostgreSQL keeps it, cut to 63 bytes.
func identifier(name string) string { return name[:min(len(name), 63)] }

// notes tell what exists and differs. What PostgreSQL calls a type is how the
// entity's own types are spelled; a collation is no part of it.
func notes(t *mapping.Table, at *catalog.Table) []step {
	var steps []step
	own := map[string]bool{}
	note := func(format string, args ...any) {
		steps = append(steps, step{line: "note: " + fmt.Sprintf(format, args...)})
	}
	if at.Unlogged {
		note("%s is UNLOGGED: a crash of the database empties it, also of what is persisted; ALTER TABLE %[1]s SET LOGGED",
			t.Name)
	}
	for _, c := range t.Columns {
		there, ok := at.Column(c.Name)
		own[there.Name] = true
		want := c.Type
		for _, more := range []string{" COLLATE", " CHARACTER SET", " GENERATED", " PRIMARY KEY", " AUTO_INCREMENT"} {
			want, _, _ = strings.Cut(want, more)
		}
		if ok && !strings.EqualFold(there.Type, want) {
			note("%s.%s is %s, the entity would have %s: left as it is", t.Name, there.Name, there.Type, want)
		}
		if ok && there.NotNull && !c.Field.Required {
			note("%s.%s is NOT NULL, its field is not required: nulls will be refused", t.Name, there.Name)
		}
	}
	for _, c := range at.Columns {
		if c.NotNull && !c.Filled() && !own[c.Name] {
			note("%s.%s is NOT NULL without a default and no field of %s: new rows will be refused", t.Name, c.Name,
				t.Entity.Name)
		}
	}
	return steps
}

// apply runs one step in a transaction of its own.
func (m *Migration) apply(ctx context.Context, st step) error {
	if st.run == nil {
		return nil
	}
	if st.alone {
		return m.applyAlone(ctx, st)
	}
	tx, err := m.DB.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if tx.Spoiled, err = m.DB.Dialect.Patient(tx.DB); err != nil {
		return m.DB.Unavailable("raise the timeout", err)
	}
	if err := st.run(tx.DB); err != nil {
		tx.Rollback()
		return m.migrationError(ctx, st, err)
	}
	return m.DB.Unavailable("commit", tx.Commit())
}

// applyAlone runs one step on a connection of its own, past the statements' time.
func (m *Migration) applyAlone(ctx context.Context, st step) error {
	err := m.DB.Writing.ORM.WithContext(ctx).Connection(func(db *gorm.DB) error {
		if err := m.DB.Dialect.Unbounded(db); err != nil {
			return err
		}
		defer m.DB.Dialect.Bounded(db)
		return st.run(db)
	})
	if err != nil {
		return m.migrationError(ctx, st, err)
	}
	return nil
}

// migrationError says what stands in the way. A step that another process has done
// meanwhile is no error.
func (m *Migration) migrationError(ctx context.Context, st step, err error) error {
	if st.watch {
		return fmt.Errorf("the triggers were not made; the user who migrates needs the rights of docs/DATABASES.md, \"Other programs write the table\": %w",
			m.DB.Unavailable("watch", err))
	}
	outstanding, inspected := m.Outstanding(ctx)
	if inspected == nil && !slices.Contains(outstanding, st.line) {
		return nil
	}
	if r, ok := m.DB.Dialect.Classify(err); ok {
		return fmt.Errorf("the rows that are there do not allow it, fix them and migrate again: %w", r)
	}
	return m.DB.Unavailable("migrate", err)
}
