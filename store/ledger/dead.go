package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// ErrNoLetter reports a dead letter that does not exist.
var ErrNoLetter = errors.New("there is no such dead letter")

// Resolution says how a dead letter was resolved. The zero Resolution is an open letter.
type Resolution string

// The resolutions of dead letters.
const (
	Unresolved Resolution = ""
	Persisted  Resolution = "persisted"  // retried, and then persisted
	Superseded Resolution = "superseded" // a newer write replaced it
	Edited     Resolution = "edited"     // an operator replaced it by an edited write
	Discarded  Resolution = "discarded"  // an operator discarded it
)

// Letter is a dead letter: a version of a record that the database refused until its policy was exhausted.
type Letter struct {
	Number  int64 // given by the database, in the order of death
	Entity  string
	ID      string
	Version schema.Version
	Deleted bool   // the refused operation is a deletion
	Payload string // JSON object of the fields; "" for a deletion
	// Changed names the fields that patches and increments changed since the record was last persisted; nil: all of
	// them, as in a put. Letters from before this was kept have nil, too.
	Changed    []string
	Refusal    schema.Refusal
	Attempts   int
	History    []schema.Attempt // the attempts; left out in lists
	AcceptedAt time.Time        // when the record first became pending
	DiedAt     time.Time
	RetriedAt  time.Time // when it was last retried; zero while it awaits an operator
	Resolution Resolution
	ResolvedAt time.Time
	Resolver   string
}

// letterRow is a row of afterwrite_dead_letters as it is inserted.
type letterRow struct {
	Entity     string
	ID         string `gorm:"column:id"`
	Version    int64
	Operation  string
	Payload    *string
	Changed    *string
	Error      int64
	Attempts   int
	History    string
	AcceptedAt time.Time
	DiedAt     time.Time
}

// errorRow is a row of afterwrite_errors.
type errorRow struct {
	Number         int64 `gorm:"->;column:number"`
	Kind           string
	ConstraintName string
	ColumnName     string
	Message        string
}

// unnumbered returns the row without its number, which identifies the error.
func (r errorRow) unnumbered() errorRow { r.Number = 0; return r }

func errorOf(r schema.Refusal) errorRow {
	return errorRow{0, string(r.Kind), r.Constraint, r.Column, r.Message}
}

// Bounds of one statement about dead letters.
const (
	lettersPerStatement = 500
	bytesPerStatement   = 8 << 20 // of payloads, more only for a single letter
)

// portions splits letters into parts of one statement each.
func portions(letters []Letter) iter.Seq[[]Letter] {
	return func(yield func([]Letter) bool) {
		for len(letters) > 0 {
			n, size := 1, len(letters[0].Payload)
			for n < min(len(letters), lettersPerStatement) && size+len(letters[n].Payload) <= bytesPerStatement {
				size += len(letters[n].Payload)
				n++
			}
			if !yield(letters[:n]) {
				return
			}
			letters = letters[n:]
		}
	}
}

// InsertDead stores dead letters, each at most once. If an open letter of the same entity, id and version was retried,
// it gets the new refusal; any other existing letter stays unchanged. Repeating it is harmless. Number, RetriedAt and
// the fields of the resolution are not inserted.
func (l *Ledger) InsertDead(ctx context.Context, letters []Letter) error {
	return l.db.Change(ctx, fmt.Sprintf("insert %d dead letters", len(letters)), func(db *gorm.DB) error {
		for some := range portions(letters) {
			if err := l.insertLetters(db, some); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Ledger) insertLetters(db *gorm.DB, letters []Letter) error {
	numbers, err := errorNumbers(db, letters)
	if err != nil {
		return err
	}
	rows := make([]letterRow, len(letters))
	for i, l := range letters {
		history, err := json.Marshal(l.History)
		if err != nil {
			return err
		}
		rows[i] = letterRow{
			Entity: l.Entity, ID: l.ID, Version: int64(l.Version), Operation: "put", Payload: &l.Payload,
			Error: numbers[errorOf(l.Refusal)], Attempts: l.Attempts, History: string(history),
			AcceptedAt: kit.Instant(l.AcceptedAt), DiedAt: kit.Instant(l.DiedAt),
		}
		if l.Deleted {
			rows[i].Operation, rows[i].Payload = "delete", nil
		} else if l.Changed != nil {
			names := strings.Join(l.Changed, ",")
			rows[i].Changed = &names
		}
	}
	if l.db.Dialect.Name() == "mysql" {
		return db.Table("afterwrite_dead_letters").Clauses(clause.OnConflict{DoUpdates: refused}).Create(&rows).Error
	}
	updates := append(clause.AssignmentColumns([]string{"error", "attempts", "history", "died_at"}),
		clause.Assignments(map[string]any{"retried_at": nil})...)
	return db.Table("afterwrite_dead_letters").Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "entity"}, {Name: "id"}, {Name: "version"}},
		DoUpdates: updates,
		Where: clause.Where{Exprs: []clause.Expression{clause.Expr{
			SQL: "afterwrite_dead_letters.resolution = '' AND afterwrite_dead_letters.retried_at IS NOT NULL",
		}}},
	}).Create(&rows).Error
}

// refused updates an existing letter on MySQL. MySQL has no condition for the whole update, so each column has it; the
// column retried_at comes last, because the condition reads it.
var refused = func() (set clause.Set) {
	const open = "resolution = '' AND retried_at IS NOT NULL"
	for _, name := range []string{"error", "attempts", "history", "died_at"} {
		set = append(set, clause.Assignment{
			Column: clause.Column{Name: name}, Value: gorm.Expr("IF(" + open + ", VALUES(" + name + "), " + name + ")"),
		})
	}
	return append(set, clause.Assignment{
		Column: clause.Column{Name: "retried_at"}, Value: gorm.Expr("IF(" + open + ", NULL, retried_at)"),
	})
}()

// errorNumbers returns the numbers of the letters' errors, and inserts new errors.
func errorNumbers(db *gorm.DB, letters []Letter) (map[errorRow]int64, error) {
	numbers := map[errorRow]int64{}
	for _, l := range letters {
		numbers[errorOf(l.Refusal)] = 0
	}
	// In a fixed order, or two processes could deadlock.
	wanted := slices.SortedFunc(maps.Keys(numbers), func(a, b errorRow) int {
		return slices.Compare([]string{a.Kind, a.ConstraintName, a.ColumnName, a.Message},
			[]string{b.Kind, b.ConstraintName, b.ColumnName, b.Message})
	})
	err := db.Table("afterwrite_errors").Clauses(clause.OnConflict{DoNothing: true}).Create(&wanted).Error
	if err != nil {
		return nil, err
	}
	messages := make([]string, len(wanted))
	for i, w := range wanted {
		messages[i] = w.Message
	}
	var rows []errorRow
	if err := db.Table("afterwrite_errors").Where("message IN ?", messages).Find(&rows).Error; err != nil {
		return nil, err
	}
	for _, r := range rows {
		if _, ok := numbers[r.unnumbered()]; ok {
			numbers[r.unnumbered()] = r.Number
		}
	}
	return numbers, nil
}
