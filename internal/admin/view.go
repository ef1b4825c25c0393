package admin

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/mend"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/store"
)

// hidden stands for what the configuration redacts.
const hidden = afterwrite.Redacted

// Refusal is the database's own error about a record.
type Refusal struct {
	Kind       afterwrite.Kind `json:"kind"`
	Constraint *string         `json:"constraint"`
	Column     *string         `json:"column"`
	Message    string          `json:"message"`
}

// refusalOf hides the message where it is about a redacted field, whose value it may name.
func refusalOf(r afterwrite.Refusal, e *afterwrite.Entity) Refusal {
	v := Refusal{Kind: r.Kind, Constraint: textOrNull(r.Constraint), Column: textOrNull(r.Column), Message: r.Message}
	if e == nil {
		return v
	}
	for i := range e.Fields {
		if f := &e.Fields[i]; f.Redact && f.Column == r.Column {
			v.Message = hidden
		}
	}
	return v
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Letter is a dead letter as every face shows it.
type Letter struct {
	Number     int64              `json:"number"`
	Entity     string             `json:"entity"`
	ID         json.RawMessage    `json:"id"`
	Version    afterwrite.Version `json:"version"`
	Operation  string             `json:"operation"` // put or delete
	State      string             `json:"state"`     // waiting, retrying or resolved
	Error      Refusal            `json:"error"`
	Attempts   int                `json:"attempts"`
	AcceptedAt time.Time          `json:"accepted_at"`
	DiedAt     time.Time          `json:"died_at"`
	RetriedAt  *time.Time         `json:"retried_at"`
	Resolution *string            `json:"resolution"`
	ResolvedAt *time.Time         `json:"resolved_at"`
	Resolver   *string            `json:"resolver"`
	Fields     json.RawMessage    `json:"fields"` // null for a deletion
}

// LetterOf views a letter; e is nil where the configuration has its entity no more. The
// fields that are redacted are hidden unless reveal is set.
func LetterOf(l store.Letter, e *afterwrite.Entity, reveal bool) Letter {
	v := Letter{
		Number: l.Number, Entity: l.Entity, ID: idOf(e, l.ID), Version: l.Version, Operation: "put", State: stateOf(l),
		Error: refusalOf(l.Refusal, e), Attempts: l.Attempts, AcceptedAt: l.AcceptedAt, DiedAt: l.DiedAt,
		RetriedAt: timeOrNull(l.RetriedAt), Resolution: textOrNull(string(l.Resolution)),
		ResolvedAt: timeOrNull(l.ResolvedAt), Resolver: textOrNull(l.Resolver),
	}
	if reveal {
		v.Error.Message = l.Refusal.Message
	}
	if l.Deleted {
		v.Operation = "delete"
		return v
	}
	if e == nil {
		if reveal {
			v.Fields = json.RawMessage(l.Payload)
		}
		return v
	}
	values := payload(l, e)
	for i := range values {
		values[i] = redacted(&e.Fields[i], values[i], reveal)
	}
	v.Fields = e.AppendFields(nil, values)
	return v
}

// idOf is an id as JSON: a number for an int id.
func idOf(e *afterwrite.Entity, id string) json.RawMessage {
	if e != nil {
		return json.RawMessage(e.IDText(id))
	}
	text, _ := json.Marshal(id) // a string is always marshalled
	return text
}

func stateOf(l store.Letter) string {
	switch {
	case l.Resolution != store.Unresolved:
		return "resolved"
	case !l.RetriedAt.IsZero():
		return "retrying"
	}
	return "waiting"
}

// payload reads the fields of a letter by the entity of today: a field that it has no
// more is left out, and one that it has since is absent.
func payload(l store.Letter, e *afterwrite.Entity) afterwrite.Values {
	values := make(afterwrite.Values, len(e.Fields))
	var raw map[string]json.RawMessage
	if json.Unmarshal([]byte(l.Payload), &raw) != nil {
		return values
	}
	for i := range e.Fields {
		values[i] = string(raw[e.Fields[i].Name])
	}
	return values
}

func redacted(f *afterwrite.Field, text string, reveal bool) string {
	if !f.Redact || reveal || text == "" || text == afterwrite.Null {
		return text
	}
	return `"` + hidden + `"`
}

// LetterPage is a page of letters.
type LetterPage struct {
	Letters []Letter `json:"letters"`
	Next    *int64   `json:"next"` // the "after" of the next page; null at the end
}

// Group is the letters of one entity with one error.
type Group struct {
	Entity string    `json:"entity"`
	Error  Refusal   `json:"error"`
	Count  int       `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// GroupOf views a group.
func GroupOf(g store.LetterGroup, e *afterwrite.Entity) Group {
	return Group{Entity: g.Entity, Error: refusalOf(g.Refusal, e), Count: g.Count, First: g.First, Last: g.Last}
}

// Attempt is one attempt of a letter's history.
type Attempt struct {
	Number  int             `json:"number"`
	At      time.Time       `json:"at"`
	Kind    afterwrite.Kind `json:"kind"`
	Message string          `json:"message"`
	Worker  string          `json:"worker"`
}

// Record is a letter's record as it is now.
type Record struct {
	Status      afterwrite.Status  `json:"status"`
	Version     afterwrite.Version `json:"version"`
	Cached      bool               `json:"cached"`
	Deleted     bool               `json:"deleted"`
	Attempts    int                `json:"attempts"`
	NextAttempt *time.Time         `json:"next_attempt"`
}

// Field is one field of a letter beside the database's row. A value is null where it is
// absent, or where there is no row.
type Field struct {
	Name     string          `json:"field"`
	Dead     json.RawMessage `json:"dead"`
	Database json.RawMessage `json:"database"`
	Differs  bool            `json:"differs"`
}

// Shown is a letter with its history, the record as it is now, and what can be done.
type Shown struct {
	Letter
	History []Attempt `json:"history"`
	Record  Record    `json:"record"`
	Stored  bool      `json:"stored"` // the database has a row
	Lost    bool      `json:"lost"`   // Redis has lost the record: the letter has all that is known of it
	Compare []Field   `json:"compare"`
	Actions []string  `json:"actions"` // what can be done with the letter now
}

// ShownOf views a letter as [mend.Mender.Show] found it.
func ShownOf(view mend.View, e *afterwrite.Entity, reveal bool) Shown {
	v := Shown{
		Letter: LetterOf(view.Letter, e, reveal), Stored: view.Row.Exists, Lost: view.Lost, History: []Attempt{}, Compare: []Field{}, Actions: []string{},
		Record: Record{
			Status: view.State.Record.Status, Version: view.State.Record.Version, Cached: view.State.Cached,
			Deleted: view.State.Record.Deleted, Attempts: view.State.Attempts, NextAttempt: timeOrNull(view.State.NextAttempt),
		},
	}
	for _, h := range view.History {
		if v.Error.Message == hidden {
			h.Message = hidden
		}
		v.History = append(v.History, Attempt(h))
	}
	if e != nil {
		v.Compare = compare(view, e, reveal)
	}
	if view.Resolution == store.Unresolved && (view.Lost || !view.Stale()) {
		v.Actions = []string{"retry", "edit", "discard"}
		if view.Lost {
			v.Actions[0] = "restore"
		}
		if view.Deleted {
			v.Actions = slices.DeleteFunc(v.Actions, func(a string) bool { return a == "edit" })
		}
	}
	return v
}

func compare(view mend.View, e *afterwrite.Entity, reveal bool) []Field {
	dead := payload(view.Letter, e)
	list := make([]Field, len(e.Fields))
	for i := range e.Fields {
		f, row := &e.Fields[i], ""
		if view.Row.Exists {
			row = view.Row.Values[i]
		}
		list[i] = Field{Name: f.Name, Differs: dead[i] != row,
			Dead: rawOrNull(redacted(f, dead[i], reveal)), Database: rawOrNull(redacted(f, row, reveal))}
	}
	return list
}

func rawOrNull(text string) json.RawMessage {
	if text == "" {
		text = afterwrite.Null
	}
	return json.RawMessage(text)
}

// Accepted is the answer to an edit.
type Accepted struct {
	Entity  string             `json:"entity"`
	ID      json.RawMessage    `json:"id"`
	Version afterwrite.Version `json:"version"`
	Status  afterwrite.Status  `json:"status"`
}

// AcceptedOf views an accepted edit.
func AcceptedOf(a producer.Accepted) Accepted {
	return Accepted{a.Entity.Name, idOf(a.Entity, a.ID), a.Version, a.Status}
}

// FieldsOf makes the fields of an edit from JSON values.
func FieldsOf(values map[string]jsontext.Value) afterwrite.Fields {
	fields := make(afterwrite.Fields, len(values))
	for name, value := range values {
		fields[name] = json.RawMessage(value)
	}
	return fields
}

// Override is the settings that a kind has of its own.
type Override struct {
	MaxAttempts *int              `json:"max_attempts,omitempty"`
	Base        string            `json:"base,omitempty"`
	Factor      *float64          `json:"factor,omitempty"`
	Cap         string            `json:"cap,omitempty"`
	Jitter      afterwrite.Jitter `json:"jitter,omitempty"`
}

func overrideOf(o afterwrite.RetryOverride) Override {
	v := Override{MaxAttempts: o.MaxAttempts, Factor: o.Factor}
	if o.Base != nil {
		v.Base = mend.Duration(*o.Base)
	}
	if o.Cap != nil {
		v.Cap = mend.Duration(*o.Cap)
	}
	if o.Jitter != nil {
		v.Jitter = *o.Jitter
	}
	return v
}

// Settings are those of a retry policy, as the configuration spells them.
type Settings struct {
	Override
	Timeout string                       `json:"timeout"`
	On      map[afterwrite.Kind]Override `json:"on,omitempty"`
}

func settingsOf(p afterwrite.RetryPolicy) Settings {
	v := Settings{Timeout: mend.Duration(p.Timeout), On: map[afterwrite.Kind]Override{}, Override: overrideOf(afterwrite.RetryOverride{
		MaxAttempts: &p.MaxAttempts, Base: &p.Base, Factor: &p.Factor, Cap: &p.Cap, Jitter: &p.Jitter})}
	for kind, o := range p.On {
		v.On[kind] = overrideOf(o)
	}
	return v
}

// Policy is one version of an entity's retry policy.
type Policy struct {
	Entity  string            `json:"entity"`
	Version int64             `json:"version"` // 0 is the configuration's
	Policy  Settings          `json:"policy"`
	Author  *string           `json:"author"`
	Note    *string           `json:"note"`
	SetAt   *time.Time        `json:"set_at"`
	Changes []mend.Difference `json:"changes,omitempty"` // from the version before; of a history
}

// PolicyOf views a policy.
func PolicyOf(p store.Policy) Policy {
	return Policy{Entity: p.Entity, Version: p.Version, Policy: settingsOf(p.Policy),
		Author: textOrNull(p.Author), Note: textOrNull(p.Note), SetAt: timeOrNull(p.SetAt)}
}

// HistoryOf views the versions of a policy, the newest first, each with what it changed.
func HistoryOf(history []store.Policy) []Policy {
	list := make([]Policy, len(history))
	for i, p := range history {
		list[i] = PolicyOf(p)
		if i+1 < len(history) {
			list[i].Changes = mend.Differences(history[i+1].Policy, p.Policy)
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
	step      afterwrite.Step
}

// Schedule is what becomes of a record that is refused every time.
type Schedule struct {
	Kind  *afterwrite.Kind `json:"kind"` // null: every kind without settings of its own
	Steps []Step           `json:"steps"`
	Low   float64          `json:"dead_low_seconds"` // from the first attempt until it is dead
	High  float64          `json:"dead_high_seconds"`
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
func EffectOf(entity string, e mend.Effect) *Effect {
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
func PreviewOf(p afterwrite.RetryPolicy, kind afterwrite.Kind) Preview {
	v := Preview{Policy: settingsOf(p)}
	if kind != "" {
		v.Schedules = []Schedule{scheduleOf(p, kind)}
		return v
	}
	common := p
	common.On = nil
	v.Schedules = []Schedule{scheduleOf(common, "")}
	for _, kind := range afterwrite.Kinds {
		if _, ok := p.On[kind]; ok {
			v.Schedules = append(v.Schedules, scheduleOf(p, kind))
		}
	}
	return v
}

func scheduleOf(p afterwrite.RetryPolicy, kind afterwrite.Kind) Schedule {
	var s Schedule
	if kind != "" {
		s.Kind = &kind
	}
	for _, one := range p.Schedule(kind, afterwrite.MaxRetryAttempts) {
		s.Steps = append(s.Steps, Step{Attempt: one.Attempt, step: one, DelayLow: one.DelayLow.Seconds(), DelayHigh: one.DelayHigh.Seconds(),
			Low: one.Low.Seconds(), High: one.High.Seconds()})
	}
	last := s.Steps[len(s.Steps)-1]
	s.Low, s.High = last.Low, last.High
	return s
}

// AuditPage is a page of the audit.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Next    *int64       `json:"next"`
}

// AuditEntry is one action of an operator.
type AuditEntry struct {
	Number  int64              `json:"number"`
	At      time.Time          `json:"at"`
	Actor   string             `json:"actor"`
	Origin  string             `json:"origin"`
	Action  string             `json:"action"`
	Entity  *string            `json:"entity"`
	ID      json.RawMessage    `json:"id"`
	Version afterwrite.Version `json:"version,omitempty"`
	Detail  map[string]any     `json:"detail"`
}

// AuditEntryOf views an entry.
func AuditEntryOf(e store.AuditEntry, entity *afterwrite.Entity) AuditEntry {
	v := AuditEntry{Number: e.Number, At: e.At, Actor: e.Actor.Name, Origin: e.Actor.Origin, Action: e.Action,
		Entity: textOrNull(e.Entity), Version: e.Version, Detail: e.Detail}
	if e.ID != "" {
		v.ID = idOf(entity, e.ID)
	}
	return v
}

// Stats are the figures of an entity.
type Stats struct {
	Entity        string     `json:"entity"`
	Accepted      int64      `json:"accepted"`
	Persisted     int64      `json:"persisted"`
	Superseded    int64      `json:"superseded"`
	Discarded     int64      `json:"discarded"`
	Lost          int64      `json:"lost"`
	Pending       int64      `json:"pending"`
	Held          int64      `json:"held"`
	Dead          int64      `json:"dead"`
	OldestPending *time.Time `json:"oldest_pending"`
	NextAttempt   *time.Time `json:"next_attempt"`
	OldestDead    *time.Time `json:"oldest_dead"`
}

// StatsOf views the figures of an entity.
func StatsOf(e *afterwrite.Entity, s cache.Stats) Stats {
	return Stats{e.Name, s.Accepted, s.Persisted, s.Superseded, s.Discarded, s.Lost, s.Pending, s.Held, s.Dead,
		timeOrNull(s.OldestPending), timeOrNull(s.OldestHeld), timeOrNull(s.OldestDead)}
}

// FlushedNow says what a flush that was asked for found.
type FlushedNow struct {
	Entity     string `json:"entity"`
	Pending    int64  `json:"pending"`
	Held       int64  `json:"held"`       // whose next attempt was to come later
	Partitions int    `json:"partitions"` // that are flushed now
	Paused     int    `json:"paused"`     // partitions that were left alone
}
