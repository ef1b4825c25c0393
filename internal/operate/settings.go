package operate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/schema"
)

// Setting is one setting of a retry policy by its configuration name, such as "base" or
// "on.foreign_key.max_attempts", and its value as text, such as "1s".
type Setting struct {
	Name  string
	Value string
}

// PolicyChange is settings to change, in their order; what it does not name stays. An
// empty value takes a setting of one kind away, so that the policy's own holds for it
// again, and "on.KIND" with an empty value all of a kind's.
type PolicyChange []Setting

// overridable are the settings that a kind may have of its own.
var overridable = []string{"max_attempts", "base", "factor", "cap", "jitter"}

// Settings lists what a policy says, in the order of the configuration.
func Settings(p schema.RetryPolicy) []Setting {
	list := overrideSettings("", schema.RetryOverride{
		MaxAttempts: &p.MaxAttempts, Base: &p.Base, Factor: &p.Factor, Cap: &p.Cap, Jitter: &p.Jitter,
	})
	list = append(list, Setting{"timeout", text.Setting(p.Timeout)})
	for _, kind := range schema.Kinds {
		list = append(list, overrideSettings("on."+string(kind)+".", p.On[kind])...)
	}
	return list
}

func overrideSettings(at string, o schema.RetryOverride) []Setting {
	var list []Setting
	for _, name := range overridable {
		if text := settingText(o, name); text != "" {
			list = append(list, Setting{at + name, text})
		}
	}
	return list
}

func settingText(o schema.RetryOverride, name string) string {
	switch {
	case name == "max_attempts" && o.MaxAttempts != nil:
		return strconv.Itoa(*o.MaxAttempts)
	case name == "base" && o.Base != nil:
		return text.Setting(*o.Base)
	case name == "factor" && o.Factor != nil:
		return strconv.FormatFloat(*o.Factor, 'g', -1, 64)
	case name == "cap" && o.Cap != nil:
		return text.Setting(*o.Cap)
	case name == "jitter" && o.Jitter != nil:
		return string(*o.Jitter)
	}
	return ""
}

// Difference is a setting that two policies do not share; "" where one has it not.
type Difference struct {
	Name string `json:"setting"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Differences lists the settings that differ, in the order of the configuration.
func Differences(from, to schema.RetryPolicy) []Difference {
	old, now := map[string]string{}, map[string]string{}
	for _, s := range Settings(from) {
		old[s.Name] = s.Value
	}
	for _, s := range Settings(to) {
		now[s.Name] = s.Value
	}
	var list []Difference
	for _, name := range SettingNames() {
		if old[name] != now[name] {
			list = append(list, Difference{name, old[name], now[name]})
		}
	}
	return list
}

// SettingNames are all settings that there can be, in the order of the configuration.
func SettingNames() []string {
	names := append(slices.Clone(overridable), "timeout")
	for _, kind := range schema.Kinds {
		for _, name := range overridable {
			names = append(names, "on."+string(kind)+"."+name)
		}
	}
	return names
}

// Apply returns the policy with the change made, within the bounds of
// [schema.RetryPolicy.Check]. The error is an InvalidError that names the setting.
func (c PolicyChange) Apply(p schema.RetryPolicy) (schema.RetryPolicy, error) {
	on := make(map[schema.Kind]schema.RetryOverride, len(p.On))
	for kind, o := range p.On {
		on[kind] = o
	}
	p.On = on
	for _, s := range c {
		if err := s.apply(&p); err != nil {
			return p, err
		}
	}
	for kind, o := range p.On {
		if o == (schema.RetryOverride{}) {
			delete(p.On, kind)
		}
	}
	return p, p.Check()
}

func (s Setting) apply(p *schema.RetryPolicy) error {
	if s.Name == "timeout" {
		return s.applyTimeout(p)
	}
	rest, ofKind := strings.CutPrefix(s.Name, "on.")
	if !ofKind {
		return s.applyOwn(p)
	}
	name, setting, one := strings.Cut(rest, ".")
	kind := schema.Kind(name)
	switch {
	case !slices.Contains(schema.Kinds, kind):
		return schema.Invalid(s.Name, "is not of a kind of refusal; the kinds are %v", schema.Kinds)
	case !one && s.Value == "":
		delete(p.On, kind)
		return nil
	case !slices.Contains(overridable, setting):
		return schema.Invalid(s.Name, "is not a setting; a kind has %s", strings.Join(overridable, ", "))
	}
	o := p.On[kind]
	err := s.applyTo(&o, setting)
	p.On[kind] = o
	return err
}

// applyOwn changes the policy itself.
func (s Setting) applyOwn(p *schema.RetryPolicy) error {
	if !slices.Contains(overridable, s.Name) {
		return schema.Invalid(s.Name, "is not a setting; a policy has %s, timeout, and on.KIND",
			strings.Join(overridable, ", "))
	}
	if s.Value == "" {
		return schema.Invalid(s.Name, "must have a value")
	}
	var o schema.RetryOverride
	if err := s.applyTo(&o, s.Name); err != nil {
		return err
	}
	on := p.On
	p.On = map[schema.Kind]schema.RetryOverride{schema.KindPoison: o}
	*p = p.For(schema.KindPoison)
	p.On = on
	return nil
}

// applyTo sets one setting of an override, or takes it away.
func (s Setting) applyTo(o *schema.RetryOverride, name string) error {
	switch name {
	case "max_attempts":
		return set(s, &o.MaxAttempts, "a whole number, such as 10", strconv.Atoi)
	case "base":
		return set(s, &o.Base, durationForm, time.ParseDuration)
	case "cap":
		return set(s, &o.Cap, durationForm, time.ParseDuration)
	case "factor":
		return set(s, &o.Factor, "a number, such as 2 or 1.5", func(text string) (float64,
			error) {
			return strconv.ParseFloat(text, 64)
		})
	}
	return set(s, &o.Jitter, "full, equal or none", func(text string) (schema.Jitter,
		error) {
		return schema.Jitter(text), nil
	})
}

const durationForm = "a duration with its unit, such as 50ms, 1s or 5m"

func set[T any](s Setting, at **T, form string, parse func(string) (T, error)) error {
	if s.Value == "" {
		*at = nil
		return nil
	}
	value, err := parse(s.Value)
	if err != nil {
		return schema.Invalid(s.Name, "must be %s", form)
	}
	*at = &value
	return nil
}

func (s Setting) applyTimeout(p *schema.RetryPolicy) error {
	d, err := time.ParseDuration(s.Value)
	if err != nil {
		return schema.Invalid(s.Name, "must be %s", durationForm)
	}
	p.Timeout = d
	return nil
}
