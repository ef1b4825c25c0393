package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/time/rate"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Selection says which letters an action is about: those of the numbers, or where there
// are none, all that wait for an operator and match the filter.
type Selection struct {
	Numbers []int64
	Filter  ledger.LetterFilter
	Expect  int  // refuse to begin where another number is selected; 0: any
	Rate    int  // records a second at most; 0: the operator's own
	Restore bool // retry: restore letters whose record Redis has lost, see ErrLost
	// From is how far the action has come already; zero: it begins.
	From   Progress
	OnStep func(Progress) // called after every step; may be nil
}

// Progress is how far an action is.
type Progress struct {
	Report
	// Cursor is the last letter that the action has come to: with a filter it goes on with smaller numbers, and begins
	// below this one, with Numbers it goes on with greater ones. 0: it begins at the newest, or at the first.
	Cursor int64 `json:"cursor,omitempty"`
}

// Report counts what an action did.
type Report struct {
	Selected int `json:"selected"` // when it began
	Done     int `json:"done"`
	Stale    int `json:"stale"`  // no longer dead at that version: left alone
	Failed   int `json:"failed"` // refused or not known, see Errors
	// Errors are the first few of them.
	Errors []string `json:"errors,omitempty"`
}

// reported bounds the errors of a report.
const reported = 10

func (r *Report) fail(what string, err error) {
	r.Failed++
	if len(r.Errors) < reported {
		r.Errors = append(r.Errors, what+": "+err.Error())
	}
}

func letterName(number int64) string { return "dead letter " + strconv.FormatInt(number, 10) }

// Selected counts what a selection would act on. Where it is to restore letters, those that the database has lost are
// written again first, see [Operator.Recover].
func (m *Operator) Selected(ctx context.Context, s Selection) (int, error) {
	if len(s.Numbers) > 0 {
		return len(s.Numbers), nil
	}
	if s.Restore {
		if _, err := m.Recover(ctx, s.Filter.Entity, Keeper); err != nil {
			return 0, err
		}
	}
	return m.letters.CountLetters(ctx, s.waiting())
}

// waiting are the letters that wait for an operator. What was retried waits no longer,
// unless Redis may have lost it since.
func (s Selection) waiting() ledger.LetterFilter {
	f := s.Filter
	f.State, f.Resolution = ledger.StateWaiting, ""
	if s.Restore {
		f.State = ledger.StateOpen
	}
	return f
}

// Retry sends letters' records back to the database, attempts from scratch, at a bounded rate. It
// can be stopped by its context and resumed by a repeat: what it has retried waits no
// longer.
func (m *Operator) Retry(ctx context.Context, s Selection, by ledger.Actor) (Report, error) {
	move := func(ctx context.Context, at share, some []ledger.Letter, r *Report) ([]ledger.Letter, error) {
		moved, left, err := m.sendBack(ctx, at, some)
		if err != nil {
			return nil, err
		}
		return moved, m.leftBehind(ctx, at, left, r, func(l ledger.Letter) error {
			if !s.Restore {
				return ErrLost
			}
			_, err := m.restore(ctx, at.entity, l, nil, by)
			return err
		})
	}
	return m.bulk(ctx, s, action{move, func(ctx context.Context, _ share, letters []ledger.Letter) error {
		_, err := m.letters.Retried(ctx, numbersOf(letters), by)
		return err
	}})
}

// Discard gives letters' records up: the state of each one's row in the database is
// accepted as its newest, a deletion where there is none. It can be stopped and resumed
// like [Operator.Retry].
func (m *Operator) Discard(ctx context.Context, s Selection, by ledger.Actor) (Report, error) {
	move := func(ctx context.Context, at share, some []ledger.Letter, r *Report) ([]ledger.Letter, error) {
		moved, left, err := m.giveUp(ctx, at, some, r)
		if err != nil {
			return nil, err
		}
		return moved, m.leftBehind(ctx, at, left, r, func(l ledger.Letter) error {
			// Of what Redis has lost the row is all there is: its state stands already.
			return m.close(ctx, at, []ledger.Letter{l}, ledger.Discarded, by)
		})
	}
	return m.bulk(ctx, s, action{move, func(ctx context.Context, at share, letters []ledger.Letter) error {
		_, err := m.letters.Resolve(ctx, numbersOf(letters), ledger.Discarded, by)
		if err == nil {
			m.forget(ctx, at, letters)
		}
		return err
	}})
}

