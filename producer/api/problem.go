package api

import (
	"errors"
	"net/http"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// ProblemPrefix begins the "type" of every problem. The rest of the type is stable: callers can distinguish problems by
// it.
const ProblemPrefix = problem.Prefix

// errPathID rejects an id whose path a proxy may rewrite into another record's path.
func (a *API) errPathID(e *schema.Entity, id string) error {
	return &problem.Problem{Name: "id-not-in-path", Code: http.StatusBadRequest, Title: "Id not possible in a path",
		Detail: "proxies rewrite what the path of this id has in it; address the record as " + a.recordURL(e, id) +
			", or in POST /v1/batch",
		Fields: []schema.FieldError{{Field: "id", Reason: "cannot stand in a path; the parameter id takes it"}}}
}

func errPrecondition(detail string) error {
	p := problem.Of(schema.ErrVersionMismatch)
	p.Detail = detail
	return p
}

func invalid(field, reason string) error { return schema.Invalid(field, "%s", reason) }

// errRefused is the answer to a writer that waited until the database refused its write. The write stays accepted: it
// is held or dead.
func errRefused(e *schema.Entity, r problem.Refused) *problem.Problem {
	p := &problem.Problem{Name: "refused", Code: http.StatusUnprocessableEntity, Title: "Refused by the database",
		Refused: &r,
		Detail:  "the write was accepted, but the database refuses the record"}
	switch r.Kind {
	case schema.KindUnique:
		p.Name, p.Code, p.Title = "refused-unique", http.StatusConflict, "Another record has this value"
	case schema.KindForeignKey:
		p.Name, p.Code, p.Title = "refused-foreign-key", http.StatusConflict,
			"A record that this one needs is missing, or another needs this one"
	case schema.KindMissing:
		p.Name, p.Code, p.Title = "refused-missing", http.StatusConflict, "Another program deleted the row"
	}
	if r.Column != "" {
		p.Fields = []schema.FieldError{{Field: fieldOf(e, r.Column), Reason: "refused by the database: " +
			string(r.Kind)}}
	}
	return p
}

// refusedFirst returns the refusal of a write that goes to the database first; any other error is returned unchanged.
func refusedFirst(err error) error {
	r, ok := errors.AsType[*producer.RefusedError](err)
	if !ok {
		return err
	}
	p := errRefused(r.Entity, problem.Refused{Refusal: r.Refusal, Version: r.Version, Status: r.Status})
	if r.Version == 0 {
		p.Detail = "the database refuses the record; nothing was written"
	}
	return p
}

// fieldOf returns the name of the field that a column stores.
func fieldOf(e *schema.Entity, column string) string {
	for i := range e.Fields {
		if e.Fields[i].Column == column {
			return e.Fields[i].Name
		}
	}
	if column == e.ID.Column && !e.ID.Composite() {
		return "id"
	}
	return column
}

// refuse answers with the problem of err and logs errors of the server.
func (a *API) refuse(c *call, err error) {
	p := problem.Of(err)
	if p.Cause != nil {
		a.logFault(c, p)
	}
	if c.code != 0 {
		return // the answer had already begun
	}
	p.SetHeader(c.header)
	c.out = append(p.AppendTo(c.out[:0], c.requestID), '\n')
	c.send(p.Code, c.out)
}

func (a *API) logFault(c *call, p *problem.Problem) {
	log := a.log.WarnContext
	if p.Code == http.StatusInternalServerError {
		log = a.log.ErrorContext
	}
	log(c.r.Context(), "request failed", "request_id", c.requestID, "method", c.r.Method, "route", c.end.name,
		"entity", c.entityName(), "token", c.who.Name, "problem", p.Name, "code", p.Code, "error", p.Cause)
}
