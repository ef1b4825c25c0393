package problem

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/schema"
)

// MediaTypeProblem is the Content-Type of a problem.
const MediaTypeProblem = "application/problem+json"

// Bounds of what a problem quotes from the request.
const (
	MaxFields   = 100
	maxRepeated = 100 // bytes of a name from the request
)

// SetHeader sets the headers that an answer with the problem needs.
func (p *Problem) SetHeader(h http.Header) {
	if p.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(p.RetryAfter)}
	}
	if p.Challenge != "" {
		h["Www-Authenticate"] = []string{p.Challenge}
	}
	if p.Encoding != "" {
		h["Accept-Encoding"] = []string{p.Encoding}
	}
	h["Content-Type"] = []string{MediaTypeProblem}
}

// AppendTo appends the problem's document. Without a request id it is an element of a batch's answer.
func (p *Problem) AppendTo(dst []byte, requestID string) []byte {
	dst = append(dst, `{"type":"`+Prefix...)
	dst = append(dst, p.Name...)
	dst = append(dst, `","title":`...)
	dst = AppendString(dst, p.Title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(p.Code), 10)
	dst = append(dst, `,"detail":`...)
	dst = AppendString(dst, p.Detail)
	if requestID != "" {
		dst = append(dst, `,"request_id":`...)
		dst = AppendString(dst, requestID)
	}
	dst = p.appendFields(dst)
	if p.Refused != nil {
		if p.Refused.Version != 0 {
			dst = append(dst, `,"version":`...)
			dst = strconv.AppendInt(dst, int64(p.Refused.Version), 10)
			dst = append(dst, `,"record_status":"`...)
			dst = append(append(dst, p.Refused.Status...), '"')
		}
		dst = append(dst, `,"refusal":`...)
		dst = AppendRefusal(dst, p.Refused.Refusal)
	}
	return append(dst, '}')
}

func (p *Problem) appendFields(dst []byte) []byte {
	if len(p.Fields) == 0 {
		return dst
	}
	dst = append(dst, `,"errors":[`...)
	for i, f := range p.Fields[:min(len(p.Fields), MaxFields)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"field":`...)
		dst = AppendString(dst, Clip(f.Field))
		dst = append(dst, `,"reason":`...)
		dst = append(AppendString(dst, f.Reason), '}')
	}
	return append(dst, ']')
}

// TableHint is what to do about a table that takes no record.
const TableHint = "fix the table (constraint, trigger, column or permission); flushes continue within seconds, " +
	"nothing counts as an attempt"

// AppendRefusal appends the database's own error about a record, or about its table.
func AppendRefusal(dst []byte, r schema.Refusal) []byte {
	dst = append(dst, `{"kind":`...)
	dst = AppendString(dst, string(r.Kind))
	dst = append(dst, `,"constraint":`...)
	dst = AppendStringOrNull(dst, r.Constraint)
	dst = append(dst, `,"column":`...)
	dst = AppendStringOrNull(dst, r.Column)
	dst = append(dst, `,"message":`...)
	dst = AppendString(dst, r.Message)
	if r.Kind == schema.KindTable {
		dst = AppendString(append(dst, `,"hint":`...), TableHint)
	}
	return append(dst, '}')
}

// AppendStringOrNull appends s as a JSON string, null for "".
func AppendStringOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, schema.Null...)
	}
	return AppendString(dst, s)
}

// AppendString appends s as a JSON string; invalid UTF-8 is replaced.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that something was replaced
	return dst
}

// Clip shortens a text from the request, at a character boundary.
func Clip(s string) string {
	if len(s) <= maxRepeated {
		return s
	}
	end := maxRepeated
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// AppendTime appends a time as a JSON string, null for none.
func AppendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, schema.Null...)
	}
	dst = append(dst, '"')
	return append(t.UTC().AppendFormat(dst, time.RFC3339Nano), '"')
}
