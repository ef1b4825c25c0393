package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// migrations are the tables of the project itself, a folder for each dialect. Each
// does nothing where it is done already.
//
//go:embed migrations
var migrations embed.FS

// versionTable is where goose keeps which of the migrations were applied.
const versionTable = "afterwrite_migrations"

// step is one line of a migration. A note changes nothing: it tells what the
// migration leaves as it is.
type step struct {
	line string
	run  func(db *gorm.DB) error
}

// Migrate brings the database up to date and returns what it did, a line each: first
// the project's own tables, then for each entity its table, missing columns and
// missing unique indexes. It never alters or drops what exists, and tells where that
// differs from the entity in lines that begin with "note:". A dry run changes nothing
// and returns what would be done.
//
// Any number of processes may migrate at once. After an error the lines tell what
// was done before it; to run it again is safe.
func (s *Store) Migrate(ctx context.Context, dryRun bool) ([]string, error) {
	if dryRun {
		steps, err := s.plan(ctx)
		return lines(steps), err
	}
	var done []string
	err := s.dialect.migrating(ctx, s.writing.sql, func() error {
		var err error
		done, err = s.migrate(ctx)
		return err
	})
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	return done, nil
}

// Outstanding returns what Migrate would change. Nothing means up to date.
func (s *Store) Outstanding(ctx context.Context) ([]string, error) {
	steps, err := s.plan(ctx)
	var changes []step
	for _, st := range steps {
		if st.run != nil {
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

func (s *Store) migrate(ctx context.Context) ([]string, error) {
	done, err := s.up(ctx)
	if err != nil {
		return done, err
	}
	for _, t := range s.entries {
		steps, err := s.tableSteps(ctx, t)
		if err != nil {
			return done, err
		}
		for _, st := range steps {
			if err := s.apply(ctx, st); err != nil {
				return done, fmt.Errorf("%s: %w", st.line, err)
			}
			done = append(done, st.line)
		}
	}
	return done, nil
}

// up applies the project's own migrations. Another process may have applied the
// same a moment ago where the dialect cannot keep it out: then the next attempt finds
// nothing left to do.
func (s *Store) up(ctx context.Context) ([]string, error) {
	const attempts = 5
	var err error
	for range attempts {
		var results []*goose.MigrationResult
		if results, err = s.goose(ctx); err == nil {
			var done []string
			for _, r := range results {
				done = append(done, "apply "+path.Base(r.Source.Path))
			}
			return done, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, s.unavailable("apply the own migrations", err)
}

func (s *Store) goose(ctx context.Context) ([]*goose.MigrationResult, error) {
	p, err := s.provider()
	if err != nil {
		return nil, err
	}
	return p.Up(ctx)
}

func (s *Store) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+s.dialect.name())
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(s.dialect.goose(), s.writing.sql, files, goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// plan is what Migrate would do now.
func (s *Store) plan(ctx context.Context) ([]step, error) {
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
	return steps, nil
}

// ownSteps compares the embedded migrations with what goose has written down. It
// does not ask goose, which would create its table.
func (s *Store) ownSteps(ctx context.Context) ([]step, error) {
	p, err := s.provider()
	if err != nil {
		return nil, err
	}
	own, err := s.catalog(ctx, versionTable)
	if err != nil {
		return nil, err
	}
	var applied int64
	if own.Exists() {
		err := s.read(ctx).Raw("SELECT coalesce(max(version_id), 0) FROM " + versionTable).Scan(&applied).Error
		if err != nil {
			return nil, s.unavailable("read "+versionTable, err)
		}
	}
	var steps []step
	for _, source := range p.ListSources() {
		if source.Version > applied {
			steps = append(steps, step{"apply " + path.Base(source.Path), func(*gorm.DB) error { return nil }})
		}
	}
	return steps, nil
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
		create := step{"create table " + t.name, func(db *gorm.DB) error {
			return t.scope(db).Migrator().CreateTable(t.model())
		}}
		return append([]step{create}, t.indexSteps(at)...), nil
	}
	if err := t.checkKey(at); err != nil {
		return nil, err
	}
	for _, c := range t.columns {
		if there, _ := at.Column(c.name); there.Computed() {
			return nil, fmt.Errorf("%s.%s is GENERATED ALWAYS: it takes no value of %s, and every write would be refused", t.name, c.name, t.entity.Name)
		}
	}
	steps := append(t.columnSteps(at, s.dialect), t.indexSteps(at)...)
	return append(steps, t.notes(at)...), nil
}

// checkKey refuses a column of ids that is not unique by itself, or that takes two ids
// for the same.
func (t *table) checkKey(at *catalog.Table) error {
	id := t.columns[0].name
	column, ok := at.Column(id)
	if !ok {
		return fmt.Errorf("table %s has no column %s, the id of %s", t.name, id, t.entity.Name)
	}
	unique := at.Unique(id)
	if loose := looseKey(at, column.Name); loose != "" && !unique {
		return fmt.Errorf("table %s takes different values of %s, the id of %s, for the same, and one record would overwrite another: %s",
			t.name, id, t.entity.Name, loose)
	}
	if err := t.keeps(column); err != nil {
		return err
	}
	if !unique {
		return fmt.Errorf("table %s has no primary key or unique index on %s alone, the id of %s", t.name, id, t.entity.Name)
	}
	return nil
}

// looseKey says why a unique index on the column alone takes different values for the same.
func looseKey(at *catalog.Table, column string) string {
	for _, x := range at.Indexes {
		if len(x.Parts) == 1 && x.Parts[0].Column == column && x.Where == "" && !x.Deferrable && x.Parts[0].Collation != "" {
			return x.Parts[0].Collation
		}
	}
	return ""
}

// keeps refuses a type of the id's column that takes two ids for the same, as "007" and
// "7" are one number, and one UUID is spelt in many ways.
func (t *table) keeps(id catalog.Column) error {
	want := "text"
	switch {
	case !slices.Contains(textTypes, id.Base) && t.entity.ID.Type == schema.String:
	case slices.Contains(floatTypes, id.Base) && t.entity.ID.Type == schema.Int:
		want = "a whole number"
	default:
		return nil
	}
	return fmt.Errorf("table %s would not keep every id of %s as it is, and one record would overwrite another: the type of %s is %s, not %s",
		t.name, t.entity.Name, id.Name, id.Type, want)
}

// textTypes keep every text as it is; floatTypes keep no whole number beyond 2^53, or a
// smaller bound. SQLite's are affinities.
var (
	textTypes  = []string{"text", "character varying", "character", "citext", "TEXT", "BLOB"}
	floatTypes = []string{"real", "double precision", "money", "REAL"}
)

// columnSteps adds missing columns. They take NULL even where the field is required:
// the rows that are there have no value.
func (t *table) columnSteps(at *catalog.Table, d dialect) []step {
	var steps []step
	for _, c := range t.columns {
		if _, ok := at.Column(c.name); ok {
			continue
		}
		add := "ALTER TABLE " + quoteTable(t.name) + " ADD COLUMN " + quote(c.name) + " " + d.spell(c.typ)
		steps = append(steps, step{fmt.Sprintf("add column %s.%s %s", t.name, c.name, c.typ), func(db *gorm.DB) error {
			return db.Exec(add).Error
		}})
	}
	return steps
}

// indexSteps adds the missing indexes of unique fields.
func (t *table) indexSteps(at *catalog.Table) []step {
	var steps []step
	for i := range t.entity.Fields {
		f := &t.entity.Fields[i]
		name := identifier(t.entity.UniqueIndex(f))
		if _, there := at.IndexNamed(name); there || !f.Unique {
			continue
		}
		create := "CREATE UNIQUE INDEX " + quote(name) + " ON " + quoteTable(t.name) + " (" + quote(f.Column) + ")"
		steps = append(steps, step{"create unique index " + name, func(db *gorm.DB) error {
			return db.Exec(create).Error
		}})
	}
	return steps
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
		own[c.name] = true
		there, ok := at.Column(c.name)
		want, _, _ := strings.Cut(c.typ, " COLLATE")
		want, _, _ = strings.Cut(want, " CHARACTER SET")
		if ok && !strings.EqualFold(there.Type, want) {
			note("%s.%s is %s, the entity would have %s: left as it is", t.name, c.name, there.Type, want)
		}
		if ok && there.NotNull && !c.field.Required {
			note("%s.%s is NOT NULL, its field is not required: nulls will be refused", t.name, c.name)
		}
	}
	for _, c := range at.Columns {
		if c.NotNull && !c.Filled() && !own[c.Name] {
			note("%s.%s is NOT NULL without a default and no field of %s: new rows will be refused", t.name, c.Name, t.entity.Name)
		}
	}
	return steps
}

// apply runs one step in a transaction of its own.
func (s *Store) apply(ctx context.Context, st step) error {
	if st.run == nil {
		return nil
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback()
	tx.changed = true
	if err := s.dialect.patient(tx.db); err != nil {
		return s.unavailable("raise the timeout", err)
	}
	if err := st.run(tx.db); err != nil {
		tx.rollback()
		return s.migrationError(ctx, st, err)
	}
	return s.unavailable("commit", tx.commit())
}

// migrationError says what stands in the way. A step that another process has done
// meanwhile is no error.
func (s *Store) migrationError(ctx context.Context, st step, err error) error {
	outstanding, inspected := s.Outstanding(ctx)
	if inspected == nil && !slices.Contains(outstanding, st.line) {
		return nil
	}
	if r, ok := s.dialect.classify(err); ok {
		return fmt.Errorf("the rows that are there do not allow it, mend them and migrate again: %w", r)
	}
	return s.unavailable("migrate", err)
}
