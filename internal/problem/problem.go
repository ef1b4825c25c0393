// Package problem defines how every HTTP server of Afterwrite answers an error: with an RFC 9457 document of one form.
// A handler returns an error, [Of] translates it once, and [Problem.AppendTo] writes it.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// Prefix begins the "type" of every problem. The rest of the type is stable: callers can distinguish problems by it.
const Prefix = "urn:afterwrite:problem:"

// Problem is an error as a caller sees it.
type Problem struct {
	Name       string // last part of its type
	Title      string
	Code       int // status of the answer
	Detail     string
	Fields     []schema.FieldError // what is wrong, by field or parameter
	RetryAfter int                 // seconds; 0: no Retry-After
	Challenge  string              // the WWW-Authenticate header; "" for none
	Encoding   string              // the Accept-Encoding header; "" for none
	Refused    *Refused            // the database's refusal, else nil
	Cause      error               // logged only; nil if the caller is at fault
}

// Refused names the accepted write that the database refused. Version is 0 if no write was accepted, which is so when
// the database is written first.
type Refused struct {
	schema.Refusal
	Version schema.Version
	Status  schema.Status
}

func (p *Problem) Error() string {
	if p.Cause != nil {
		return p.Name + ": " + p.Cause.Error()
	}
	return p.Name + ": " + p.Detail
}

func (p *Problem) Unwrap() error { return p.Cause }

// known maps each named error of the project to its answer, in the order in which they are tried. Error texts of the
// write path reach the caller only if they contain nothing but the caller's own input.
var known = []struct {
	err     error
	problem Problem
}{
	{schema.ErrUnknownEntity, Problem{Name: "unknown-entity", Code: 404, Title: "Unknown entity",
		Detail: "the configuration names no such entity"}},
	{schema.ErrNotFound, Problem{Name: "not-found", Code: 404, Title: "Record not found",
		Detail: "there is no record with this id"}},
	{schema.ErrExists, Problem{Name: "exists", Code: 409, Title: "Record exists",
		Detail: "there is already a record with this id"}},
	{schema.ErrVersionMismatch, Problem{Name: "precondition-failed", Code: 412, Title: "Precondition failed",
		Detail: "the record is not at a version that If-Match names; read it again"}},
	{schema.ErrKeysFull, Problem{Name: "idempotency-keys-full", Code: 503, Title: "Idempotency-Keys full",
		RetryAfter: 60,
		Detail:     "as many keys of this entity are kept as its configuration allows; nothing was written"}},
	{schema.ErrKeyReused, Problem{Name: "key-reused", Code: 422, Title: "Idempotency-Key reused",
		Detail: "this Idempotency-Key was used for another request; make a new one"}},
	{schema.ErrBacklogFull, Problem{Name: "backlog-full", Code: 503, Title: "Backlog full", RetryAfter: 2,
		Detail: "too many accepted records wait for the database; nothing was written, try again later"}},
	{schema.ErrOutcomeUnknown, Problem{Name: "outcome-unknown", Code: 503, Title: "Outcome unknown", RetryAfter: 1,
		Detail: "unknown: the reply of Redis was lost, the write may or may not be accepted; " +
			"a repeat is safe only with an Idempotency-Key that the first request had too"}},
	{schema.ErrSchema, Problem{Name: "schema-error", Code: 503, Title: "Schema error", RetryAfter: 30,
		Detail: "a table lacks what its entity needs; nothing was written"}},
	{schema.ErrNoID, Problem{Name: "no-id", Code: 503, Title: "No id", RetryAfter: 30,
		Detail: "the sequence of the table gave no number for the id, the log says why; nothing was written"}},
	{schema.ErrDatabaseUnavailable, Problem{Name: "database-unavailable", Code: 503, Title: "Database unavailable",
		RetryAfter: 5,
		Detail:     "this request needs the database, which does not respond; nothing was written"}},
	{schema.ErrRedisFull, Problem{Name: "redis-full", Code: 503, Title: "Redis full", RetryAfter: 2,
		Detail: "Redis has no memory left for what the database has not seen; nothing was written, try again later"}},
	{schema.ErrRedisReadOnly, Problem{Name: "redis-read-only", Code: 503, Title: "Redis read-only", RetryAfter: 5,
		Detail: "Redis responds but accepts no writes; nothing was written"}},
	{schema.ErrUnavailable, Problem{Name: "redis-unavailable", Code: 503, Title: "Redis unavailable", RetryAfter: 1,
		Detail: "Redis does not respond; nothing was written"}},
	{schema.ErrBusy, Problem{Name: "busy", Code: 503, Title: "Busy", RetryAfter: 1,
		Detail: "too many requests are waiting; nothing was written"}},
	{schema.ErrPartitionsChanged, Problem{Name: "partitions-changed", Code: 503, Title: "Configuration differs",
		RetryAfter: 30,
		Detail:     "this process and another disagree about the number of partitions; nothing was written"}},
	{context.DeadlineExceeded, Problem{Name: "timeout", Code: 503, Title: "Timeout", RetryAfter: 1,
		Detail: "the request waited too long; nothing was written"}},
}