// action is what is done with letters, in its two steps.
type action struct {
	// move changes records of one partition in Redis and returns the letters of those
	// that it changed.
	move func(ctx context.Context, at share, some []ledger.Letter, r *Report) ([]ledger.Letter, error)
	// note marks those letters.
	note func(ctx context.Context, at share, letters []ledger.Letter) error
}

func (m *Operator) sendBack(ctx context.Context, at share, some []ledger.Letter) (moved, left []ledger.Letter,
	err error) {
	back, order, err := m.records.Retry(ctx, at.entity, at.partition, versioned(some))
	if err != nil {
		return nil, nil, err
	}
	m.enqueue(ctx, order)
	for i, l := range some {
		if back[i] {
			moved = append(moved, l)
		} else {
			left = append(left, l)
		}
	}
	return moved, left, nil
}

func (m *Operator) giveUp(ctx context.Context, at share, some []ledger.Letter, r *Report) (moved, left []ledger.Letter,
	err error) {
	outcomes, err := m.discard(ctx, at, versioned(some))
	if err != nil {
		return nil, nil, err
	}
	for i, l := range some {
		switch failed := outcomes[i]; {
		case failed == nil:
			moved = append(moved, l)
		case errors.Is(failed, ErrStale):
			left = append(left, l)
		default:
			r.fail(letterName(l.Number), failed)
		}
	}
	return moved, left, nil
}

// discard has the state of each record's row accepted as its newest, a deletion where
// there is none. It returns what became of each: nil, ErrStale, or what failed.
func (m *Operator) discard(ctx context.Context, at share, some []schema.Versioned) ([]error, error) {
	ids := make([]string, len(some))
	for i, one := range some {
		ids[i] = one.ID
	}
	rows, err := m.letters.Load(ctx, at.entity, ids)
	if err != nil {
		return nil, err
	}
	g := &cache.Group{Entity: at.entity, Partition: at.partition}
	for _, one := range some {
		g.Writes = append(g.Writes, cache.Write{Op: cache.OpDiscard, ID: one.ID, IfMatch: one.Version,
			Values: rows[one.ID]})
	}
	m.records.Write(ctx, g)
	m.enqueue(ctx, g.Order)
	outcomes := make([]error, len(some))
	for i, written := range g.Results {
		switch {
		case written.Err == nil && written.Version > 0:
		case written.Token != "" || isStale(written.Err):
			outcomes[i] = ErrStale
		default:
			outcomes[i] = written.Err
		}
	}
	return outcomes, nil
}

func versioned(letters []ledger.Letter) []schema.Versioned {
	records := make([]schema.Versioned, len(letters))
	for i, l := range letters {
		records[i] = schema.Versioned{ID: l.ID, Version: l.Version}
	}
	return records
}

// bulk walks a selection in steps at a bounded rate.
func (m *Operator) bulk(ctx context.Context, s Selection, do action) (Report, error) {
	s.Numbers = slices.Compact(slices.Sorted(slices.Values(s.Numbers)))
	at := s.From
	if at.Selected == 0 {
		selected, err := m.Selected(ctx, s)
		at.Selected = selected
		if err != nil {
			return at.Report, err
		}
		if s.Expect > 0 && s.Expect != selected {
			return at.Report,
				schema.Invalid("expect", "is %d, but %d dead letters match now; look again", s.Expect, selected)
		}
	}
	pace, size := m.pace(s)
	for some, err := range m.pages(ctx, s, size, &at) {
		if err != nil {
			return at.Report, err
		}
		if err := pace.WaitN(ctx, len(some)); err != nil {
			return at.Report, err
		}
		if err := m.step(ctx, some, do, &at.Report); err != nil {
			return at.Report, err
		}
		if len(some) > 0 {
			at.Cursor = some[len(some)-1].Number
		}
		if s.OnStep != nil {
			s.OnStep(at)
		}
	}
	return at.Report, nil
}

