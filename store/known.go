package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// known is what the catalog says about an entity's table, and what follows from it. It is
// read-only.
type known struct {
	mark   string    // see dialect.mark
	ends   string    // the statements on the table, see database.Transaction
	read   time.Time // when its reading began
	at     *catalog.Table
	unfit  error // of fault.ErrUnfit, or nil
	guards []guard
	// lastWord says that a row may not be as it is written, by a column or a trigger
	lastWord bool
	computed []int   // positions of fields whose column takes no value
	plain    bool    // see mapping.Table.IsPlain
	own      any     // what the dialect has prepared
	besides  besides // see beside.go
	watched  bool    // triggers note what other programs write: see watch.go
}

// know returns what the catalog says about the table now. A table that another program
// has changed is read again, in a transaction that then writes: on PostgreSQL the mark's
// query also takes a lock on the table that no ALTER TABLE passes before the transaction ends.
// Flushes that find it changed at once wait for the first of them, whose reading is theirs, too.
func (t *table) know(tx *database.Transaction) (*known, error) {
	mark, err := tx.Mark(t.target(t.known.Load()))
	if err != nil {
		return nil, tx.Database.Unavailable("look whether "+t.Name+" has changed", err)
	}
	k := t.current(mark)
	switch age := tx.Database.Dialect.Ages(); {
	case k == nil:
		t.reading.Lock()
	case age == 0 || time.Since(k.read) < age || !t.reading.TryLock():
		return k, nil
	}
	defer t.reading.Unlock()
	if other := t.current(mark); other != k {
		return other, nil
	}
	return t.learn(tx, mark)
}

// current is what is known, if the table has that mark.
func (t *table) current(mark string) *known {
	if k := t.known.Load(); k != nil && k.mark == mark {
		return k
	}
	return nil
}

// forget has the catalog read again where a statement did not fit the table: a mark does not tell everything, as what a
// type is called that a column has, or the columns of other tables.
func (t *table) forget() { t.known.Store(nil) }

// unchanged is an error if the table has another mark than it had. Until the batch is written, foreign keys of tables
// that are not locked may lead further than they did.
func (t *table) unchanged(tx *database.Transaction, k *known) error {
	mark, err := tx.Database.Dialect.Mark(tx.DB.Statement.Context, tx.Tx, t.Name, true)
	if err == nil && mark != k.mark {
		return &fault.Error{Op: "write " + t.Name, Err: errors.New("its foreign keys were changed meanwhile"),
			Conflict: true, Blocked: true}
	}
	return tx.Database.Unavailable("look whether "+t.Name+" has changed", err)
}

// learn reads the catalog.
func (t *table) learn(tx *database.Transaction, mark string) (*known, error) {
	d := tx.Database.Dialect
	k := &known{mark: mark, read: time.Now()}
	err := tx.AtLeisure(func() (err error) {
		if k.at, err = d.Catalog(tx.DB.Statement.Context, tx.Tx, t.Name); err == nil {
			k.besides, err = t.besides(tx.DB.Statement.Context, t.store, tx.Tx, k.at)
		}
		return err
	})
	if err != nil {
		return nil, tx.Database.Unavailable("read the catalog of "+t.Name, err)
	}
	if k.at.ID != "" {
		sum := sha256.Sum256([]byte(mark))
		k.ends = fmt.Sprintf(" /* %s %x */", k.at.ID, sum[:6])
	}
	k.unfit = t.Unfit(k.at, d)
	if p, ok := d.(database.Preparing); ok {
		k.own = p.Prepare(t.Table, k.at)
	}
	k.plain = t.IsPlain(k.at) && !(d.OneKey() && len(k.at.Indexes) > 1)
	for i, v := range t.Verdicts(k.at, d) {
		k.lastWord = k.lastWord || v.Hold == catalog.Database
		if i >= len(t.Columns) {
			continue
		}
		if v.Hold == catalog.Database && v.Why == catalog.Computes {
			k.computed = append(k.computed, t.Columns[i].At)
		}
		if v.Limit > 0 || v.Digits > 0 || v.Days || v.Bytes > 0 || v.Labels != nil {
			k.guards = append(k.guards, guard{i, v})
		}
	}
	k.watched = watching.Of(t.Table, tx.Database.Settings.Pair).Watched(k.at)
	t.Aborts.Store(mapping.SaysConflict(k.at))
	t.Shape.Store(k.at)
	t.known.Store(k)
	return k, nil
}

