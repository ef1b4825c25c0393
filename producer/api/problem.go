package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite"
)

// ProblemPrefix begins the "type" of every problem. What follows it is stable: a
// caller may tell problems apart by it.
const ProblemPrefix = "urn:afterwrite:problem:"

// problem is an error as a caller sees it: an RFC 9457 problem document.
type problem struct {
	name       string // end of its type
	title      string
	code       int
	detail     string
	fields     []afterwrite.FieldError // what is wrong, by field or parameter
	retryAfter int                     // seconds; 0: no Retry-After
	refused    *refused                // the database's refusal, else nil
	cause      error                   // for the log alone; nil: the caller's fault
}

// refused says of which accepted write a refusal is.
type refused struct {
	afterwrite.Refusal
	version afterwrite.Version
	status  afterwrite.Status
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.name + ": " + p.cause.Error()
	}
	return p.name + ": " + p.detail
}

func (p *problem) Unwrap() error { return p.cause }

// known is what each named error of the project answers, in the order in which they
// are tried. The write path's own words reach the caller only where they name no
// more than the caller's own input.
var known = []struct {
	err     error
	problem problem
}{
	{afterwrite.ErrUnknownEntity, problem{name: "unknown-entity", code: 404, title: "Unknown entity",
		detail: "the configuration names no such entity"}},
	{afterwrite.ErrNotFound, problem{name: "not-found", code: 404, title: "Record not found",
		detail: "there is no record with this id"}},
	{afterwrite.ErrExists, problem{name: "exists", code: 409, title: "Record exists",
		detail: "there is already a record with this id"}},
	{afterwrite.ErrVersionMismatch, problem{name: "precondition-failed", code: 412, title: "Precondition failed",
		detail: "the record is not at a version that If-Match names; read it again"}},
	{afterwrite.ErrKeyReused, problem{name: "key-reused", code: 422, title: "Idempotency-Key reused",
		detail: "this Idempotency-Key was used for another request; make a new one"}},
	{afterwrite.ErrBacklogFull, problem{name: "backlog-full", code: 503, title: "Backlog full", retryAfter: 2,
		detail: "too many accepted records wait for the database; nothing was written, try again later"}},
	{afterwrite.ErrOutcomeUnknown, problem{name: "outcome-unknown", code: 503, title: "Outcome unknown", retryAfter: 1,
		detail: "unknown: the reply of Redis was lost, the write may or may not be accepted; " +
			"a repeat is safe only with an Idempotency-Key that the first request had too"}},
	{afterwrite.ErrDatabaseUnavailable, problem{name: "database-unavailable", code: 503, title: "Database unavailable", retryAfter: 5,
		detail: "this request needs the database, which does not answer; nothing was written"}},
	{afterwrite.ErrUnavailable, problem{name: "redis-unavailable", code: 503, title: "Redis unavailable", retryAfter: 1,
		detail: "Redis does not answer; nothing was written"}},
	{afterwrite.ErrBusy, problem{name: "busy", code: 503, title: "Busy", retryAfter: 1,
		detail: "too many requests are waiting; nothing was written"}},
	{afterwrite.ErrPartitionsChanged, problem{name: "partitions-changed", code: 503, title: "Configuration differs", retryAfter: 30,
		detail: "this process and another disagree about the number of partitions; nothing was written"}},
	{context.DeadlineExceeded, problem{name: "timeout", code: 503, title: "Timeout", retryAfter: 1,
		detail: "the request waited too long; nothing was written"}},
}

// codeClientGone is what is logged for a caller that went away before the answer.
const codeClientGone = 499

// problemOf translates any error. It is the only place that does.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if bad, ok := errors.AsType[*afterwrite.InvalidError](err); ok {
		return &problem{name: "invalid", code: 422, title: "Invalid fields",
			detail: "the entity does not accept these values", fields: bad.Fields}
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge(tooLarge.Limit)
	}
	if errors.Is(err, context.Canceled) {
		return &problem{name: "canceled", code: codeClientGone, title: "Canceled", detail: "the caller went away"}
	}
	for i := range known {
		if errors.Is(err, known[i].err) {
			p := known[i].problem
			if p.code >= 500 {
				p.cause = err
			}
			return &p
		}
	}
	return errInternal(err)
}

func errInternal(cause error) *problem {
	return &problem{name: "internal", code: 500, title: "Internal error", cause: cause,
		detail: "this is a fault of the server; its log has the cause under the request id"}
}

func errUnknownRoute() error {
	return &problem{name: "unknown-route", code: 404, title: "Unknown route",
		detail: "no route has this path; /openapi.json lists them"}
}

func errUnknownEntity(name string) error {
	p := problemOf(afterwrite.ErrUnknownEntity)
	p.detail = fmt.Sprintf("the configuration names no entity %q", clip(name))
	return p
}

func errMethod(allow string) error {
	return &problem{name: "method-not-allowed", code: 405, title: "Method not allowed",
		detail: "this route takes " + allow}
}

func errDotID(id string) error {
	return &problem{name: "dot-id", code: 400, title: "Id not possible in a path",
		detail: fmt.Sprintf("clients and proxies take the segment %q for a step between folders; use POST /v1/batch for the record with this id", id),
		fields: []afterwrite.FieldError{{Field: "id", Reason: "cannot be . or .. in a path; POST /v1/batch takes it"}}}
}

