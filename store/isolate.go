package store

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/database"
)

// isolate writes changes by one statement and appends the refused ones to rejected.
// When the database names a constraint, one query finds those that violate it; for
// the rest the statement is halved. Past the batch's patience it leaves changes
// untried.
func (b *batch) isolate(changes []schema.Change, run statement, rejected []rejection) ([]rejection, error) {
	if len(changes) == 0 {
		return rejected, nil
	}
	if len(rejected) > 0 && time.Now().After(b.until) {
		b.untried += len(changes)
		return rejected, nil
	}
	v, err := b.attempt(changes, run)
	if err != nil {
		return nil, err
	}
	if v == nil {
		if b.outcome.Persisted == nil { // mostly it is all: no copy
			b.outcome.Persisted = slices.Clip(changes)
		} else {
			b.outcome.Persisted = append(b.outcome.Persisted, changes...)
		}
		return rejected, nil
	}
	if v.hung {
		b.hangs(changes, run, v.Refusal)
		return rejected, nil
	}
	r := v.Refusal
	if len(changes) == 1 {
		if gone, err := b.gone(changes[0], r); gone || err != nil {
			return rejected, err
		}
		refused := Refused{Change: changes[0], Refusal: r, Isolate: v.isolate, OfTable: v.ofTable, Blocked: v.blocked,
			Unmapped: b.table.unmapped(r)}
		return append(rejected, rejection{refused, curable(r.Kind)}), nil
	}
	culprits := v.missing
	if len(culprits) == 0 && !v.hook {
		if culprits, err = b.culprits(r, changes); err != nil {
			return nil, err
		}
	}
	if len(culprits) == 0 {
		return b.halve(changes, run, rejected)
	}
	return b.part(changes, culprits, r, run, rejected)
}

// gone takes for persisted the deletion of an id that its column cannot hold: it has no row.
func (b *batch) gone(c schema.Change, r schema.Refusal) (bool, error) {
	if !c.Deleted || (r.Kind != schema.KindType && r.Kind != schema.KindRange) {
		return false, nil
	}
	rows, err := b.tx.Load(b.table.Table, []string{c.ID})
	switch {
	case fault.Unavailable(err):
		return false, err
	case err != nil || len(rows) > 0: // there is a row, and a trigger, say, refuses to delete it
		return false, nil
	}
	b.outcome.Persisted = append(b.outcome.Persisted, c)
	return true, nil
}

// unmapped reports whether a refusal is for a column that no field of the entity is on.
func (t *table) unmapped(r schema.Refusal) bool {
	if r.Kind != schema.KindNotNull || r.Column == "" || strings.EqualFold(r.Column, t.Entity.ID.Column) {
		return false
	}
	return !slices.ContainsFunc(t.Entity.Fields, func(f schema.Field) bool {
		return strings.EqualFold(f.Column, r.Column)
	})
}

// verdict is what the database has said of a statement that it did not do.
type verdict struct {
	schema.Refusal
	isolate bool            // see Refused
	ofTable bool            // see Refused
	blocked bool            // see Refused
	missing map[string]bool // see missingError
	hung    bool            // it was given up for its time, which is no refusal
	hook    bool            // a hook refused: the constraint is not the table's
}

// attempt runs one statement for the changes. A verdict, which leaves no trace, is not
// an error.
func (b *batch) attempt(changes []schema.Change, run statement) (*verdict, error) {
	failed, ended := b.tx.Try(func() error { return b.hooked(run)(changes) })
	if failed == nil || ended != nil {
		return nil, b.table.told(ended, changes, nil)
	}
	v, ok := b.judge(failed)
	if !ok {
		return nil, b.tx.Database.Unavailable("write "+b.table.Name, b.table.told(failed, changes, b.rows))
	}
	if v.hung && b.gaveUp == nil {
		b.gaveUp = b.table.told(failed, changes, nil)
	}
	if err := b.meet(v); err != nil {
		return nil, err
	}
	r, err := b.locate(b.table.presentable(v.Refusal, changes, b.rowsUnless(v.hung)), changes)
	v.Refusal = r
	return &v, err
}

// meet reads the catalog once more where a refusal names an index that is not known: it may have been renamed, of which
// no mark tells.
func (b *batch) meet(v verdict) error {
	if v.Kind != schema.KindUnique || v.hook || b.looked || len(b.table.refusing(v.Refusal)) > 0 {
		return nil
	}
	b.looked = true
	b.table.reading.Lock()
	defer b.table.reading.Unlock()
	known, err := b.table.learn(b.tx, b.known.mark)
	if err == nil {
		b.known = known
	}
	return err
}

// judge tells what an error of a statement means for its changes, if anything.
func (b *batch) judge(err error) (verdict, bool) {
	if b.hung(err) {
		return verdict{Refusal: fault.Refusal(schema.KindTimeout, "", "", err.Error()), hung: true}, true
	}
	if hook := (*hookError)(nil); errors.As(err, &hook) {
		r, ok := b.hookRefusal(hook)
		return verdict{Refusal: r, hook: true}, ok
	}
	if missing := (missingError{}); errors.As(err, &missing) {
		return verdict{Refusal: fault.Refusal(schema.KindMissing, "", "", err.Error()), missing: missing.ids}, true
	}
	r, ok := b.classify(err)
	isolate := ok && b.suspected(err)
	d := b.tx.Database.Dialect
	return verdict{Refusal: r, isolate: isolate, ofTable: isolate && d.OfTable(err),
		blocked: isolate && d.Blocked(err)}, ok
}

// part rejects the culprits and goes on with the rest.
func (b *batch) part(changes []schema.Change, culprits map[string]bool, r schema.Refusal, run statement,
	rejected []rejection) ([]rejection, error) {
	var rest []schema.Change
	for _, c := range changes {
		if heals, ok := culprits[c.ID]; ok {
			rejected = append(rejected, rejection{Refused{Change: c, Refusal: r, Unmapped: b.table.unmapped(r)}, heals})
		} else {
			rest = append(rest, c)
		}
	}
	return b.isolate(rest, run, rejected)
}

func (b *batch) halve(changes []schema.Change, run statement, rejected []rejection) ([]rejection, error) {
	rejected, err := b.isolate(changes[:len(changes)/2], run, rejected)
	if err != nil {
		return nil, err
	}
	return b.isolate(changes[len(changes)/2:], run, rejected)
}

// curable reports whether a refusal of the kind, of which no more is known, may be
// over when the neighbours are written.
func curable(k schema.Kind) bool {
	return k == schema.KindUnique || k == schema.KindForeignKey
}

func (b *batch) classify(err error) (schema.Refusal, bool) {
	if hook := (*hookError)(nil); errors.As(err, &hook) {
		return b.hookRefusal(hook)
	}
	var unfit *database.UnfitError
	if errors.As(err, &unfit) {
		return fault.Refusal(schema.KindType, "", "", err.Error()), true
	}
	if errors.As(err, new(leftOutError)) {
		return fault.Refusal(schema.KindCheck, "", "", err.Error()), true
	}
	if r, ok := b.tx.Database.Dialect.Classify(err); ok {
		return r, true
	}
	if b.suspected(err) {
		return fault.Refusal(b.tx.Database.Suspected(err), "", "", err.Error()), true
	}
	return schema.Refusal{}, false
}

// suspected reports whether the error, though not a refusal by its code, is taken for one.
func (b *batch) suspected(err error) bool {
	d := b.tx.Database.Dialect
	return b.suspicious && b.tx.DB.Statement.Context.Err() == nil && !d.Away(err) && d.Suspect(err)
}