// ClientGone is the code for a caller that went away before the answer, as proxies log it. The answer is also sent: the
// caller may have closed only its own half of the connection, and an answer without a code would look like success.
const ClientGone = 499

// Of translates any error. It is the only place that does, except for errors of a single server.
func Of(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if bad, ok := errors.AsType[*schema.InvalidError](err); ok {
		return &Problem{Name: "invalid", Code: 422, Title: "Invalid fields",
			Detail: "the entity does not accept these values", Fields: bad.Fields}
	}
	if foreign, ok := errors.AsType[*ForeignError](err); ok {
		return &Problem{Name: "foreign-value", Code: 409, Title: "Row not readable",
			Detail: "the row has a value that another program wrote and that its field cannot show: column " +
				foreign.Column + " " + foreign.Reason +
				"; put the record, patch the field, or correct the row",
			Fields: []schema.FieldError{{Field: foreign.Field, Reason: foreign.Reason}}}
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return TooLarge(tooLarge.Limit)
	}
	if p, ok := ofToken(err); ok {
		return p
	}
	if errors.Is(err, context.Canceled) {
		return &Problem{Name: "canceled", Code: ClientGone, Title: "Canceled",
			Detail: "the caller closed the connection before the answer; whether something was written is not known"}
	}
	for i := range known {
		if errors.Is(err, known[i].err) {
			p := known[i].problem
			if p.Code >= 500 {
				p.Cause = err
			}
			if of, ok := errors.AsType[*schema.SchemaError](err); ok {
				if of.Denied {
					p.Detail = fmt.Sprintf("the database's role has no right to read the table %s of %s (%v): GRANT it; nothing was written",
						of.Table, of.Entity, of.Err)
					return &p
				}
				p.Detail = fmt.Sprintf("the table %s of %s lacks what the entity needs (%v): run `afterwrite migrate`; nothing was written",
					of.Table, of.Entity, of.Err)
			}
			return &p
		}
	}
	return Internal(err)
}

// Internal is a fault of the server.
func Internal(cause error) *Problem {
	return &Problem{Name: "internal", Code: 500, Title: "Internal error", Cause: cause,
		Detail: "this is a fault of the server; its log has the cause under the request id"}
}

// UnknownRoute answers a path that no route matches.
func UnknownRoute() *Problem {
	return &Problem{Name: "unknown-route", Code: 404, Title: "Unknown route",
		Detail: "no route has this path; /openapi.json lists them"}
}

// UnknownEntity answers an entity name that the configuration does not contain.
func UnknownEntity(name string) *Problem {
	p := Of(schema.ErrUnknownEntity)
	p.Detail = fmt.Sprintf("the configuration names no entity %q", Clip(name))
	return p
}

// Method answers a method that the route does not support.
func Method(allow string) *Problem {
	return &Problem{Name: "method-not-allowed", Code: 405, Title: "Method not allowed",
		Detail: "this route takes " + allow}
}

// TooLarge answers a body of more than limit bytes.
func TooLarge(limit int64) *Problem {
	return &Problem{Name: "body-too-large", Code: 413, Title: "Body too large",
		Detail: fmt.Sprintf("the body has more than %d bytes", limit)}
}

// AnswerTooLarge answers a request whose answer would be too large.
func AnswerTooLarge(limit int) *Problem {
	return &Problem{Name: "answer-too-large", Code: 413, Title: "Answer too large",
		Detail: fmt.Sprintf("the answer would have more than %d bytes; ask for fewer records", limit)}
}

// TooMany answers a request that names more things than the limit.
func TooMany(what string, limit int) *Problem {
	return &Problem{Name: "too-many", Code: 413, Title: "Too many",
		Detail: fmt.Sprintf("there are more than %d %s", limit, what)}
}

// MediaType answers a body of another media type.
func MediaType(want ...string) *Problem {
	return &Problem{Name: "unsupported-media-type", Code: 415, Title: "Unsupported media type",
		Detail: "the Content-Type must be " + strings.Join(want, " or ") + ", in UTF-8"}
}

// ContentEncoding answers a body that is compressed or otherwise encoded.
func ContentEncoding() *Problem {
	return &Problem{Name: "unsupported-media-type", Code: 415, Title: "Unsupported media type", Encoding: "identity",
		Detail: "the body must come as it is, without a Content-Encoding"}
}

// Malformed answers a body that cannot be parsed.
func Malformed(format string, args ...any) *Problem {
	return &Problem{Name: "malformed", Code: 400, Title: "Malformed body", Detail: fmt.Sprintf(format, args...)}
}

// BadParameter answers an invalid query parameter; the reason follows its name.
func BadParameter(name, reason string) *Problem {
	return &Problem{Name: "bad-parameter", Code: 400, Title: "Bad query parameter",
		Detail: fmt.Sprintf("the query parameter %q %s", Clip(name), reason),
		Fields: []schema.FieldError{{Field: name, Reason: reason}}}
}

// BadHeader answers an invalid header; the reason follows its name.
func BadHeader(name, reason string) *Problem {
	return &Problem{Name: "bad-header", Code: 400, Title: "Bad header",
		Detail: "the header " + name + " " + reason,
		Fields: []schema.FieldError{{Field: name, Reason: reason}}}
}
