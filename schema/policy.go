package schema

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind says why the database refused a record. The set is closed, because kinds are metric labels and keys of retry
// policies.
type Kind string

// The kinds of refusal.
const (
	KindUnique     Kind = "unique"      // another row owns the value of a unique index
	KindForeignKey Kind = "foreign_key" // the row refers to a row that does not exist, or another row refers to it
	KindNotNull    Kind = "not_null"    // a column that must have a value is null
	KindCheck      Kind = "check"       // a check or exclusion constraint fails
	KindRange      Kind = "range"       // a value is too long or too large for its column
	KindType       Kind = "type"        // a value is not of its column's type
	KindMissing    Kind = "missing"     // another program deleted the row that a patch or an increment would change
	KindTimeout    Kind = "timeout"     // its statement took too long, or another transaction was in its way
	KindPoison     Kind = "poison"      // refused for a reason that fits no other kind
)

// KindUnknownField is why a record is held that no database has refused: it has a write of
// a field that the worker's configuration lacks, and waits for a worker that has it. It
// counts no attempts and has no policy.
const KindUnknownField Kind = "unknown_field"

// KindOlder is why there is a dead letter of a record that no database has refused: Redis went
// back to an older state of itself, in which the record waited, and the row may be newer. It
// counts no attempts and has no policy.
const KindOlder Kind = "older"

// HeldKinds lists why a record may be held or have a dead letter: every kind of refusal,
// KindUnknownField and KindOlder.
var HeldKinds = append(slices.Clone(Kinds), KindUnknownField, KindOlder)

// Kinds lists every kind, in the order of display.
var Kinds = []Kind{
	KindUnique, KindForeignKey, KindNotNull, KindCheck, KindRange, KindType, KindMissing, KindTimeout, KindPoison,
}

// Refusal is the database's own error about one record.
type Refusal struct {
	Kind       Kind
	Constraint string // name of the constraint if the database reports it, else ""
	Column     string // column at fault if it is known, else ""
	Message    string // the database's message, at most MaxRefusalMessage bytes
}

// MaxRefusalMessage bounds the length of a database's message in bytes.
const MaxRefusalMessage = 1024

func (r Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Kind, r.Message) }

// Jitter says how much of a delay is random.
type Jitter string

// The jitters, after "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
const (
	JitterFull  Jitter = "full"  // uniform in (0, delay]
	JitterEqual Jitter = "equal" // half the delay, and uniform in (0, delay/2] on top
	JitterNone  Jitter = "none"  // the delay itself
)

// RetryOverride replaces settings of a [RetryPolicy] for one kind. A nil field keeps the policy's setting.
type RetryOverride struct {
	MaxAttempts *int           `json:"max_attempts,omitempty"`
	Base        *time.Duration `json:"base,omitempty"`
	Factor      *float64       `json:"factor,omitempty"`
	Cap         *time.Duration `json:"cap,omitempty"`
	Jitter      *Jitter        `json:"jitter,omitempty"`
}

// Over returns o with its nil fields taken from under.
func (o RetryOverride) Over(under RetryOverride) RetryOverride {
	return RetryOverride{
		MaxAttempts: cmp.Or(o.MaxAttempts, under.MaxAttempts),
		Base:        cmp.Or(o.Base, under.Base),
		Factor:      cmp.Or(o.Factor, under.Factor),
		Cap:         cmp.Or(o.Cap, under.Cap),
		Jitter:      cmp.Or(o.Jitter, under.Jitter),
	}
}

// RetryPolicy says when a refused record is tried again and when it becomes a dead letter. An unavailable database
// never counts as an attempt.
type RetryPolicy struct {
	MaxAttempts int           // attempts in total, including the first; at least 1
	Base        time.Duration // delay before the second attempt
	Factor      float64       // growth of the delay from attempt to attempt, at least 1
	Cap         time.Duration // largest delay
	Jitter      Jitter
	Timeout     time.Duration // bound on one attempt at the database
	On          map[Kind]RetryOverride
}

// DefaultRetryPolicy is the policy of an entity that configures none.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{
		MaxAttempts: 10, Base: time.Second, Factor: 2, Cap: 10 * time.Minute,
		Jitter: JitterFull, Timeout: 30 * time.Second,
	}
}

