package mapping

import (
	"regexp"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/store/catalog"
)

// IsPlain reports whether INSERT … ON CONFLICT DO UPDATE of the entity's columns does
// nothing to a row that exists but update it. It may not where the INSERT is seen by
// triggers, rules or policies; where a column that is no field's must be given, or is given
// by a function, which may draw a number; and where a check, an exclusion or a unique index
// looks at such a column, for it would test the column's default instead of what the row has.
func (t *Table) IsPlain(at *catalog.Table) bool {
	if at.Kind != catalog.Plain || at.Rules > 0 || at.RowSecurity || len(at.Triggers) > 0 {
		return false
	}
	if SaysConflict(at) {
		return false
	}
	own := t.namesIn(at)
	for _, c := range at.Columns {
		if !slices.Contains(own, c.Name) && (!inert(c) || mentioned(c.Name, at)) {
			return false
		}
	}
	for _, x := range at.Indexes {
		if x.Where != "" || slices.ContainsFunc(x.Parts, func(p catalog.Part) bool {
			return !slices.Contains(own,
				p.Column)
		}) {
			return false
		}
	}
	return true
}

// SaysConflict reports whether a table of SQLite may replace or ignore rows by itself.
func SaysConflict(at *catalog.Table) bool {
	return strings.Contains(strings.ToUpper(at.Text), "CONFLICT")
}

// namesIn are the names of the entity's columns, as the table spells them.
func (t *Table) namesIn(at *catalog.Table) []string {
	names := t.names()
	for i, name := range names {
		if c, ok := at.Column(name); ok {
			names[i] = c.Name
		}
	}
	return names
}

// inert reports whether a column that an INSERT does not name gets a constant, or nothing.
func inert(c catalog.Column) bool {
	if c.NotNull && !c.Filled() || c.Sequence || c.Generated || c.Identity != catalog.NoIdentity || c.Domain != "" {
		return false
	}
	return !strings.Contains(c.Default, "(") || c.Default == "now()"
}

// mentioned reports whether a check may look at a column. SQLite lists none: there it may
// where the table's text has any.
func mentioned(column string, at *catalog.Table) bool {
	word := regexp.MustCompile(`(?i)(^|\W)` + regexp.QuoteMeta(column) + `($|\W)`)
	return slices.ContainsFunc(at.Checks, word.MatchString) || checks.MatchString(at.Text)
}

var checks = regexp.MustCompile(`(?i)\bCHECK\b`)
