package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// LetterState selects dead letters by state.
type LetterState string

// The states of dead letters.
const (
	AnyState      LetterState = ""
	StateOpen     LetterState = "open"     // not resolved, including retried ones
	StateWaiting  LetterState = "waiting"  // open, and awaiting an operator
	StateRetrying LetterState = "retrying" // open, and retried
	StateResolved LetterState = "resolved"
)

// LetterFilter selects dead letters; zero fields do not restrict.
type LetterFilter struct {
	Entity     string
	ID         string
	Kind       schema.Kind
	Constraint string
	Text       string    // part of the error's message; the case of ASCII letters is ignored
	Since      time.Time // died then or later
	Until      time.Time // died before
	State      LetterState
	Resolution Resolution
}

// check rejects values that no letter can have and that PostgreSQL reports as its own error.
func (f LetterFilter) check() error {
	for _, part := range [][2]string{
		{"entity", f.Entity}, {"id", f.ID}, {"kind", string(f.Kind)}, {"constraint", f.Constraint}, {"text", f.Text},
	} {
		if err := plain(part[0], part[1]); err != nil {
			return err
		}
	}
	return nil
}

// plain returns an [schema.InvalidError] for a text that no database accepts.
func plain(name, text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return schema.Invalid(name, "must be UTF-8 without NUL")
	}
	return nil
}

// Letters returns dead letters, the newest first, without their histories. For the next page pass the last number as
// before; 0 is the first page. The error is [fault.Unavailable], or an [schema.InvalidError] that names the invalid
// part of the filter.
func (l *Ledger) Letters(ctx context.Context, f LetterFilter, before int64, max int) ([]Letter, error) {
	defer l.db.Metrics.Time("letters")()
	if err := f.check(); err != nil {
		return nil, err
	}
	query, err := l.newest(ctx, f, before, kit.Rows(max))
	if err != nil {
		return nil, l.db.Unavailable("list dead letters", err)
	}
	var rows []letterSeen
	if err := query.Select(letterColumns).Find(&rows).Error; err != nil {
		return nil, l.db.Unavailable("list dead letters", err)
	}
	letters := make([]Letter, len(rows))
	for i, r := range rows {
		letters[i] = r.letter()
	}
	return letters, nil
}

// maxSought is the maximum number of errors whose letters are searched error by error.
const maxSought = 64

// newest selects one page. If the filter is about errors, no single plan is always good: a scan of the letters reads a
// million to find none, and a search by errors reads and sorts all that match. So if few errors match, the page is
// merged from the newest letters of each, for which there is an index in that order.
func (l *Ledger) newest(ctx context.Context, f LetterFilter, before int64, rows int) (*gorm.DB, error) {
	page := func(query *gorm.DB) *gorm.DB {
		if before > 0 {
			query = query.Where("l.number < ?", before)
		}
		return query.Order("l.number DESC").Limit(rows)
	}
	if f.Kind == "" && f.Constraint == "" && f.Text == "" {
		return page(l.letters(ctx, f)), nil
	}
	var matching []int64
	err := l.ofErrors(l.db.Read(ctx).Table("afterwrite_errors AS e"), f).Select("e.number").Limit(maxSought +
		1).Scan(&matching).Error
	if err != nil || len(matching) > maxSought {
		return page(l.letters(ctx, f)), err
	}
	parts, each := make([]string, len(matching)), make([]any, len(matching))
	for i, number := range matching {
		parts[i] = fmt.Sprintf("SELECT number FROM (?) AS s%d", i)
		letters := l.db.Read(ctx).Table("afterwrite_dead_letters AS l").Where("l.error = ?", number)
		each[i] = page(ofLetters(letters, f)).Select("l.number")
	}
	if len(parts) == 0 {
		parts = []string{"SELECT 0"} // no letter has that number
	}
	return page(joined(l.db.Read(ctx)).Where("l.number IN ("+strings.Join(parts, " UNION ALL ")+")", each...)), nil
}

