package schema

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Kind says why a record was refused. No kind is added: they label metrics.
type Kind string

// The kinds of refusal; the last three without an attempt and a policy.
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

	KindUnknownField Kind = "unknown_field" // the worker's configuration lacks a field that was written
	KindTable        Kind = "table"         // the table is in trouble and takes no record like it
	KindOlder        Kind = "older"         // Redis went back to an older state of itself, and the row may be newer
)

// Kinds lists the kinds with a policy in the order of display, HeldKinds all.
var (
	Kinds = []Kind{
		KindUnique, KindForeignKey, KindNotNull, KindCheck, KindRange, KindType, KindMissing, KindTimeout, KindPoison,
	}
	HeldKinds = append(slices.Clone(Kinds), KindUnknownField, KindTable, KindOlder)
)

// Refusal is the database's own error about one record.
type Refusal struct {
	Kind       Kind
	Constraint string // "" where it is not known
	Column     string // likewise
	Message    string // at most MaxRefusalMessage bytes
}

func (r Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Kind, r.Message) }

// Jitter says how much of a delay is random.
type Jitter string

// The jitters, after AWS's "Exponential Backoff And Jitter" (2015).
const (
	JitterFull  Jitter = "full"  // uniform in (0, delay]
	JitterEqual Jitter = "equal" // half the delay, and uniform in (0, delay/2] on top
	JitterNone  Jitter = "none"  // the delay itself
)

// RetryOverride replaces settings of a policy for one kind; nil keeps one.
type RetryOverride struct {
	MaxAttempts *int           `json:"max_attempts,omitempty"`
	Base        *time.Duration `json:"base,omitempty"`
	Factor      *float64       `json:"factor,omitempty"`
	Cap         *time.Duration `json:"cap,omitempty"`
	Jitter      *Jitter        `json:"jitter,omitempty"`
}

// RetryPolicy says when a refused record is retried and becomes a dead letter.
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

// For returns the policy of a kind, with its override applied.
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

// Range returns the bounds of the delay after attempt number attempt, from 1.
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

const maxRetryFactor = 100

// Check reports the first setting that is out of bounds, by its name.
func (p RetryPolicy) Check() error {
	if err := p.check(""); err != nil {
		return err
	}
	if p.Timeout < 10*time.Millisecond || p.Timeout > MaxRetryTimeout {
		return Invalid("timeout", "must be from 10ms to %s", MaxRetryTimeout)
	}
	for k := range p.On {
		if !slices.Contains(Kinds, k) {
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
	case !(p.Factor >= 1 && p.Factor <= maxRetryFactor):
		return Invalid(at+"factor", "must be from 1 to %d", maxRetryFactor)
	case p.Cap < p.Base || p.Cap > MaxRetryCap:
		return Invalid(at+"cap", "must be from base (%s) to %s", p.Base, MaxRetryCap)
	case p.Jitter != JitterFull && p.Jitter != JitterEqual && p.Jitter != JitterNone:
		return Invalid(at+"jitter", "must be full, equal or none")
	}
	return nil
}
