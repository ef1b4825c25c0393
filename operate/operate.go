// Package operate is what operators do, from Go: dead letters and held records are listed,
// retried, edited and discarded, retry policies changed while the workers run, flushing is
// paused and resumed, Redis compared with the database, and the whole deployment examined. The
// dashboard, the admin API and the commands do the same.
//
//	op := aw.Operate(operate.Actor{Name: "nightly-repair"})
//	letters, err := op.DeadLetters(ctx, operate.Filter{Entity: "user", Kind: schema.KindForeignKey}, 0, 100)
//	report, err := op.Retry(ctx, operate.Selection{Filter: operate.Filter{Entity: "user"}})
//
// Every action is written to the audit under the operator's name. It names the version that it
// is about and leaves a record alone that was written since, so that it is safe to repeat.
// Payloads hold fields in clear that the dashboard redacts.
package operate

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/internal/fsck"
	"github.com/afterwrite/afterwrite/internal/health"
	inner "github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Errors of an action that comes too late, or is not precise enough.
var (
	ErrNotAudited    = inner.ErrNotAudited     // it is done, but the database did not take the audit's entry
	ErrStale         = inner.ErrStale          // the record is no longer dead, or held, at that version
	ErrTooManyHeld   = inner.ErrTooManyHeld    // more held records match than one action takes
	ErrPolicyChanged = ledger.ErrPolicyChanged // the policy is at another version than expected
	ErrNoLetter      = ledger.ErrNoLetter      // no dead letter has that number
)

type (
	// Actor is the person or program that acts, as the audit names it.
	Actor = ledger.Actor
	// Filter selects dead letters, and held records, by entity, id, kind, constraint, text and time.
	Filter = ledger.LetterFilter
	// DeadLetter is a refused version of a record whose retries were used up.
	DeadLetter = ledger.Letter
	// Group is the dead letters of an entity with one error.
	Group = ledger.LetterGroup
	// Policy is a version of an entity's retry policy; version 0 is the model's own.
	Policy = ledger.Policy
	// AuditEntry is one action of an operator.
	AuditEntry = ledger.AuditEntry
	// AuditQuery selects entries of the audit.
	AuditQuery = ledger.AuditQuery
	// Comparison is what [Operator.Fsck] found; its OK reports that nothing differs.
	Comparison = fsck.Report
	// Finding is a line of [Operator.Doctor]: what was checked, the verdict, and what to do about it.
	Finding = health.Line
	// Verdict is how much a finding matters: [Fine], [Warning] or [Failure].
	Verdict = health.Level
)

// The verdicts. A failure means that accepted writes do not reach the database, are at risk or
// were lost, or that requests are rejected; a warning may become one.
const (
	Fine    = health.Fine
	Warning = health.Warning
	Failure = health.Failure
)

// Selection says which dead letters, or held records, an action is about: those of the
// numbers, or without numbers all that await an operator and match the filter.
type Selection struct {
	Numbers []int64 // of dead letters
	Filter  Filter
	Expect  int  // reject the action where another number is selected; 0: any
	Rate    int  // records per second at most; 0: 2000
	Restore bool // Retry: restore letters whose record Redis has lost
}

func (s Selection) selection() inner.Selection {
	return inner.Selection{Numbers: s.Numbers, Filter: s.Filter, Expect: s.Expect, Rate: s.Rate, Restore: s.Restore}
}

// Report counts what an action did.
type Report struct {
	Selected int
	Done     int
	Stale    int      // no longer dead, or held, at that version: left alone
	Failed   int      // refused, or the outcome is unknown
	Errors   []string // the first few
}

func reported(r inner.Report, err error) (Report, error) {
	return Report{r.Selected, r.Done, r.Stale, r.Failed, r.Errors}, err
}

// Held is a record that the database refused and that awaits its next attempt.
type Held struct {
	Entity   string
	ID       string
	Version  schema.Version
	Refusal  schema.Refusal // of the last attempt
	Attempts int
	At, Next time.Time // of the last attempt and the next
}

// Source is what an Operator works on. Package afterwrite has one.
type Source interface {
	Operator() *inner.Operator
	Entity(name string) (*schema.Entity, error)
	Fsck(ctx context.Context, entities []string) (fsck.Report, error)
	Doctor(ctx context.Context) ([]Finding, error)
}

// Operator acts under one name. It is safe for concurrent use.
type Operator struct {
	on   *inner.Operator
	from Source
	by   Actor
}

// Of returns an operator. Programs get theirs from Operate of package afterwrite.
func Of(s Source, by Actor) *Operator { return &Operator{s.Operator(), s, by} }

// DeadLetters lists dead letters without their history, the newest first: at most max of
// those with a smaller number than before; 0 is the first page.
func (o *Operator) DeadLetters(ctx context.Context, f Filter, before int64, max int) ([]DeadLetter, error) {
	return o.on.List(ctx, f, before, max)
}

// CountDeadLetters counts the dead letters of a filter.
func (o *Operator) CountDeadLetters(ctx context.Context, f Filter) (int, error) {
	return o.on.Count(ctx, f)
}

