package store

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
)

// step is one line of a migration. A note changes nothing: it tells what the
// migration leaves as it is.
type step struct {
	line  string
	run   func(db *gorm.DB) error
	alone bool // it cannot run within a transaction
	watch bool // it is about what other programs write: no process needs it to start
}

// Migrate brings the database up to date and returns what it did, a line each: first
// the project's own tables, then for each entity its table, missing columns and
// missing unique indexes. It never alters or drops what exists, and tells where that
// differs from the entity in lines that begin with "note:". A dry run changes nothing
// and returns what would be done. Last come the triggers of watched tables: of those that
// watching names, and of those that are watched already where a trigger is missing, disabled
// or of an older definition.
//
// Any number of processes may migrate at once. After an error the lines tell what
// was done before it; to run it again is safe.
func (s *Store) Migrate(ctx context.Context, dryRun bool, watching ...Watching) ([]string, error) {
	want := joined(watching)
	if err := s.checkWatching(want); err != nil {
		return nil, err
	}
	if dryRun {
		steps, err := s.plan(ctx, want)
		return lines(steps), err
	}
	var done []string
	err := s.dialect.migrating(ctx, s.writing.sql, func() error {
		var err error
		done, err = s.migrate(ctx, want)
		return err
	})
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	return done, nil
}

