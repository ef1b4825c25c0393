package web

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/redact"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// hidden stands for what the configuration redacts.
const hidden = redact.Mark

// Refusal is the database's own error about a record.
type Refusal struct {
	Kind       schema.Kind `json:"kind"`
	Constraint *string     `json:"constraint"`
	Column     *string     `json:"column"`
	Message    string      `json:"message"`
}

// refusalOf hides the message where it is about a redacted field, whose value it may name.
func refusalOf(r schema.Refusal, e *schema.Entity) Refusal {
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

// Letter is a dead letter as every face shows it.
type Letter struct {
	Number     int64           `json:"number"`
	Entity     string          `json:"entity"`
	ID         json.RawMessage `json:"id"`
	Version    Version         `json:"version"`
	Operation  string          `json:"operation"` // put or delete
	State      string          `json:"state"`     // waiting, retrying or resolved
	Error      Refusal         `json:"error"`
	Attempts   int             `json:"attempts"`
	AcceptedAt time.Time       `json:"accepted_at"`
	DiedAt     time.Time       `json:"died_at"`
	RetriedAt  *time.Time      `json:"retried_at"`
	Resolution *string         `json:"resolution"`
	ResolvedAt *time.Time      `json:"resolved_at"`
	Resolver   *string         `json:"resolver"`
	Fields     json.RawMessage `json:"fields"`  // null for a deletion
	Changed    []string        `json:"changed"` // fields that a retry writes; null: all of them
}

// LetterOf views a letter; e is nil where the configuration has its entity no more.
func LetterOf(l ledger.Letter, e *schema.Entity, form Form) Letter {
	v := Letter{
		Number: l.Number, Entity: l.Entity, ID: form.id(e, l.ID), Version: form.version(l.Version), Operation: "put",
		State: stateOf(l), Error: refusalOf(l.Refusal, e), Attempts: l.Attempts, AcceptedAt: l.AcceptedAt,
		DiedAt: l.DiedAt, RetriedAt: timeOrNull(l.RetriedAt), Resolution: textOrNull(string(l.Resolution)),
		ResolvedAt: timeOrNull(l.ResolvedAt), Resolver: textOrNull(l.Resolver), Changed: l.Changed,
	}
	if form.Reveal {
		v.Error.Message = l.Refusal.Message
	}
	if l.Deleted {
		v.Operation = "delete"
		return v
	}
	if e == nil {
		if form.Reveal {
			v.Fields = form.payload(l.Payload)
		}
		return v
	}
	values := payload(l, e)
	for i := range values {
		values[i] = form.value(&e.Fields[i], values[i])
	}
	v.Fields = e.AppendFields(nil, values)
	return v
}

func stateOf(l ledger.Letter) string {
	switch {
	case l.Resolution != ledger.Unresolved:
		return "resolved"
	case !l.RetriedAt.IsZero():
		return "retrying"
	}
	return "waiting"
}

// payload reads the fields of a letter by the entity of today: a field that it has no
// more is left out, and one that it has since is absent.
func payload(l ledger.Letter, e *schema.Entity) schema.Values {
	values := make(schema.Values, len(e.Fields))
	var raw map[string]json.RawMessage
	if json.Unmarshal([]byte(l.Payload), &raw) != nil {
		return values
	}
	for i := range e.Fields {
		values[i] = string(raw[e.Fields[i].Name])
	}
	return values
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
func GroupOf(g ledger.LetterGroup, e *schema.Entity) Group {
	return Group{Entity: g.Entity, Error: refusalOf(g.Refusal, e), Count: g.Count, First: g.First, Last: g.Last}
}

// Held is a held record as every face shows it.
type Held struct {
	Entity      string          `json:"entity"`
	ID          json.RawMessage `json:"id"`
	Version     Version         `json:"version"`
	Error       Refusal         `json:"error"` // of the last attempt
	Attempts    int             `json:"attempts"`
	LastAttempt *time.Time      `json:"last_attempt"`
	NextAttempt *time.Time      `json:"next_attempt"`
	Isolated    bool            `json:"isolated"` // it is tried alone
}

// HeldOf views a held record.
func HeldOf(h operate.HeldRecord, form Form) Held {
	return Held{Entity: h.Entity.Name, ID: form.id(h.Entity, h.ID), Version: form.version(h.Version),
		Error:    refusalOf(h.Refusal, h.Entity),
		Attempts: h.Attempts, LastAttempt: timeOrNull(h.At), NextAttempt: timeOrNull(h.Next), Isolated: h.Isolated}
}

// HeldPage is held records, the next to be tried first, and how many there are in all.
type HeldPage struct {
	Held  []Held `json:"held"`
	Count int    `json:"count"`
}

// Record is a letter's record as it is now.
type Record struct {
	Status      schema.Status `json:"status"`
	Version     Version       `json:"version"`
	Cached      bool          `json:"cached"`
	Deleted     bool          `json:"deleted"`
	Attempts    int           `json:"attempts"`
	NextAttempt *time.Time    `json:"next_attempt"`
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
	Configured bool             `json:"configured"` // its entity is; else nothing below but the history is known
	History    []schema.Attempt `json:"history"`
	Record     *Record          `json:"record"`
	Stored     bool             `json:"stored"`  // the database has a row
	Unknown    bool             `json:"unknown"` // Redis did not respond: nor record, lost nor actions are known
	Lost       bool             `json:"lost"`    // Redis has lost the record: the letter has all that is known of it
	Compare    []Field          `json:"compare"`
	Actions    []string         `json:"actions"` // what can be done with the letter now
}

// ShownOf views a letter as [operate.Operator.Show] found it.
func ShownOf(view operate.View, e *schema.Entity, form Form) Shown {
	v := Shown{
		Letter: LetterOf(view.Letter, e, form), Configured: view.Configured, Stored: view.Row.Exists, Lost: view.Lost,
		Unknown: view.Unknown,
		History: []schema.Attempt{}, Compare: []Field{}, Actions: []string{},
	}
	for _, h := range view.History {
		if v.Error.Message == hidden {
			h.Message = hidden
		}
		v.History = append(v.History, h)
	}
	if !view.Configured {
		return v
	}
	v.Compare = compare(view, e, form)
	if view.Unknown {
		return v
	}
	v.Record = &Record{
		Status: view.State.Record.Status, Version: form.version(view.State.Record.Version),
		Cached: view.State.Cached, Deleted: view.State.Record.Deleted, Attempts: view.State.Attempts,
		NextAttempt: timeOrNull(view.State.NextAttempt),
	}
	if view.Resolution == ledger.Unresolved && (view.Lost || !view.Stale()) {
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

func compare(view operate.View, e *schema.Entity, form Form) []Field {
	dead := payload(view.Letter, e)
	list := make([]Field, len(e.Fields))
	for i := range e.Fields {
		f, row := &e.Fields[i], ""
		if view.Row.Exists {
			row = view.Row.Values[i]
		}
		list[i] = Field{Name: f.Name, Differs: dead[i] != row && (dead[i] != "" || view.Deleted),
			Dead: rawOrNull(form.value(f, dead[i])), Database: rawOrNull(form.value(f, row))}
	}
	return list
}

func rawOrNull(text string) json.RawMessage {
	if text == "" {
		text = schema.Null
	}
	return json.RawMessage(text)
}

// Accepted is the answer to an edit.
type Accepted struct {
	Entity  string          `json:"entity"`
	ID      json.RawMessage `json:"id"`
	Version Version         `json:"version"`
	Status  schema.Status   `json:"status"`
}

// AcceptedOf views an accepted edit.
func AcceptedOf(a producer.Accepted, form Form) Accepted {
	return Accepted{a.Entity.Name, form.id(a.Entity, a.ID), form.version(a.Version), a.Status}
}

// FieldsOf makes the fields of an edit from JSON values.
func FieldsOf(values map[string]jsontext.Value) schema.Fields {
	fields := make(schema.Fields, len(values))
	for name, value := range values {
		fields[name] = json.RawMessage(value)
	}
	return fields
}
