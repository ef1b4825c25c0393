// Package operate is what operators do about refused records: they look at dead letters,
// send them back, edit or discard them, one or by the thousand, and tune retry policies.
// The commands, the admin API and the dashboard are three faces of it.
//
// Every action names the version that it is about, is audited, and is safe to repeat:
//
//	retry    Retry of the backlog puts the record back to pending, then the letter is marked
//	edit     a write with If-Match on the dead version, then the letter is resolved
//	discard  cache.OpDiscard puts the row's state back as a new version, then the letter
//	         is resolved
//
// A letter whose record Redis has lost is different: only the operator can tell
// whether something newer was written since. See restore.go.
//
// A held record, which has no letter yet, is retried, edited and discarded in the same
// ways; the second step is its note in the audit.
//
// If we crash between the two steps, the record has left the dead and its letter is still
// open: the sweeper of the workers closes it once the record is persisted or rewritten.
package operate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Defaults of bulk work.
const (
	DefaultRate = 2000 // letters a second
	page        = 500  // letters of one step
)

// ErrStale reports a record that is no longer held or dead at the version that an action
// names: a newer write, a worker or another operator was faster.
var ErrStale = errors.New("the record is no longer dead, or held, at that version")

// ErrNotConfigured reports an action on a dead letter whose entity was taken out of the
// configuration. Its record is dead in Redis still, in a partition that is unknown here,
// so that not even a discard can be: a letter that is closed alone would leave the record
// dead for ever, without a letter that an operator could resolve.
var ErrNotConfigured = errors.New("its entity is not in the configuration: put the entity back, then act on its dead letters")

// Letters keeps dead letters, policies and the audit: the store.
type Letters interface {
	Letters(ctx context.Context, f ledger.LetterFilter, before int64, max int) ([]ledger.Letter, error)
	CountLetters(ctx context.Context, f ledger.LetterFilter) (int, error)
	Lettered(ctx context.Context, e *schema.Entity, some []schema.Versioned) ([]bool, error)
	InsertDead(ctx context.Context, letters []ledger.Letter) error
	LetterGroups(ctx context.Context, f ledger.LetterFilter, max int) ([]ledger.LetterGroup, error)
	Letter(ctx context.Context, number int64) (ledger.Letter, error)
	Retried(ctx context.Context, numbers []int64, by ledger.Actor) (int, error)
	Resolve(ctx context.Context, numbers []int64, as ledger.Resolution, by ledger.Actor) (int, error)
	Audit(ctx context.Context, entry ledger.AuditEntry) error
	Note(ctx context.Context, entries ...ledger.AuditEntry) error
	AuditLog(ctx context.Context, q ledger.AuditQuery) ([]ledger.AuditEntry, error)
	Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error)
	CurrentPolicies(ctx context.Context) (map[string]ledger.Policy, error)
	PolicyHistory(ctx context.Context, entity string, max int) ([]ledger.Policy, error)
	SetPolicy(ctx context.Context, entity string, expected int64, p schema.RetryPolicy, by ledger.Actor,
		note string) (ledger.Policy, error)
}

// Records is the state in Redis: the cache.
type Records interface {
	Write(ctx context.Context, groups ...*cache.Group)
	Retry(ctx context.Context, e *schema.Entity, partition int, records []schema.Versioned) ([]bool, schema.Order,
		error)
	Get(ctx context.Context, e *schema.Entity, id string) (cache.Read, error)
	Fates(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) ([]pending.Told, error)
	Forget(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) error
	Hint(ctx context.Context, what string) error
	Status(ctx context.Context, e *schema.Entity, id string) (cache.State, error)
	Peek(ctx context.Context, e *schema.Entity, partition int, ids []string) ([]schema.Cached, error)
	List(ctx context.Context, e *schema.Entity, partition int, status schema.Status, skip, limit int) ([]pending.Listed,
		error)
	Tell(ctx context.Context, e *schema.Entity, partition int, what string, records []schema.Versioned) error
	Stats(ctx context.Context, e *schema.Entity) ([]pending.Stats, error)
	Waiting(ctx context.Context, e *schema.Entity, partition, skip, limit int) ([]pending.Waiting, error)
	HeldFrom(ctx context.Context, places []pending.HeldIn, limit int) (held [][]pending.Waiting, more []bool, err error)
	FlushNow(ctx context.Context, e *schema.Entity) (pending.Now, error)
	Pause(ctx context.Context, e *schema.Entity, partitions ...int) (int, error)
	Resume(ctx context.Context, e *schema.Entity, partitions ...int) (int, error)
}

