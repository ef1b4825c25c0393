package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
)

// Verdict says how one column of an entity's table holds its field. A Verdict without a
// Column is about the whole row.
type Verdict struct {
	Entity string
	Table  string
	catalog.Verdict
}

// String is the verdict as a line of a report.
func (v Verdict) String() string {
	if v.Column == "" {
		return strings.TrimSuffix(fmt.Sprintf("%s: rows %s: %s; %s", v.Table, v.Hold, v.Why, v.Fix), "; ")
	}
	return v.Table + "." + v.Verdict.String()
}

// Verdicts returns one for the key and each field of every entity, in the configuration's
// order. A table or column that a migration would make is exact.
func (s *Store) Verdicts(ctx context.Context) ([]Verdict, error) {
	var all []Verdict
	for _, t := range s.entries {
		at, err := s.catalog(ctx, t.name)
		if err != nil {
			return nil, err
		}
		for _, v := range t.verdicts(at, s.dialect) {
			all = append(all, Verdict{t.entity.Name, t.name, v})
		}
	}
	return all, nil
}

// VerdictLines are a report of verdicts: for each table a line with its exact columns, and
// one for each other column.
func VerdictLines(verdicts []Verdict) []string {
	var lines []string
	for len(verdicts) > 0 {
		n := 1
		for n < len(verdicts) && verdicts[n].Entity == verdicts[0].Entity {
			n++
		}
		lines = append(lines, tableLines(verdicts[:n])...)
		verdicts = verdicts[n:]
	}
	return lines
}

func tableLines(verdicts []Verdict) []string {
	var exact, lines []string
	for _, v := range verdicts {
		if v.Hold == catalog.Exact {
			exact = append(exact, v.Column)
		} else {
			lines = append(lines, v.String())
		}
	}
	if len(exact) > 0 {
		lines = append([]string{verdicts[0].Table + ": exact: " + strings.Join(exact, ", ")}, lines...)
	}
	return lines
}

