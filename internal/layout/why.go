package layout

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Why is the JSON stored with a held or dead record: its refusal and the earlier ones.
type Why struct {
	Version    schema.Version `json:"version"`
	Attempts   int            `json:"attempts"`
	Kind       schema.Kind    `json:"kind"`
	Constraint string         `json:"constraint,omitempty"`
	Column     string         `json:"column,omitempty"`
	Message    string         `json:"message"`
	At         int64          `json:"at"`              // ms
	Since      int64          `json:"since,omitempty"` // when the record was first held, ms
	Isolated   bool           `json:"apart,omitempty"` // the record is isolated: flushed alone
	Left       int            `json:"left,omitempty"`  // how often it was left for fields that a worker did not know
	History    []BriefAttempt `json:"history,omitempty"`
}

// ParseWhy decodes the JSON, as far as it can be decoded.
func ParseWhy(text string) Why {
	var w Why
	if json.Unmarshal([]byte(text), &w) != nil {
		return Why{Kind: schema.KindPoison, Message: text}
	}
	return w
}

// Refusal returns the last refusal.
func (w Why) Refusal() *schema.Refusal {
	return &schema.Refusal{Kind: w.Kind, Constraint: w.Constraint, Column: w.Column, Message: w.Message}
}

// Bounds of the history that is stored with a held record.
const (
	MaxHistory        = 20  // attempts
	MaxHistoryMessage = 200 // bytes of each attempt's message
)

// BriefAttempt is an attempt as stored with a held record. What equals the attempt before is left out: a record is
// usually refused for one reason, and a million records may be held.
type BriefAttempt struct {
	Number  int         `json:"n"`
	At      int64       `json:"t"` // ms
	Kind    schema.Kind `json:"k,omitempty"`
	Message string      `json:"m,omitempty"`
	Worker  string      `json:"w,omitempty"`
}

// Shorten returns the last attempts of a history in brief form.
func Shorten(history []schema.Attempt) []BriefAttempt {
	history = history[max(0, len(history)-MaxHistory):]
	kept := make([]BriefAttempt, len(history))
	var before BriefAttempt
	for i, a := range history {
		whole := BriefAttempt{a.Number, a.At.UnixMilli(), a.Kind, cut(a.Message), a.Worker}
		kept[i] = whole
		if whole.Kind == before.Kind {
			kept[i].Kind = ""
		}
		if whole.Message == before.Message {
			kept[i].Message = ""
		}
		if whole.Worker == before.Worker {
			kept[i].Worker = ""
		}
		before = whole
	}
	return kept
}

// Expand undoes [Shorten]. It cannot tell an attempt without a message after one with a message from a repetition, and
// returns it as a repetition.
func Expand(kept []BriefAttempt) []schema.Attempt {
	if len(kept) == 0 {
		return nil
	}
	history := make([]schema.Attempt, len(kept))
	var last schema.Attempt
	for i, b := range kept {
		last.Number, last.At = b.Number, time.UnixMilli(b.At).UTC()
		if b.Kind != "" {
			last.Kind = b.Kind
		}
		if b.Message != "" {
			last.Message = b.Message
		}
		if b.Worker != "" {
			last.Worker = b.Worker
		}
		history[i] = last
	}
	return history
}

func cut(message string) string {
	if len(message) <= MaxHistoryMessage {
		return message
	}
	return strings.ToValidUTF8(message[:MaxHistoryMessage], "")
}