// For returns the effective policy of a kind: its override is applied and On is empty.
func (p RetryPolicy) For(k Kind) RetryPolicy {
	o := p.On[k]
	p.On = nil
	if o.MaxAttempts != nil {
		p.MaxAttempts = *o.MaxAttempts
	}
	if o.Base != nil {
		p.Base = *o.Base
	}
	if o.Factor != nil {
		p.Factor = *o.Factor
	}
	if o.Cap != nil {
		p.Cap = *o.Cap
	}
	if o.Jitter != nil {
		p.Jitter = *o.Jitter
	}
	return p
}

// Exhausted reports whether a record refused for this kind becomes a dead letter after that many attempts.
func (p RetryPolicy) Exhausted(k Kind, attempts int) bool {
	return attempts >= p.For(k).MaxAttempts
}

// Range returns the shortest and the longest delay between attempt number attempt (from 1) and the next one.
func (p RetryPolicy) Range(k Kind, attempt int) (low, high time.Duration) {
	q := p.For(k)
	d := float64(q.Base) * math.Pow(q.Factor, float64(attempt-1))
	if !(d < float64(q.Cap)) {
		d = float64(q.Cap)
	}
	high = time.Duration(d)
	switch q.Jitter {
	case JitterNone:
		return high, high
	case JitterEqual:
		return high / 2, high
	default:
		return 0, high
	}
}

// Delay draws a random delay between attempt number attempt (from 1) and the next one.
func (p RetryPolicy) Delay(k Kind, attempt int) time.Duration {
	low, high := p.Range(k, attempt)
	if high <= low {
		return high
	}
	return low + time.Duration(rand.Int64N(int64(high-low))) + 1
}

// Step is one attempt of a policy's schedule.
type Step struct {
	Attempt             int           // from 1
	DelayLow, DelayHigh time.Duration // after the previous attempt; 0 for the first
	Low, High           time.Duration // after the first attempt
}

// Schedule lists the attempts of a record that is refused every time, until it is dead, at most max of them.
// [RetryPolicy.Delay] draws from the delay bounds of each step.
func (p RetryPolicy) Schedule(k Kind, max int) []Step {
	steps := []Step{{Attempt: 1}}
	for n := 1; n < p.For(k).MaxAttempts && n < max; n++ {
		last := steps[n-1]
		low, high := p.Range(k, n)
		steps = append(steps, Step{n + 1, low, high, last.Low + low, last.High + high})
	}
	return steps
}

// Bounds of a retry policy, checked by [RetryPolicy.Check].
const (
	MaxRetryAttempts = 1000
	MaxRetryCap      = 7 * 24 * time.Hour
	MinRetryBase     = time.Millisecond
	MaxRetryFactor   = 100
	MaxRetryTimeout  = 10 * time.Minute
)

// Check reports the first setting that is out of bounds, by its configuration name.
func (p RetryPolicy) Check() error {
	if err := p.check(""); err != nil {
		return err
	}
	if p.Timeout < 10*time.Millisecond || p.Timeout > MaxRetryTimeout {
		return Invalid("timeout", "must be from 10ms to %s", MaxRetryTimeout)
	}
	for k := range p.On {
		if !KnownKind(k) {
			return Invalid("on."+string(k), "is not a kind of refusal; the kinds are %v", Kinds)
		}
	}
	for _, k := range Kinds {
		if _, ok := p.On[k]; !ok {
			continue
		}
		if err := p.For(k).check("on." + string(k) + "."); err != nil {
			return err
		}
	}
	return nil
}

func (p RetryPolicy) check(at string) error {
	switch {
	case p.MaxAttempts < 1 || p.MaxAttempts > MaxRetryAttempts:
		return Invalid(at+"max_attempts", "must be from 1 to %d", MaxRetryAttempts)
	case p.Base < MinRetryBase || p.Base > MaxRetryCap:
		return Invalid(at+"base", "must be from %s to %s", MinRetryBase, MaxRetryCap)
	case !(p.Factor >= 1 && p.Factor <= MaxRetryFactor):
		return Invalid(at+"factor", "must be from 1 to %d", MaxRetryFactor)
	case p.Cap < p.Base || p.Cap > MaxRetryCap:
		return Invalid(at+"cap", "must be from base (%s) to %s", p.Base, MaxRetryCap)
	case p.Jitter != JitterFull && p.Jitter != JitterEqual && p.Jitter != JitterNone:
		return Invalid(at+"jitter", "must be full, equal or none")
	}
	return nil
}

// KnownKind reports whether k is one of [Kinds].
func KnownKind(k Kind) bool {
	for _, known := range Kinds {
		if k == known {
			return true
		}
	}
	return false
}