// verdicts are those of the key, of the fields, and of the row.
func (t *table) verdicts(at *catalog.Table, d dialect) []catalog.Verdict {
	var all []catalog.Verdict
	for i, c := range t.columns {
		there, ok := at.Column(c.name)
		switch {
		case !ok:
			all = append(all, catalog.Verdict{Field: c.field.Name, Column: c.name, Type: c.typ, Hold: catalog.Exact})
		case i < t.keys:
			all = append(all, t.keyVerdict(at, d, i, there))
		default:
			all = append(all, catalog.Judge(d.catalogOf(), at, c.field, there))
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
func (t *table) keyVerdict(at *catalog.Table, d dialect, n int, there catalog.Column) catalog.Verdict {
	v := t.judgeKey(d, n, there)
	unique, loose := t.tells(at)
	if why, fix := catalog.JudgeSequence(d.catalogOf(), at, there); v.Hold != catalog.Refused && why != "" &&
		t.entity.ID.Made == schema.MadeSequence {
		v.Hold, v.Why, v.Fix = catalog.Refused, why, fix
	}
	switch {
	case v.Hold == catalog.Refused || unique:
	case loose != "" && (there.Folds || !t.folds(at)):
		v.Hold, v.Why = catalog.Refused, "it takes different ids for the same: "+loose
		v.Fix = "give it a collation and a type that tell all texts apart"
	case loose == "" && n == 0:
		v.Hold, v.Why, v.Fix = catalog.Refused, "no primary key or unique index is on "+t.alone(), t.uniqueFix(at)
		if why, fix := t.noKey(at); why != "" {
			v.Why, v.Fix = why, fix
		}
	}
	return v
}

// folds reports whether a column of the key is known to take different values for the same.
func (t *table) folds(at *catalog.Table) bool {
	return slices.ContainsFunc(t.keyNames(), func(name string) bool {
		there, ok := at.Column(name)
		return ok && there.Folds
	})
}

// noKey says why a table's columns cannot be a key though there is more than that they are not unique.
func (t *table) noKey(at *catalog.Table) (why, fix string) {
	switch {
	case at.Kind != catalog.Plain && at.Kind != catalog.Partitioned:
		return "it is a column of a " + string(at.Kind) + ", which has no unique index", "name the table that has the rows"
	case at.DeferrableUnique(t.keyNames()...):
		return "its primary key or unique constraint is DEFERRABLE, and ON CONFLICT does not take it",
			"make the constraint again as NOT DEFERRABLE"
	}
	return "", ""
}

// judgeKey judges the type of a column of the key.
func (t *table) judgeKey(d dialect, n int, there catalog.Column) catalog.Verdict {
	v := catalog.JudgeKey(d.catalogOf(), t.keyID(n), t.columns[n].field.SecondDigits(), there)
	v.Field = t.columns[n].field.Name
	if t.composite() {
		v.Fix = strings.TrimPrefix(v.Fix, "set `id: {made: sequence}`, or ")
		v.Fix = strings.ReplaceAll(strings.ReplaceAll(v.Fix, "set `id: {", "give the field "+v.Field+" `"), "}`", "`")
	}
	return v
}

// uniqueFix says what to do about a key that is not unique.
func (t *table) uniqueFix(at *catalog.Table) string {
	fix := "make it unique, or name a column that is"
	if t.composite() {
		fix = "make them unique together, or name the columns that are"
	}
	if wider := t.widerKey(at); wider != nil {
		fix += ", as in `id: {columns: [" + strings.Join(wider, ", ") + "]}`"
	}
	return fix
}

// alone says of which columns a unique index has to be the key's.
func (t *table) alone() string {
	if t.composite() {
		return "(" + strings.Join(t.keyNames(), ", ") + ") and no other column"
	}
	return "it alone"
}

// widerKey are the columns of a primary key, or else of a unique index, that has a column of the
// key and others, as that of a partitioned table has; nil: there is none.
func (t *table) widerKey(at *catalog.Table) []string {
	var wider []string
	for _, x := range at.Indexes {
		names, own := make([]string, len(x.Parts)), false
		for i, p := range x.Parts {
			names[i] = p.Column
			own = own || t.isKey(p.Column)
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

// unfit is the error of a table with columns that are refused, or nil. It names them all.
func (t *table) unfit(at *catalog.Table, d dialect) error {
	var bad []string
	for _, v := range t.verdicts(at, d) {
		switch {
		case v.Hold != catalog.Refused:
		case v.Column == "":
			bad = append(bad, fmt.Sprintf("%s cannot keep the records of %s: %s; %s", t.name, t.entity.Name, v.Why,
				v.Fix))
		case v.Why == catalog.Draws || v.Why == catalog.Barred:
			bad = append(bad, fmt.Sprintf("%s.%s cannot make the ids of %s: %s; %s", t.name, v.Column, t.entity.Name,
				v.Why, v.Fix))
		case v.Why == catalog.Computes:
			bad = append(bad, fmt.Sprintf("%s.%s is GENERATED ALWAYS: it takes no value of %s.%s; %s", t.name, v.Column,
				t.entity.Name, v.Field, v.Fix))
		default:
			bad = append(bad, fmt.Sprintf("%s.%s is %s, which would change values of %s.%s (%s): %s; %s",
				t.name, v.Column, v.Type, t.entity.Name, v.Field, t.fieldType(v.Field), v.Why, v.Fix))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", fault.ErrUnfit, strings.Join(bad, "; "))
}

// fieldType is the type of a field as the configuration spells it, with its sizes.
func (t *table) fieldType(name string) string {
	i, ok := t.entity.Field(name)
	if !ok {
		return string(t.entity.ID.Type)
	}
	f := &t.entity.Fields[i]
	if f.Type == schema.Decimal {
		return fmt.Sprintf("decimal, precision %d, scale %d", f.Precision, f.Scale)
	}
	return string(f.Type)
}