// pace is the rate of an action, and the size of its steps.
func (m *Operator) pace(s Selection) (*rate.Limiter, int) {
	perSecond := cmp.Or(s.Rate, m.rate)
	size := min(page, max(1, perSecond/4)) // a slow rate is kept within a second, too
	return rate.NewLimiter(rate.Limit(perSecond), size), size
}

// pages yields the letters of a selection, so many at a time.
func (m *Operator) pages(ctx context.Context, s Selection, size int, at *Progress) iter.Seq2[[]ledger.Letter, error] {
	if len(s.Numbers) > 0 {
		left := s.Numbers
		for len(left) > 0 && left[0] <= at.Cursor {
			left = left[1:]
		}
		return m.numbered(ctx, left, size, &at.Report)
	}
	return func(yield func([]ledger.Letter, error) bool) {
		for before := at.Cursor; ; {
			some, err := m.letters.Letters(ctx, s.waiting(), before, size)
			if len(some) == 0 && err == nil {
				return
			}
			if !yield(some, err) || err != nil {
				return
			}
			before = some[len(some)-1].Number
		}
	}
}

// numbered yields letters by their numbers. A number that is not there counts as failed.
func (m *Operator) numbered(ctx context.Context, numbers []int64, size int, r *Report) iter.Seq2[[]ledger.Letter,
	error] {
	return func(yield func([]ledger.Letter, error) bool) {
		for few := range slices.Chunk(numbers, size) {
			some := make([]ledger.Letter, 0, len(few))
			for _, n := range few {
				l, err := m.letters.Letter(ctx, n)
				switch {
				case errors.Is(err, ledger.ErrNoLetter):
					r.fail(letterName(n), err)
				case err != nil:
					yield(nil, fmt.Errorf("dead letter %d: %w", n, err))
					return
				default:
					some = append(some, l)
				}
			}
			if !yield(some, nil) {
				return
			}
		}
	}
}

// step deals a page out by partition. Once begun it is finished, whatever the context.
func (m *Operator) step(ctx context.Context, some []ledger.Letter, do action, r *Report) error {
	ctx, cancel := finish(ctx)
	defer cancel()
	shares := map[share][]ledger.Letter{}
	for _, l := range some {
		e := m.entities[l.Entity]
		switch {
		case l.Resolution != ledger.Unresolved:
			r.Stale++
		case e == nil:
			r.fail(fmt.Sprintf("%s of %s", letterName(l.Number), l.Entity), ErrNotConfigured)
		default:
			at := share{e, e.Partition(l.ID)}
			shares[at] = append(shares[at], l)
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(shares), share.compare) {
		if err := m.both(ctx, at, shares[at], do, r); err != nil {
			return fmt.Errorf("%s/%d: %w", at.entity.Name, at.partition, err)
		}
	}
	return nil
}

// both does the two steps of an action. If we crash between them, the record has left the
// dead and its letter is open: a repeat finds it stale, and the workers' sweeper closes it.
func (m *Operator) both(ctx context.Context, at share, some []ledger.Letter, do action, r *Report) error {
	moved, failed := do.move(ctx, at, some, r)
	r.Done += len(moved)
	if len(moved) == 0 {
		return failed
	}
	if err := do.note(ctx, at, moved); err != nil {
		return errors.Join(failed, err)
	}
	m.tell(ctx, at, moved)
	return failed
}

func numbersOf(letters []ledger.Letter) []int64 {
	numbers := make([]int64, len(letters))
	for i, l := range letters {
		numbers[i] = l.Number
	}
	return numbers
}

// share is the letters of a step that one script takes.
type share struct {
	entity    *schema.Entity
	partition int
}

func (a share) compare(b share) int {
	return cmp.Or(cmp.Compare(a.entity.Name, b.entity.Name), cmp.Compare(a.partition, b.partition))
}