// Outstanding returns what Migrate would change, the triggers of watched tables aside, see
// [Store.Watches]. Nothing means up to date.
func (s *Store) Outstanding(ctx context.Context) ([]string, error) {
	steps, err := s.plan(ctx, Watching{})
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

func (s *Store) migrate(ctx context.Context, want Watching) ([]string, error) {
	done, err := s.up(ctx)
	if err != nil {
		return done, err
	}
	for _, t := range s.entries {
		steps, err := s.tableSteps(ctx, t)
		if err != nil {
			return done, err
		}
		more, err := s.applyAll(ctx, steps)
		if done = append(done, more...); err != nil {
			return done, err
		}
	}
	steps, err := s.watchSteps(ctx, want)
	if err != nil {
		return done, err
	}
	more, err := s.applyAll(ctx, steps)
	return append(done, more...), err
}

// joined is all that is to be watched and not to be.
func joined(all []Watching) (want Watching) {
	for _, w := range all {
		want.Watch, want.Unwatch = append(want.Watch, w.Watch...), append(want.Unwatch, w.Unwatch...)
	}
	return want
}

// up applies the project's own migrations. Another process may have applied the same a
// moment ago where the dialect cannot keep it out: then nothing is left to do.
func (s *Store) up(ctx context.Context) ([]string, error) {
	steps, err := s.ownSteps(ctx)
	if err != nil {
		return nil, err
	}
	return s.applyAll(ctx, steps)
}

// applyAll returns the lines of the steps that it has applied.
func (s *Store) applyAll(ctx context.Context, steps []step) (done []string, err error) {
	for _, st := range steps {
		if err := s.apply(ctx, st); err != nil {
			return done, fmt.Errorf("%s: %w", st.line, err)
		}
		done = append(done, st.line)
	}
	return done, nil
}

// plan is what Migrate would do now.
func (s *Store) plan(ctx context.Context, want Watching) ([]step, error) {
	steps, err := s.ownSteps(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range s.entries {
		more, err := s.tableSteps(ctx, t)
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	more, err := s.watchSteps(ctx, want)
	return append(steps, more...), err
}

// catalog reads what the database says about a table.
func (s *Store) catalog(ctx context.Context, name string) (*catalog.Table, error) {
	at, err := s.dialect.catalog(ctx, s.reading.sql, name)
	return at, s.unavailable("read the catalog of "+name, err)
}

// tableSteps compares an entity with its table.
func (s *Store) tableSteps(ctx context.Context, t *table) ([]step, error) {
	at, err := s.catalog(ctx, t.name)
	if err != nil {
		return nil, err
	}
	if !at.Exists() {
		create := step{line: "create table " + t.name, run: func(db *gorm.DB) error {
			return t.scope(db).Migrator().CreateTable(t.model())
		}}
		return append([]step{create}, t.indexSteps(s.dialect, at)...), nil
	}
	if err := t.checkKey(s.dialect, at); err != nil {
		return nil, err
	}
	if err := t.unfit(at, s.dialect); err != nil {
		return nil, err
	}
	steps := append(t.columnSteps(at, s.dialect), t.indexSteps(s.dialect, at)...)
	steps = append(steps, t.notes(at)...)
	unseen, err := s.unseen(ctx, t, at)
	for _, line := range unseen {
		steps = append(steps, step{line: "note: " + line})
	}
	return steps, err
}

// checkKey refuses a column of ids that is not unique by itself, or that takes two ids
// for the same.
func (t *table) checkKey(d dialect, at *catalog.Table) error {
	id := strings.Join(t.keyNames(), ", ")
	for _, name := range t.keyNames() {
		if _, ok := at.Column(name); !ok {
			return fmt.Errorf("table %s has no column %s, the id of %s", t.name, name, t.entity.Name)
		}
	}
	unique, loose := t.tells(at)
	if loose != "" && !unique {
		return fmt.Errorf("table %s takes different values of %s, the id of %s, for the same, and one record would overwrite another: %s",
			t.name, id, t.entity.Name, loose)
	}
	for n, name := range t.keyNames() {
		column, _ := at.Column(name)
		if err := t.keeps(d, n, column); err != nil {
			return err
		}
	}
	if why, fix := t.noKey(at); !unique && why != "" {
		return fmt.Errorf("table %s cannot be found by %s, the id of %s: %s; %s", t.name, id, t.entity.Name, why, fix)
	}
	if !unique {
		return fmt.Errorf("table %s has no primary key or unique index on %s alone, the id of %s: %s", t.name, id,
			t.entity.Name, t.uniqueFix(at))
	}
	return nil
}

// tells reports whether an index on the key's columns alone makes ids unique, else why one that
// is there takes different ids for the same. Canonical UUIDs have one case and one length, so
// folded cases and padding make none of them another.
func (t *table) tells(at *catalog.Table) (unique bool, loose string) {
	names := t.keyNames()
	loose, exact := at.Loose(func(column string) bool {
		for n, name := range names {
			if there, ok := at.Column(name); ok && there.Name == column {
				return t.keyID(n).Type == schema.UUID
			}
		}
		return false
	}, names...)
	return at.Unique(names...) || exact, loose
}

// keeps refuses a type of the id's column that takes two ids for the same, as "007" and
// "7" are one number, or that has two spellings of one id, as a text has of a number.
func (t *table) keeps(d dialect, n int, id catalog.Column) error {
	v := t.judgeKey(d, n, id)
	if v.Hold != catalog.Refused {
		return nil
	}
	want := map[schema.FieldType]string{schema.String: "text", schema.Int: "a whole number",
		schema.UUID: "a UUID", schema.Time: "a time"}[t.keyID(n).Type]
	if id.Computed() {
		return fmt.Errorf("%s.%s is GENERATED ALWAYS: it takes no value of %s, and every write would be refused: %s: %w",
			t.name, id.Name, t.entity.Name, v.Fix, fault.ErrUnfit)
	}
	return fmt.Errorf("table %s would not keep every id of %s as it is, and one record would overwrite another: the type of %s is %s, not %s: %s: %w",
		t.name, t.entity.Name, id.Name, cmp.Or(id.Type, "not given"), want, v.Fix, fault.ErrUnfit)
}

// columnSteps adds missing columns. They take NULL even where the field is required:
// the rows that are there have no value.
func (t *table) columnSteps(at *catalog.Table, d dialect) []step {
	var steps []step
	for _, c := range t.columns {
		if _, ok := at.Column(c.name); ok {
			continue
		}
		add := "ALTER TABLE " + quoteTable(t.name) + " ADD COLUMN " + quote(c.name) + " " + d.spell(c.typ)
		steps = append(steps, step{line: fmt.Sprintf("add column %s.%s %s", t.name, c.name, c.typ),
			run: func(db *gorm.DB) error {
				return db.Exec(add).Error
			}})
	}
	return steps
}

// indexSteps adds the missing indexes of unique fields and sets of fields. Any index or
// constraint that makes the same columns unique counts, whatever its name is; one that has
// the name and does not make them unique does not.
func (t *table) indexSteps(d dialect, at *catalog.Table) []step {
	var steps []step
	for _, key := range t.entity.UniqueKeys() {
		names, spelled := make([]string, len(key.Fields)), make([]string, len(key.Fields))
		for n, i := range key.Fields {
			names[n] = t.column(i).name
			spelled[n] = quote(names[n])
		}
		if t.isUnique(at, key, names) {
			continue
		}
		name := identifier(key.Index)
		if slices.Contains(at.Invalid, name) {
			drop := "DROP INDEX " + quoteIn(t.name, name)
			steps = append(steps, step{line: "drop invalid index " + name,
				run: func(db *gorm.DB) error { return db.Exec(drop).Error }})
		}
		name = freeName(at, name)
		create := "CREATE UNIQUE INDEX " + d.concurrently(at) + quote(name) + " ON " + quoteTable(t.name) +
			" (" + strings.Join(spelled, ", ") + ")"
		if key.Where != "" {
			create += " WHERE " + key.Where
		}
		steps = append(steps, step{
			line: "create unique index " + name, alone: d.concurrently(at) != "",
			run: func(db *gorm.DB) error { return db.Exec(create).Error },
		})
	}
	return steps
}

// isUnique reports whether an index makes the columns of a key unique. The name of one of
// ours stands for its condition, which the database may spell in another way.
func (t *table) isUnique(at *catalog.Table, key schema.UniqueKey, names []string) bool {
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
		return quoteTable(table[:dot]) + "." + quote(index)
	}
	return quote(index)
}

// identifier is a name as PostgreSQL keeps it, cut to 63 bytes.
func identifier(name string) string { return name[:min(len(name), 63)] }

// notes tell what exists and differs. What PostgreSQL calls a type is how the
// entity's own types are spelled; a collation is no part of it.
func (t *table) notes(at *catalog.Table) []step {
	var steps []step
	own := map[string]bool{}
	note := func(format string, args ...any) {
		steps = append(steps, step{line: "note: " + fmt.Sprintf(format, args...)})
	}
	for _, c := range t.columns {
		there, ok := at.Column(c.name)
		own[there.Name] = true
		want := c.typ
		for _, more := range []string{" COLLATE", " CHARACTER SET", " GENERATED", " PRIMARY KEY", " AUTO_INCREMENT"} {
			want, _, _ = strings.Cut(want, more)
		}
		if ok && !strings.EqualFold(there.Type, want) {
			note("%s.%s is %s, the entity would have %s: left as it is", t.name, there.Name, there.Type, want)
		}
		if ok && there.NotNull && !c.field.Required {
			note("%s.%s is NOT NULL, its field is not required: nulls will be refused", t.name, there.Name)
		}
	}
	for _, c := range at.Columns {
		if c.NotNull && !c.Filled() && !own[c.Name] {
			note("%s.%s is NOT NULL without a default and no field of %s: new rows will be refused", t.name, c.Name,
				t.entity.Name)
		}
	}
	return steps
}

// apply runs one step in a transaction of its own.
func (s *Store) apply(ctx context.Context, st step) error {
	if st.run == nil {
		return nil
	}
	if st.alone {
		return s.applyAlone(ctx, st)
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback()
	if tx.spoiled, err = s.dialect.patient(tx.db); err != nil {
		return s.unavailable("raise the timeout", err)
	}
	if err := st.run(tx.db); err != nil {
		tx.rollback()
		return s.migrationError(ctx, st, err)
	}
	return s.unavailable("commit", tx.commit())
}

// applyAlone runs one step on a connection of its own, past the statements' time.
func (s *Store) applyAlone(ctx context.Context, st step) error {
	err := s.writing.orm.WithContext(ctx).Connection(func(db *gorm.DB) error {
		if err := s.dialect.unbounded(db); err != nil {
			return err
		}
		defer s.dialect.bounded(db)
		return st.run(db)
	})
	if err != nil {
		return s.migrationError(ctx, st, err)
	}
	return nil
}

// migrationError says what stands in the way. A step that another process has done
// meanwhile is no error.
func (s *Store) migrationError(ctx context.Context, st step, err error) error {
	if st.watch {
		return fmt.Errorf("the triggers were not made; the user who migrates needs the rights of docs/DATABASES.md, \"Other programs write the table\": %w",
			s.unavailable("watch", err))
	}
	outstanding, inspected := s.Outstanding(ctx)
	if inspected == nil && !slices.Contains(outstanding, st.line) {
		return nil
	}
	if r, ok := s.dialect.classify(err); ok {
		return fmt.Errorf("the rows that are there do not allow it, fix them and migrate again: %w", r)
	}
	return s.unavailable("migrate", err)
}