// Writes accepts the write of an edit: the producer.
type Writes interface {
	Do(ctx context.Context, r producer.Request) (producer.Accepted, error)
}

// Enqueuer enqueues sync tasks: the queue's client.
type Enqueuer interface {
	Enqueue(ctx context.Context, o schema.Order) error
}

// Config says what a [Operator] works with. All but Rate and Log are required.
type Config struct {
	Entities []*schema.Entity
	Letters  Letters
	Records  Records
	Writes   Writes
	Queue    Enqueuer
	Rate     int          // letters a second of bulk work; 0: DefaultRate
	Log      *slog.Logger // nil: slog.Default()
}

// Operator does the work. It is safe for concurrent use.
type Operator struct {
	entities map[string]*schema.Entity
	letters  Letters
	records  Records
	writes   Writes
	queue    Enqueuer
	rate     int
	log      *slog.Logger
}

// New returns a operator.
func New(cfg Config) (*Operator, error) {
	if cfg.Letters == nil || cfg.Records == nil || cfg.Writes == nil || cfg.Queue == nil {
		return nil, errors.New("operate: Letters, Records, Writes and Queue are required")
	}
	m := &Operator{
		entities: map[string]*schema.Entity{}, letters: cfg.Letters, records: cfg.Records, writes: cfg.Writes,
		queue: cfg.Queue, rate: cmp.Or(cfg.Rate, DefaultRate), log: cmp.Or(cfg.Log, slog.Default()),
	}
	for _, e := range cfg.Entities {
		m.entities[e.Name] = e
	}
	return m, nil
}

func (m *Operator) entity(name string) (*schema.Entity, error) {
	if e := m.entities[name]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("%w: %q", schema.ErrUnknownEntity, name)
}

// Known returns nil for the name of an entity that is configured, and for one that was
// once, of which letters or entries of the audit are left: they stay in sight. Else the
// error is [schema.ErrUnknownEntity].
func (m *Operator) Known(ctx context.Context, name string) error {
	_, unknown := m.entity(name)
	if unknown == nil {
		return nil
	}
	letters, err := m.letters.Letters(ctx, ledger.LetterFilter{Entity: name}, 0, 1)
	if err != nil || len(letters) > 0 {
		return err
	}
	entries, err := m.letters.AuditLog(ctx, ledger.AuditQuery{Entity: name, Limit: 1})
	if err != nil || len(entries) > 0 {
		return err
	}
	return unknown
}

// enqueue orders a flush. Where that fails the sweeper does, so nothing is lost.
func (m *Operator) enqueue(ctx context.Context, o schema.Order) {
	if o.None() {
		return
	}
	if err := m.queue.Enqueue(ctx, o); err != nil {
		m.log.WarnContext(ctx, "sync task not enqueued; the sweeper will enqueue it",
			"entity", o.Entity.Name, "partition", o.Partition, "error", err)
	}
}

// List returns dead letters, the newest first, after the one numbered before (0: from
// the start), at most max of them.
func (m *Operator) List(ctx context.Context, f ledger.LetterFilter, before int64, max int) ([]ledger.Letter, error) {
	return m.letters.Letters(ctx, f, before, max)
}

// Count counts the letters that a filter selects.
func (m *Operator) Count(ctx context.Context, f ledger.LetterFilter) (int, error) {
	return m.letters.CountLetters(ctx, f)
}

// Groups counts the letters that a filter selects by entity and error, the most first.
func (m *Operator) Groups(ctx context.Context, f ledger.LetterFilter, max int) ([]ledger.LetterGroup, error) {
	return m.letters.LetterGroups(ctx, f, max)
}

// Audit returns what was done, the newest first.
func (m *Operator) Audit(ctx context.Context, q ledger.AuditQuery) ([]ledger.AuditEntry, error) {
	return m.letters.AuditLog(ctx, q)
}

