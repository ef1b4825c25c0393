package mapping

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
)

// Verdicts are those of the key, of the fields, and of the row.
func (t *Table) Verdicts(at *catalog.Table, d Dialect) []catalog.Verdict {
	var all []catalog.Verdict
	for i, c := range t.Columns {
		there, ok := at.Column(c.Name)
		switch {
		case !ok:
			all = append(all, catalog.Verdict{Field: c.Field.Name, Column: c.Name, Type: c.Type, Hold: catalog.Exact})
		case i < t.Keys:
			all = append(all, t.keyVerdict(at, d, i, there))
		default:
			all = append(all, catalog.Judge(d.CatalogOf(), at, c.Field, there))
		}
	}
	if at.Flaw != "" {
		all = append(all, catalog.Verdict{Hold: catalog.Refused, Why: at.Flaw, Fix: at.FlawFix})
	}
	if names := rewriting(at); len(names) > 0 {
		all = append(all, catalog.Verdict{Hold: catalog.Database,
			Why: "they may be changed by " + strings.Join(names, ", ") + ", and are read back after they are written"})
	}
	return all
}

// keyVerdict judges a column of the key. It also refuses a key that no unique index makes
// one, or that takes different ids for the same, and one without the sequence that is to
// make the ids.
func (t *Table) keyVerdict(at *catalog.Table, d Dialect, n int, there catalog.Column) catalog.Verdict {
	v := t.JudgeKey(d, n, there)
	unique, loose := t.Tells(at)
	if why, fix := catalog.JudgeSequence(d.CatalogOf(), at, there); v.Hold != catalog.Refused && why != "" &&
		t.Entity.ID.Made == schema.MadeSequence {
		v.Hold, v.Why, v.Fix = catalog.Refused, why, fix
	}
	switch {
	case v.Hold == catalog.Refused:
	case unique && t.FindsOthers(n, there):
		v.Hold, v.Why = catalog.Refused, "it finds the rows of other ids, for its collation is "+there.Collation
		v.Fix = "give it a collation that tells all texts apart"
	case unique:
	case loose != "" && (there.Folds || !t.folds(at)):
		v.Hold, v.Why = catalog.Refused, "it takes different ids for the same: "+loose
		v.Fix = "give it a collation and a type that tell all texts apart"
	case loose == "" && n == 0:
		v.Hold, v.Why, v.Fix = catalog.Refused, "no primary key or unique index is on "+t.alone(), t.UniqueFix(at)
		if why, fix := t.NoKey(at); why != "" {
			v.Why, v.Fix = why, fix
		}
	}
	return v
}

// FindsOthers reports whether a column of the key compares different texts as equal. A unique index may have another
// collation than its column, by which rows are found.
func (t *Table) FindsOthers(n int, there catalog.Column) bool {
	return there.Folds && t.KeyID(n).Type == schema.String
}

// folds reports whether a column of the key is known to take different values for the same.
func (t *Table) folds(at *catalog.Table) bool {
	return slices.ContainsFunc(t.KeyNames(), func(name string) bool {
		there, ok := at.Column(name)
		return ok && there.Folds
	})
}

// NoKey says why a table's columns cannot be a key though there is more than that they are not unique.
func (t *Table) NoKey(at *catalog.Table) (why, fix string) {
	switch {
	case at.Kind != catalog.Plain && at.Kind != catalog.Partitioned:
		return "it is a column of a " + string(at.Kind) + ", which has no unique index", "name the table that has the rows"
	case at.DeferrableUnique(t.KeyNames()...):
		return "its primary key or unique constraint is DEFERRABLE, and ON CONFLICT does not take it",
			"make the constraint again as NOT DEFERRABLE"
	}
	return "", ""
}

// JudgeKey judges the type of a column of the key.
func (t *Table) JudgeKey(d Dialect, n int, there catalog.Column) catalog.Verdict {
	v := catalog.JudgeKey(d.CatalogOf(), t.KeyID(n), t.Columns[n].Field.SecondDigits(), there)
	v.Field = t.Columns[n].Field.Name
	if t.Composite() {
		v.Fix = strings.TrimPrefix(v.Fix, "set `id: {made: sequence}`, or ")
		v.Fix = strings.ReplaceAll(strings.ReplaceAll(v.Fix, "set `id: {", "give the field "+v.Field+" `"), "}`", "`")
	}
	return v
}