func errTooLarge(limit int64) *problem {
	return &problem{name: "body-too-large", code: 413, title: "Body too large",
		detail: fmt.Sprintf("the body has more than %d bytes", limit)}
}

func errTooMany(what string, limit int) error {
	return &problem{name: "too-many", code: 413, title: "Too many",
		detail: fmt.Sprintf("there are more than %d %s", limit, what)}
}

func errMediaType(want []string) error {
	return &problem{name: "unsupported-media-type", code: 415, title: "Unsupported media type",
		detail: "the Content-Type must be " + strings.Join(want, " or ") + ", in UTF-8"}
}

func errMalformed(format string, args ...any) *problem {
	return &problem{name: "malformed", code: 400, title: "Malformed body", detail: fmt.Sprintf(format, args...)}
}

func badParameter(name, reason string) error {
	return &problem{name: "bad-parameter", code: 400, title: "Bad query parameter",
		detail: fmt.Sprintf("the query parameter %q %s", clip(name), reason),
		fields: []afterwrite.FieldError{{Field: name, Reason: reason}}}
}

func badHeader(name, reason string) error {
	return &problem{name: "bad-header", code: 400, title: "Bad header",
		detail: "the header " + name + " " + reason,
		fields: []afterwrite.FieldError{{Field: name, Reason: reason}}}
}

func errPrecondition(detail string) error {
	p := problemOf(afterwrite.ErrVersionMismatch)
	p.detail = detail
	return p
}

func invalid(field, reason string) error { return afterwrite.Invalid(field, "%s", reason) }

// errRefused is the answer to a writer that waited and learnt that the database
// does not take its write. The write stays accepted: it is held or dead.
func errRefused(r refused) error {
	p := &problem{name: "refused", code: 422, title: "Refused by the database", refused: &r,
		detail: "the write was accepted, but the database refuses the record"}
	if r.Kind == afterwrite.KindUnique {
		p.name, p.code, p.title = "refused-unique", 409, "Another record has this value"
	}
	if r.Column != "" {
		p.fields = []afterwrite.FieldError{{Field: r.Column, Reason: "refused by the database: " + string(r.Kind)}}
	}
	return p
}

// refuse answers with the problem of err and logs what is the server's fault.
func (a *API) refuse(c *call, err error) {
	p := problemOf(err)
	if p.cause != nil {
		a.logFault(c, p)
	}
	if c.code != 0 {
		return // the answer had begun
	}
	if p.code == codeClientGone {
		c.code = p.code
		return
	}
	if p.retryAfter > 0 {
		c.header["Retry-After"] = []string{strconv.Itoa(p.retryAfter)}
	}
	c.header["Content-Type"] = headerProblem
	c.out = append(p.appendTo(c.out[:0], c.requestID), '\n')
	c.send(p.code, c.out)
}

func (a *API) logFault(c *call, p *problem) {
	log := a.log.Warn
	if p.code == http.StatusInternalServerError {
		log = a.log.Error
	}
	log("request failed", "request_id", c.requestID, "method", c.r.Method, "route", c.end.name,
		"entity", c.entityName(), "problem", p.name, "code", p.code, "error", p.cause)
}

// Bounds of what a problem repeats of the request.
const (
	maxProblemFields = 100
	maxRepeated      = 100 // bytes of a name that the caller made up
)

// appendTo appends the problem's document. Without a request id it is part of a
// batch's answer.
func (p *problem) appendTo(dst []byte, requestID string) []byte {
	dst = append(dst, `{"type":"`+ProblemPrefix...)
	dst = append(dst, p.name...)
	dst = append(dst, `","title":`...)
	dst = appendString(dst, p.title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(p.code), 10)
	dst = append(dst, `,"detail":`...)
	dst = appendString(dst, p.detail)
	if requestID != "" {
		dst = append(dst, `,"request_id":`...)
		dst = appendString(dst, requestID)
	}
	if len(p.fields) > 0 {
		dst = append(dst, `,"errors":[`...)
		for i, f := range p.fields[:min(len(p.fields), maxProblemFields)] {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"field":`...)
			dst = appendString(dst, clip(f.Field))
			dst = append(dst, `,"reason":`...)
			dst = append(appendString(dst, f.Reason), '}')
		}
		dst = append(dst, ']')
	}
	if p.refused != nil {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, int64(p.refused.version), 10)
		dst = append(dst, `,"record_status":"`...)
		dst = append(append(dst, p.refused.status...), `","refusal":`...)
		dst = appendRefusal(dst, p.refused.Refusal)
	}
	return append(dst, '}')
}

// appendRefusal appends the database's own error about a record.
func appendRefusal(dst []byte, r afterwrite.Refusal) []byte {
	dst = append(dst, `{"kind":`...)
	dst = appendString(dst, string(r.Kind))
	dst = append(dst, `,"constraint":`...)
	dst = appendStringOrNull(dst, r.Constraint)
	dst = append(dst, `,"column":`...)
	dst = appendStringOrNull(dst, r.Column)
	dst = append(dst, `,"message":`...)
	return append(appendString(dst, r.Message), '}')
}

func appendStringOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, afterwrite.Null...)
	}
	return appendString(dst, s)
}

// appendString appends s as a JSON string; what is not UTF-8 is replaced.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error is about what it replaced
	return dst
}

// clip shortens a text that the caller made up, between two characters.
func clip(s string) string {
	if len(s) <= maxRepeated {
		return s
	}
	end := maxRepeated
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