// CountLetters counts the dead letters of a filter. Its errors are as for [Ledger.Letters].
func (l *Ledger) CountLetters(ctx context.Context, f LetterFilter) (int, error) {
	defer l.db.Metrics.Time("letters")()
	if err := f.check(); err != nil {
		return 0, err
	}
	var n int64
	err := l.letters(ctx, f).Count(&n).Error
	return int(n), l.db.Unavailable("count dead letters", err)
}

// LetterGroup counts the dead letters of one entity with one error.
type LetterGroup struct {
	Entity      string
	Refusal     schema.Refusal
	Count       int
	First, Last time.Time // of death
}

// LetterGroups groups the dead letters of a filter by entity and error, the largest groups first. Its errors are as for
// [Ledger.Letters].
func (l *Ledger) LetterGroups(ctx context.Context, f LetterFilter, max int) ([]LetterGroup, error) {
	defer l.db.Metrics.Time("letters")()
	if err := f.check(); err != nil {
		return nil, err
	}
	var rows []struct {
		Entity      string
		Error       errorRow `gorm:"embedded"`
		Count       int
		First, Last string
	}
	err := l.letters(ctx, f).
		Select(`l.entity, e.kind, e.constraint_name, e.column_name, e.message,
			count(*) AS count, min(l.died_at) AS first, max(l.died_at) AS last`).
		Group("l.entity, e.number, e.kind, e.constraint_name, e.column_name, e.message").
		Order("count DESC, l.entity, e.message").Limit(kit.Rows(max)).Find(&rows).Error
	if err != nil {
		return nil, l.db.Unavailable("group dead letters", err)
	}
	groups := make([]LetterGroup, len(rows))
	for i, r := range rows {
		groups[i] = LetterGroup{Entity: r.Entity, Refusal: r.Error.refusal(), Count: r.Count}
		var first, last error
		groups[i].First, first = kit.ParseTime(r.First)
		groups[i].Last, last = kit.ParseTime(r.Last)
		if err := errors.Join(first, last); err != nil {
			return nil, fmt.Errorf("group dead letters: %w", err)
		}
	}
	return groups, nil
}

// Letter returns a dead letter with its history, or [ErrNoLetter].
func (l *Ledger) Letter(ctx context.Context, number int64) (Letter, error) {
	return l.letter(l.db.Read(ctx).Where("l.number = ?", number))
}

// LetterOf returns the dead letter of one version of a record with its history, or
// [ErrNoLetter].
func (l *Ledger) LetterOf(ctx context.Context, entity, id string, v schema.Version) (Letter, error) {
	return l.letter(l.db.Read(ctx).Where("l.entity = ? AND l.id = ? AND l.version = ?", entity, id, int64(v)))
}

func (l *Ledger) letter(where *gorm.DB) (Letter, error) {
	defer l.db.Metrics.Time("letters")()
	var rows []letterSeen
	if err := joined(where).Select(letterColumns + ", l.history").Limit(1).Find(&rows).Error; err != nil {
		return Letter{}, l.db.Unavailable("read a dead letter", err)
	}
	if len(rows) == 0 {
		return Letter{}, ErrNoLetter
	}
	letter := rows[0].letter()
	if err := json.Unmarshal([]byte(rows[0].History), &letter.History); err != nil {
		return Letter{}, fmt.Errorf("history of dead letter %d: %w", letter.Number, err)
	}
	return letter, nil
}

func joined(db *gorm.DB) *gorm.DB {
	return db.Table("afterwrite_dead_letters AS l").Joins("JOIN afterwrite_errors AS e ON e.number = l.error")
}

func (l *Ledger) letters(ctx context.Context, f LetterFilter) *gorm.DB {
	return l.ofErrors(ofLetters(joined(l.db.Read(ctx)), f), f)
}