// fitting is know, or an error where the table does not fit the entity: nothing is written,
// and what is pending waits until the table or the configuration is changed.
func (t *table) fitting(tx *database.Transaction) (*known, error) {
	k, err := t.know(tx)
	if err == nil && k.unfit != nil {
		return nil, tx.Database.Unavailable("write "+t.Name, k.unfit)
	}
	return k, err
}

// guard keeps values from a column that would not refuse them but cut them off, as
// PostgreSQL does with blanks at the end, round them, or take them for others.
type guard struct {
	column  int // its position in the table's columns
	verdict catalog.Verdict
}

// guarded takes out of a batch the changes with a value that its column would alter.
func (b *batch) guarded(changes []schema.Change, guards []guard) []schema.Change {
	if len(guards) == 0 {
		return changes
	}
	rest := make([]schema.Change, 0, len(changes))
	for _, c := range changes {
		r, ok := b.table.guarded(c, guards)
		switch {
		case ok && c.Deleted: // no row has a key that its column does not keep
			b.outcome.Persisted = append(b.outcome.Persisted, c)
		case ok:
			b.outcome.Refused = append(b.outcome.Refused, Refused{Change: c, Refusal: r})
		default:
			rest = append(rest, c)
		}
	}
	return rest
}

func (t *table) guarded(c schema.Change, guards []guard) (schema.Refusal, bool) {
	for _, g := range guards {
		if text, given := t.text(c, g.column); !given || !g.alters(t.Columns[g.column].Field, text) {
			continue
		}
		return fault.Refusal(schema.KindRange, "", g.verdict.Column, "the value does not fit "+t.Name+"."+g.verdict.Column+
			": "+g.verdict.Why), true
	}
	return schema.Refusal{}, false
}

// text is the canonical text that a change gives a column, if any: another program's value in a column that the
// change does not name is left as it is.
func (t *table) text(c schema.Change, column int) (text string, given bool) {
	if column < t.Keys {
		texts, err := []string(nil), error(nil)
		if t.Composite() {
			texts, err = t.Entity.KeyValues(c.ID)
		} else {
			text, err = t.Columns[column].Field.Encode(c.ID)
			texts = []string{text}
		}
		if err != nil {
			return "", false // it is refused where it is sent
		}
		return texts[column], true
	}
	if at := t.Columns[column].At; !c.Deleted && at < len(c.Values) && c.Writes(at) {
		return c.Values[at], true
	}
	return "", false
}

var day = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)

// isDay reports whether a text is the one spelling of a day.
func isDay(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil && day.MatchString(text)
}

// alters reports whether the column would take the value and not keep it.
func (g guard) alters(f *schema.Field, text string) bool {
	if text == schema.Null || text == "" || (g.verdict.Limit > 0 && len(text) <= g.verdict.Limit) {
		return false
	}
	plain, err := mapping.PlainText(f, text)
	switch {
	case err != nil:
		return false // it is refused where it is sent
	case g.verdict.Days:
		return !isDay(plain)
	case g.verdict.Labels != nil:
		return !slices.Contains(g.verdict.Labels, plain)
	case g.verdict.Bytes > 0 && strings.HasSuffix(plain, " ") && len(plain) > g.verdict.Bytes:
		return true
	case g.verdict.Digits > 0:
		return len(strings.Trim(strings.Trim(strings.Replace(strings.TrimPrefix(plain, "-"), ".", "", 1), "0"),
			"-")) > g.verdict.Digits
	}
	return g.verdict.Limit > 0 && utf8.RuneCountInString(plain) > g.verdict.Limit
}