// View is a dead letter beside what is there now.
type View struct {
	ledger.Letter
	Configured bool        // its entity is; else all below is zero: see ErrNotConfigured
	Unknown    bool        // Redis did not respond: Lost and State are zero
	Lost       bool        // Redis has lost the record: see ErrLost
	State      cache.State // of the record in Redis
	Row        schema.Row  // of the record in the database
}

// Stale reports whether the letter's record is known to be no longer dead at the letter's version.
func (v View) Stale() bool {
	return !v.Unknown && (v.State.Record.Status != schema.Dead || v.State.Record.Version != v.Version)
}

// Show returns one letter with the history of its attempts, and the record as it is now
// where its entity is configured, as far as Redis responds.
func (m *Operator) Show(ctx context.Context, number int64) (View, error) {
	letter, err := m.letters.Letter(ctx, number)
	if err != nil {
		return View{}, err
	}
	v := View{Letter: letter}
	e := m.entities[letter.Entity]
	if e == nil {
		return v, nil
	}
	v.Configured = true
	switch v.State, v.Lost, err = m.fateOf(ctx, e, letter); {
	case errors.Is(err, schema.ErrUnavailable):
		v.Unknown = true
	case err != nil:
		return v, err
	}
	rows, err := m.letters.Load(ctx, e, []string{letter.ID})
	if err != nil {
		return v, err
	}
	values, ok := rows[letter.ID]
	v.Row = schema.Row{ID: letter.ID, Exists: ok, Values: values}
	return v, nil
}

// fateOf returns a letter's record as it is in Redis, and whether Redis has lost it.
func (m *Operator) fateOf(ctx context.Context, e *schema.Entity, l ledger.Letter) (cache.State, bool, error) {
	state, err := m.records.Status(ctx, e, l.ID)
	if err != nil {
		return cache.State{}, false, err
	}
	lost, err := m.lost(ctx, share{e, e.Partition(l.ID)}, []ledger.Letter{l})
	if err != nil {
		return cache.State{}, false, err
	}
	return state, lost[0], nil
}

// ErrNotAudited reports an action that is done, in Redis, and is missing in the audit, because the database did not
// take the entry. Operators pause flushing, or stop a job, just while the database is in trouble: so the action stands,
// and the log has what the audit lacks.
var ErrNotAudited = errors.New("done, but it is not in the audit; the log has the entry")

// Done reports whether an action that returned this error is done.
func Done(err error) bool { return err == nil || errors.Is(err, ErrNotAudited) }

// noteLimit bounds how long an action that is done waits for a database that does not respond.
const noteLimit = 5 * time.Second

// Note adds to the audit what was done in Redis alone. The error is ErrNotAudited.
func (m *Operator) Note(ctx context.Context, entries ...ledger.AuditEntry) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteLimit)
	defer cancel()
	err := m.letters.Note(limited, entries...)
	if err == nil {
		return nil
	}
	for _, e := range entries {
		m.log.ErrorContext(ctx, "done by an operator, but not in the audit", "action", e.Action, "entity", e.Entity,
			"id", e.ID, "version", e.Version, "user", e.Actor.Name, "origin", e.Actor.Origin, "detail", e.Detail,
			"error", err)
	}
	return fmt.Errorf("%w: %w", ErrNotAudited, err)
}

// Reveal notes in the audit that an operator has seen a letter's redacted fields.
func (m *Operator) Reveal(ctx context.Context, l ledger.Letter, by ledger.Actor) error {
	return m.letters.Audit(ctx, ledger.AuditEntry{Actor: by, Action: "dead.reveal", Entity: l.Entity, ID: l.ID,
		Version: l.Version})
}