// ofLetters applies the parts of the filter that are about the letters, l.
func ofLetters(query *gorm.DB, f LetterFilter) *gorm.DB {
	query = equal(query, "l.entity", f.Entity)
	query = equal(query, "l.id", f.ID)
	query = equal(query, "l.resolution", string(f.Resolution))
	if !f.Since.IsZero() {
		query = query.Where("l.died_at >= ?", kit.Instant(f.Since))
	}
	if !f.Until.IsZero() {
		query = query.Where("l.died_at < ?", kit.Instant(f.Until))
	}
	if condition, ok := stateConditions[f.State]; ok {
		query = query.Where(condition)
	}
	return query
}

// ofErrors applies the parts of the filter that are about their errors, e. There are few errors: they are searched, not
// the letters.
func (l *Ledger) ofErrors(query *gorm.DB, f LetterFilter) *gorm.DB {
	query = equal(query, "e.kind", string(f.Kind))
	query = equal(query, "e.constraint_name", f.Constraint)
	if f.Text != "" {
		message := "message"
		if l.db.Dialect.Name() == "mysql" { // stored as bytes, so that an index distinguishes all texts
			message = "CONVERT(message USING utf8mb4)"
		}
		query = query.Where(`e.number IN (SELECT number FROM afterwrite_errors WHERE lower(`+message+
			`) LIKE ? ESCAPE '\')`, "%"+likeEscape(strings.ToLower(f.Text))+"%")
	}
	return query
}

func equal(query *gorm.DB, column, value string) *gorm.DB {
	if value == "" {
		return query
	}
	return query.Where(column+" = ?", value)
}

var stateConditions = map[LetterState]string{
	StateOpen:     "l.resolution = ''",
	StateWaiting:  "l.resolution = '' AND l.retried_at IS NULL",
	StateRetrying: "l.resolution = '' AND l.retried_at IS NOT NULL",
	StateResolved: "l.resolution <> ''",
}

func likeEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s)
}

const letterColumns = `l.number, l.entity, l.id, l.version, l.operation, l.payload, l.changed, l.attempts, l.accepted_at, l.died_at,
	l.retried_at, l.resolution, l.resolved_at, l.resolver, e.kind, e.constraint_name, e.column_name, e.message`

// letterSeen is a letter as read, with its error.
type letterSeen struct {
	Number         int64
	Entity         string
	ID             string `gorm:"column:id"`
	Version        int64
	Operation      string
	Payload        *string
	Changed        *string
	Attempts       int
	History        string
	AcceptedAt     time.Time
	DiedAt         time.Time
	RetriedAt      *time.Time
	Resolution     string
	ResolvedAt     *time.Time
	Resolver       string
	Kind           string
	ConstraintName string
	ColumnName     string
	Message        string
}

func (r letterSeen) letter() Letter {
	l := Letter{
		Number: r.Number, Entity: r.Entity, ID: r.ID, Version: schema.Version(r.Version),
		Deleted: r.Operation == "delete", Attempts: r.Attempts,
		Refusal:    errorRow{0, r.Kind, r.ConstraintName, r.ColumnName, r.Message}.refusal(),
		AcceptedAt: r.AcceptedAt.UTC(), DiedAt: r.DiedAt.UTC(), RetriedAt: timeOrZero(r.RetriedAt),
		Resolution: Resolution(r.Resolution), ResolvedAt: timeOrZero(r.ResolvedAt), Resolver: r.Resolver,
	}
	if r.Payload != nil {
		l.Payload = *r.Payload
	}
	if r.Changed != nil {
		l.Changed = strings.FieldsFunc(*r.Changed, func(r rune) bool { return r == ',' })
	}
	return l
}

func (r errorRow) refusal() schema.Refusal {
	return schema.Refusal{Kind: schema.Kind(r.Kind), Constraint: r.ConstraintName, Column: r.ColumnName,
		Message: r.Message}
}
