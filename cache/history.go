package cache

import (
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of the history that is kept beside a held record.
const (
	MaxHistory        = 20  // attempts
	MaxHistoryMessage = 200 // bytes of each one's message
)

// Attempt is one refusal of a record, as its history tells it.
type Attempt struct {
	Number  int       // from 1
	At      time.Time // to a millisecond
	Kind    schema.Kind
	Message string // at most MaxHistoryMessage bytes
	Worker  string // that tried
}

// brief is an attempt beside a held record. What is as in the attempt before is left out:
// a record is mostly refused for one reason, and a million may be held.
type brief struct {
	Number  int         `json:"n"`
	At      int64       `json:"t"` // ms
	Kind    schema.Kind `json:"k,omitempty"`
	Message string      `json:"m,omitempty"`
	Worker  string      `json:"w,omitempty"`
}

// shorten keeps the last attempts of a history.
func shorten(history []Attempt) []brief {
	history = history[max(0, len(history)-MaxHistory):]
	kept := make([]brief, len(history))
	var before brief
	for i, a := range history {
		whole := brief{a.Number, a.At.UnixMilli(), a.Kind, cut(a.Message), a.Worker}
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

// expand undoes shorten. An attempt without a message after one with a message cannot be
// told from a repetition, and is shown as one.
func expand(kept []brief) []Attempt {
	if len(kept) == 0 {
		return nil
	}
	history := make([]Attempt, len(kept))
	var last Attempt
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