// UniqueFix says what to do about a key that is not unique.
func (t *Table) UniqueFix(at *catalog.Table) string {
	fix := "make it unique, or name a column that is"
	if t.Composite() {
		fix = "make them unique together, or name the columns that are"
	}
	if wider := t.widerKey(at); wider != nil {
		fix += ", as in `id: {columns: [" + strings.Join(wider, ", ") + "]}`"
	}
	return fix
}

// alone says of which columns a unique index has to be the key's.
func (t *Table) alone() string {
	if t.Composite() {
		return "(" + strings.Join(t.KeyNames(), ", ") + ") and no other column"
	}
	return "it alone"
}

// widerKey are the columns of a primary key, or else of a unique index, that has a column of the
// key and others, as that of a partitioned table has; nil: there is none.
func (t *Table) widerKey(at *catalog.Table) []string {
	var wider []string
	for _, x := range at.Indexes {
		names, own := make([]string, len(x.Parts)), false
		for i, p := range x.Parts {
			names[i] = p.Column
			own = own || t.IsKey(p.Column)
		}
		if own && len(names) > 1 && x.Where == "" && !slices.Contains(names, "") && (wider == nil || x.Primary) {
			wider = names
		}
	}
	return wider
}

// rewriting are the triggers and rules that may change a row that is written.
func rewriting(at *catalog.Table) []string {
	var names []string
	for _, trigger := range at.Fires(catalog.Insert, catalog.Update) {
		names = append(names, "the trigger "+trigger.Name)
	}
	if at.Rules > 0 {
		names = append(names, "rules")
	}
	return names
}

// Unfit is the error of a table with columns that are refused, or nil. It names them all.
func (t *Table) Unfit(at *catalog.Table, d Dialect) error {
	var bad []string
	for _, v := range t.Verdicts(at, d) {
		switch {
		case v.Hold != catalog.Refused:
		case v.Column == "":
			bad = append(bad, fmt.Sprintf("%s cannot keep the records of %s: %s; %s", t.Name, t.Entity.Name, v.Why,
				v.Fix))
		case v.Why == catalog.Draws || v.Why == catalog.Barred:
			bad = append(bad, fmt.Sprintf("%s.%s cannot make the ids of %s: %s; %s", t.Name, v.Column, t.Entity.Name,
				v.Why, v.Fix))
		case v.Why == catalog.Computes:
			bad = append(bad, fmt.Sprintf("%s.%s is GENERATED ALWAYS: it takes no value of %s.%s; %s", t.Name, v.Column,
				t.Entity.Name, v.Field, v.Fix))
		default:
			bad = append(bad, fmt.Sprintf("%s.%s is %s, which would change values of %s.%s (%s): %s; %s",
				t.Name, v.Column, v.Type, t.Entity.Name, v.Field, t.fieldType(v.Field), v.Why, v.Fix))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", fault.ErrUnfit, strings.Join(bad, "; "))
}

// fieldType is the type of a field as the configuration spells it, with its sizes.
func (t *Table) fieldType(name string) string {
	i, ok := t.Entity.Field(name)
	if !ok {
		return string(t.Entity.ID.Type)
	}
	f := &t.Entity.Fields[i]
	if f.Type == schema.Decimal {
		return fmt.Sprintf("decimal, precision %d, scale %d", f.Precision, f.Scale)
	}
	return string(f.Type)
}

// Tells reports whether an index on the key's columns alone makes ids unique, else why one that
// is there takes different ids for the same. Canonical UUIDs have one case and one length, so
// folded cases and padding make none of them another.
func (t *Table) Tells(at *catalog.Table) (unique bool, loose string) {
	names := t.KeyNames()
	loose, exact := at.Loose(func(column string) bool {
		for n, name := range names {
			if there, ok := at.Column(name); ok && there.Name == column {
				return t.KeyID(n).Type == schema.UUID
			}
		}
		return false
	}, names...)
	return at.Unique(names...) || exact, loose
}
