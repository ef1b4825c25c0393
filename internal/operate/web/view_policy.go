package web

import (
	"time"

	"github.com/afterwrite/afterwrite/internal/operate"
	texts "github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Override is the settings that a kind has of its own.
type Override struct {
	MaxAttempts *int          `json:"max_attempts,omitempty"`
	Base        string        `json:"base,omitempty"`
	Factor      *float64      `json:"factor,omitempty"`
	Cap         string        `json:"cap,omitempty"`
	Jitter      schema.Jitter `json:"jitter,omitempty"`
}

func overrideOf(o schema.RetryOverride) Override {
	v := Override{MaxAttempts: o.MaxAttempts, Factor: o.Factor}
	if o.Base != nil {
		v.Base = texts.Setting(*o.Base)
	}
	if o.Cap != nil {
		v.Cap = texts.Setting(*o.Cap)
	}
	if o.Jitter != nil {
		v.Jitter = *o.Jitter
	}
	return v
}

// Settings are those of a retry policy, as the configuration spells them.
type Settings struct {
	Override
	Timeout string                   `json:"timeout"`
	On      map[schema.Kind]Override `json:"on,omitempty"`
}

func settingsOf(p schema.RetryPolicy) Settings {
	v := Settings{Timeout: texts.Setting(p.Timeout), On: map[schema.Kind]Override{},
		Override: overrideOf(schema.RetryOverride{
			MaxAttempts: &p.MaxAttempts, Base: &p.Base, Factor: &p.Factor, Cap: &p.Cap, Jitter: &p.Jitter})}
	for kind, o := range p.On {
		v.On[kind] = overrideOf(o)
	}
	return v
}

// Policy is one version of an entity's retry policy.
type Policy struct {
	Entity  string               `json:"entity"`
	Version int64                `json:"version"` // 0 is the configuration's
	Policy  Settings             `json:"policy"`
	Author  *string              `json:"author"`
	Note    *string              `json:"note"`
	SetAt   *time.Time           `json:"set_at"`
	Changes []operate.Difference `json:"changes,omitempty"` // from the version before; of a history
}

// PolicyOf views a policy.
func PolicyOf(p ledger.Policy) Policy {
	return Policy{Entity: p.Entity, Version: p.Version, Policy: settingsOf(p.Policy),
		Author: textOrNull(p.Author), Note: textOrNull(p.Note), SetAt: timeOrNull(p.SetAt)}
}

// HistoryOf views the versions of a policy, the newest first, each with what it changed.
func HistoryOf(history []ledger.Policy) []Policy {
	list := make([]Policy, len(history))
	for i, p := range history {
		list[i] = PolicyOf(p)
		if i+1 < len(history) {
			list[i].Changes = operate.Differences(history[i+1].Policy, p.Policy)
		}
	}
	return list
}

// Step is one attempt of a schedule; times are in seconds.
type Step struct {
	Attempt   int     `json:"attempt"`
	DelayLow  float64 `json:"delay_low_seconds"`
	DelayHigh float64 `json:"delay_high_seconds"`
	Low       float64 `json:"after_low_seconds"`
	High      float64 `json:"after_high_seconds"`
	step      operate.Step
}

// Schedule is what becomes of a record that is refused every time.
type Schedule struct {
	Kind  *schema.Kind `json:"kind"` // null: every kind without settings of its own
	Steps []Step       `json:"steps"`
	Low   float64      `json:"dead_low_seconds"` // from the first attempt until it is dead
	High  float64      `json:"dead_high_seconds"`
}

// Effect is what a policy would do to the records that wait.
type Effect struct {
	Entity  string     `json:"entity"`
	Waiting int        `json:"waiting"`
	Sooner  int        `json:"sooner"`
	Later   int        `json:"later"`
	Die     int        `json:"die_at_next_refusal"`
	First   *time.Time `json:"first"`
	Last    *time.Time `json:"last"`
}

// EffectOf views an effect.
func EffectOf(entity string, e operate.Effect) *Effect {
	return &Effect{entity, e.Waiting, e.Sooner, e.Later, e.Die, timeOrNull(e.First), timeOrNull(e.Last)}
}

// Preview is what a policy would do.
type Preview struct {
	Policy    Settings   `json:"policy"`
	Schedules []Schedule `json:"schedules"`
	Effect    *Effect    `json:"effect,omitempty"`
}

// PreviewOf views the schedule of a policy: for one kind, or for no kind of what every
// kind has in common, and of each that has settings of its own.
func PreviewOf(p schema.RetryPolicy, kind schema.Kind) Preview {
	v := Preview{Policy: settingsOf(p)}
	if kind != "" {
		v.Schedules = []Schedule{scheduleOf(p, kind)}
		return v
	}
	common := p
	common.On = nil
	v.Schedules = []Schedule{scheduleOf(common, "")}
	for _, kind := range schema.Kinds {
		if _, ok := p.On[kind]; ok {
			v.Schedules = append(v.Schedules, scheduleOf(p, kind))
		}
	}
	return v
}

func scheduleOf(p schema.RetryPolicy, kind schema.Kind) Schedule {
	var s Schedule
	if kind != "" {
		s.Kind = &kind
	}
	for _, one := range operate.Schedule(p, kind, schema.MaxRetryAttempts) {
		s.Steps = append(s.Steps, Step{Attempt: one.Attempt, step: one, DelayLow: one.DelayLow.Seconds(),
			DelayHigh: one.DelayHigh.Seconds(),
			Low:       one.Low.Seconds(), High: one.High.Seconds()})
	}
	last := s.Steps[len(s.Steps)-1]
	s.Low, s.High = last.Low, last.High
	return s
}
