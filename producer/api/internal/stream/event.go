package stream

import (
	"context"
	"regexp"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// streamed lists the events that are streamed.
var streamed = []string{"persisted", "held", "dead", "resolved", "changed", "conflict"}

// piece is one message as streams send it.
type piece struct {
	mark mark
	text []byte
}

// mark identifies a message among those of its partition.
type mark struct {
	partition int
	number    int64
	at        time.Time
}

// piece encodes the events of one message.
func (a *Streams) piece(ctx context.Context, e *schema.Entity, events []events.Event) piece {
	p := piece{mark: mark{e.Partition(events[0].ID), events[0].Number, events[0].At}}
	for _, event := range events {
		p.text = a.appendEvent(ctx, p.text, e, event)
	}
	return p
}

// appendEvent appends an event as streams send it.
func (a *Streams) appendEvent(ctx context.Context, b []byte, e *schema.Entity, event events.Event) []byte {
	b = append(b, "event: "...)
	b = append(b, event.Type...)
	b = append(b, "\nid: "...)
	b = strconv.AppendInt(b, event.At.UnixMilli(), 10)
	b = append(b, "\ndata: {\"entity\":\""...)
	b = append(b, e.Name...)
	b = append(b, `","id":`...)
	b = append(b, e.IDText(event.ID)...)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(event.Version), 10)
	b = append(b, `,"at":`...)
	b = problem.AppendTime(b, event.At)
	b = appendOrigin(b, event.Origin)
	if event.Type == string(schema.Held) || event.Type == string(schema.Dead) {
		b = a.appendRefusal(ctx, b, e, event)
	}
	return append(b, "}\n\n"...)
}

// Streams share the text of a message, so a stream whose reader prefers strings rewrites it when it sends it. The data
// of an event is one line that begins as appendEvent writes it, so no text of a caller can look like it.
var (
	dataOf  = `(?m)^(data: \{"entity":"[a-z0-9_]+","id":`
	intID   = regexp.MustCompile(dataOf + `)(-?[0-9]+),`)
	version = regexp.MustCompile(dataOf + `"(?:[^"\\]|\\.)*","version":)([0-9]+)`)
)

// quoteInts makes the int ids and the versions of events JSON strings: JavaScript's numbers have 53 bits.
func quoteInts(text []byte) []byte {
	return version.ReplaceAll(intID.ReplaceAll(text, []byte(`$1"$2",`)), []byte(`$1"$2"`))
}

// appendOrigin adds the traced request of the write; its texts need no escapes.
func appendOrigin(b []byte, o *schema.Origin) []byte {
	if o == nil {
		return b
	}
	b = append(append(append(b, `,"trace_id":"`...), o.Trace()...), '"')
	if o.Request != "" {
		b = append(append(append(b, `,"request_id":"`...), o.Request...), '"')
	}
	return b
}

// appendRefusal adds why the database refused the record, unless a newer state has replaced it: that has an event of
// its own.
func (a *Streams) appendRefusal(ctx context.Context, b []byte, e *schema.Entity, event events.Event) []byte {
	ctx, cancel := a.bound(ctx)
	defer cancel()
	state, err := a.States.Status(ctx, e, event.ID)
	if err != nil || state.Refusal == nil || state.Record.Version != event.Version ||
		string(state.Record.Status) != event.Type {
		return b
	}
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(state.Attempts), 10)
	b = append(b, `,"next_attempt":`...)
	b = problem.AppendTime(b, state.NextAttempt)
	b = append(b, `,"error":`...)
	return problem.AppendRefusal(b, *state.Refusal)
}