// Edit writes a dead record again, with some fields changed, and resolves its letter, which
// keeps the old payload. The changes are validated like a patch. ErrStale where a newer
// write or another operator was faster: the newer state stands.
func (m *Operator) Edit(ctx context.Context, number int64, changes schema.Fields, by ledger.Actor) (producer.Accepted,
	error) {
	letter, err := m.letters.Letter(ctx, number)
	if err != nil {
		return producer.Accepted{}, err
	}
	if letter.Resolution != ledger.Unresolved {
		return producer.Accepted{}, fmt.Errorf("%w: the dead letter is resolved, as %s", ErrStale, letter.Resolution)
	}
	e := m.entities[letter.Entity]
	if e == nil {
		return producer.Accepted{}, ErrNotConfigured
	}
	if letter.Deleted {
		return producer.Accepted{},
			schema.Invalid("fields", "cannot be edited: the dead letter is a deletion; retry or discard it")
	}
	changes = unquotedInts(e, changes)
	accepted, err := m.writes.Do(ctx, producer.Request{
		Op: cache.OpPatch, Entity: letter.Entity, ID: letter.ID, Fields: changes, IfMatch: letter.Version,
		ThoughFull: true,
	})
	if isStale(err) {
		return m.editLost(ctx, e, letter, changes, by, err)
	}
	if err != nil {
		return producer.Accepted{}, err
	}
	// If we crash here the letter is open and its record rewritten: it is closed as
	// superseded, which is what it was.
	at := share{accepted.Entity, accepted.Entity.Partition(letter.ID)}
	return accepted, m.close(ctx, at, []ledger.Letter{letter}, ledger.Edited, by)
}

// editLost edits a letter whose record is not dead at its version: where Redis has lost
// it, the edit is of the letter's payload.
func (m *Operator) editLost(ctx context.Context, e *schema.Entity, l ledger.Letter, changes schema.Fields,
	by ledger.Actor, stale error) (producer.Accepted, error) {
	lost, err := m.lost(ctx, share{e, e.Partition(l.ID)}, []ledger.Letter{l})
	if err != nil {
		return producer.Accepted{}, err
	}
	if !lost[0] {
		return producer.Accepted{}, fmt.Errorf("%w: %w", ErrStale, stale)
	}
	return m.restore(ctx, e, l, changes, by)
}

// close resolves letters whose write is accepted.
func (m *Operator) close(ctx context.Context, at share, letters []ledger.Letter, as ledger.Resolution,
	by ledger.Actor) error {
	if _, err := m.letters.Resolve(ctx, numbersOf(letters), as, by); err != nil {
		return fmt.Errorf("the write is accepted, its letter not closed yet: %w", err)
	}
	m.forget(ctx, at, letters)
	m.tell(ctx, at, letters)
	return nil
}

// forget drops what Redis remembers of resolved letters; what stays there takes a little
// room and does no harm.
func (m *Operator) forget(ctx context.Context, at share, letters []ledger.Letter) {
	if err := m.records.Forget(ctx, at.entity, at.partition, versioned(letters)); err != nil {
		m.log.WarnContext(ctx, "resolved letters not forgotten", "entity", at.entity.Name, "partition", at.partition,
			"error", err)
	}
}

// tell sends the event that letters are resolved, or retried. It is a hint like every
// event, so a failure is only logged.
func (m *Operator) tell(ctx context.Context, at share, letters []ledger.Letter) {
	if err := m.records.Tell(ctx, at.entity, at.partition, "resolved", versioned(letters)); err != nil {
		m.log.WarnContext(ctx, "event not sent", "entity", at.entity.Name, "partition", at.partition, "error", err)
	}
}

// finish bounds what a step may take once its first half is done, so that an impatient
// caller does not split it.
func finish(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}

func isStale(err error) bool {
	return errors.Is(err, schema.ErrVersionMismatch) || errors.Is(err, schema.ErrNotFound)
}

// unquotedInts returns changes with a number for each string of digits in an int field: a program whose numbers have 53
// bits sends the strings that it was sent.
func unquotedInts(e *schema.Entity, changes schema.Fields) schema.Fields {
	fields := maps.Clone(changes)
	for name, value := range changes {
		i, ok := e.Field(name)
		raw, _ := value.(json.RawMessage)
		if !ok || e.Fields[i].Type != schema.Int || len(raw) < len(`"0"`) || raw[0] != '"' {
			continue
		}
		digits := raw[1 : len(raw)-1]
		if _, err := strconv.ParseInt(string(digits), 10, 64); err == nil && digits[0] != '+' {
			fields[name] = digits
		}
	}
	return fields
}