// DeadLetterGroups groups dead letters by entity and error, the largest groups first.
func (o *Operator) DeadLetterGroups(ctx context.Context, f Filter, max int) ([]Group, error) {
	return o.on.Groups(ctx, f, max)
}

// DeadLetter returns one dead letter with the history of its attempts, or [ErrNoLetter].
func (o *Operator) DeadLetter(ctx context.Context, number int64) (DeadLetter, error) {
	v, err := o.on.Show(ctx, number)
	return v.Letter, err
}

// Retry sends dead letters back to the database, their attempts from 0. Ended by its context,
// it is resumed by a repeat.
func (o *Operator) Retry(ctx context.Context, s Selection) (Report, error) {
	return reported(o.on.Retry(ctx, s.selection(), o.by))
}

// Discard gives dead letters up: the records become what their rows are.
func (o *Operator) Discard(ctx context.Context, s Selection) (Report, error) {
	return reported(o.on.Discard(ctx, s.selection(), o.by))
}

// Edit writes a dead letter's record with some fields changed, by their names in the entity,
// and resolves the letter. BeforeAccept does not see it.
func (o *Operator) Edit(ctx context.Context, number int64, fields schema.Fields) (schema.Version, error) {
	a, err := o.on.Edit(ctx, number, fields, o.by)
	return a.Version, err
}

// Held lists the held records of a filter, or [ErrTooManyHeld].
func (o *Operator) Held(ctx context.Context, f Filter) ([]Held, error) {
	records, err := o.on.ListHeld(ctx, f)
	held := make([]Held, len(records))
	for i, r := range records {
		held[i] = Held{r.Entity.Name, r.ID, r.Version, r.Refusal, r.Attempts, r.At, r.Next}
	}
	return held, err
}

// RetryHeld has held records tried immediately; their attempts go on.
func (o *Operator) RetryHeld(ctx context.Context, s Selection) (Report, error) {
	return reported(o.on.RetryHeld(ctx, s.selection(), o.by))
}

// DiscardHeld gives held records up: they become what their rows are.
func (o *Operator) DiscardHeld(ctx context.Context, s Selection) (Report, error) {
	return reported(o.on.DiscardHeld(ctx, s.selection(), o.by))
}

// EditHeld writes a held record with some fields changed, if it is held at that version still.
func (o *Operator) EditHeld(ctx context.Context, h Held, fields schema.Fields) (schema.Version, error) {
	e, err := o.from.Entity(h.Entity)
	if err != nil {
		return 0, err
	}
	a, err := o.on.EditOne(ctx, inner.Held{Entity: e, ID: h.ID, Version: h.Version}, fields, o.by)
	return a.Version, err
}

// Policy returns the active retry policy of an entity.
func (o *Operator) Policy(ctx context.Context, entity string) (Policy, error) {
	return o.on.Policy(ctx, entity)
}

// PolicyHistory lists the versions of an entity's policy, the newest first.
func (o *Operator) PolicyHistory(ctx context.Context, entity string, max int) ([]Policy, error) {
	return o.on.PolicyHistory(ctx, entity, max)
}

// SetPolicy makes a policy the active one, as a new version; [ErrPolicyChanged] unless the
// active version is the expected one, or that is negative. Workers follow within two seconds,
// for records that wait already, too.
func (o *Operator) SetPolicy(ctx context.Context, entity string, p schema.RetryPolicy, expected int64,
	note string) (Policy, error) {
	return o.on.ReplacePolicy(ctx, entity, p, expected, o.by, note)
}

// RollBackPolicy makes an earlier version of the policy the active one, as a new version.
func (o *Operator) RollBackPolicy(ctx context.Context, entity string, to, expected int64) (Policy, error) {
	return o.on.Rollback(ctx, entity, to, expected, o.by)
}

// Pause stops the flushing of an entity's partitions, of all where none is named, and returns
// how many were flushing. Writes go on being accepted.
func (o *Operator) Pause(ctx context.Context, entity string, partitions ...int) (int, error) {
	return o.on.Pause(ctx, entity, partitions, o.by)
}

// Resume starts the flushing again and returns how many partitions were paused.
func (o *Operator) Resume(ctx context.Context, entity string, partitions ...int) (int, error) {
	return o.on.Resume(ctx, entity, partitions, o.by)
}

// FlushNow makes all records of an entity due, held ones too, and returns how many wait.
func (o *Operator) FlushNow(ctx context.Context, entity string) (pending, held int64, err error) {
	now, err := o.on.FlushNow(ctx, entity, o.by)
	return now.Pending, now.Held, err
}

// Audit lists what operators did, the newest first.
func (o *Operator) Audit(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	return o.on.Audit(ctx, q)
}

// Fsck compares Redis with the database, of all entities where none is named: the sums of
// accepted writes, and each cached record with its row. It may run beside live traffic.
func (o *Operator) Fsck(ctx context.Context, entities ...string) (Comparison, error) {
	return o.from.Fsck(ctx, entities)
}

// Doctor examines Redis, the database and its tables, the clocks, the queue and what the running
// processes report, as `afterwrite doctor` does. What does not respond is a [Failure] among the
// findings, not an error. It takes a minute at most.
func (o *Operator) Doctor(ctx context.Context) ([]Finding, error) { return o.from.Doctor(ctx) }
