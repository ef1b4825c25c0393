package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// serve answers with the handler of the request's method.
func (a *Admin) serve(methods map[string]handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		handle, err := a.admit(methods, w.Header(), r)
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, a.maxBody)
		code, body, err := handle(r.WithContext(ctx), a.actor(r), w.Header())
		if errors.Is(err, operate.ErrNotAudited) {
			w.Header().Set("Warning", `199 afterwrite "`+operate.ErrNotAudited.Error()+`"`)
			err = nil
		}
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		a.answer(w, r, code, body)
	}
}

// admit finds the handler, or says why the request is not for it.
func (a *Admin) admit(methods map[string]handler, h http.Header, r *http.Request) (handler, error) {
	if a.localOnly && (peer.Forwarded(r.Header) || !a.hosts.Allow(r.Host)) {
		return nil, errNotLocal
	}
	if err := a.origins.Check(r); err != nil {
		return nil, errCrossOrigin
	}
	if methods == nil {
		return nil, problem.UnknownRoute()
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle, ok := methods[method]
	if !ok {
		h.Set("Allow", allowed(methods))
		return nil, problem.Method(allowed(methods))
	}
	return handle, nil
}

func (a *Admin) answer(w http.ResponseWriter, r *http.Request, code int, body any) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		a.refuse(w, r, problem.Internal(err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(text.Len()))
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text.Bytes()) // a caller that is gone needs no answer
	}
}

// The problems that this surface alone knows.
var (
	errNotLocal = &problem.Problem{Name: "not-local", Code: http.StatusForbidden, Title: "Not for other machines",
		Detail: "without tokens the admin API answers this machine alone, under localhost or a name in api.hosts, and not through a proxy; " +
			"set api.require_tokens for others"}
	errCrossOrigin = &problem.Problem{Name: "cross-origin", Code: http.StatusForbidden, Title: "Cross-origin request",
		Detail: "a page of another origin may not change anything here"}
)

func errUnknownEntity(name string) error { return problem.UnknownEntity(name) }

// problemOf translates an error: what the operator alone says here, the rest as everywhere.
func problemOf(err error) *problem.Problem {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	switch {
	case errors.Is(err, operate.ErrStale):
		return &problem.Problem{Name: "stale", Code: http.StatusConflict, Title: "No longer dead or held",
			Detail: "a newer write, a worker or another operator was faster: the record is no longer dead, or held, at this version, and its newer state stands"}
	case errors.Is(err, operate.ErrTooManyHeld):
		return &problem.Problem{Name: "too-many", Code: http.StatusRequestEntityTooLarge, Title: "Too many",
			Detail: err.Error()}
	case errors.Is(err, operate.ErrNoJob):
		return errNoJob
	case errors.Is(err, operate.ErrTooManyJobs):
		return tooManyJobs()
	case errors.Is(err, operate.ErrNotConfigured):
		return &problem.Problem{Name: "entity-not-configured", Code: http.StatusConflict,
			Title: "Entity not configured", Detail: err.Error()}
	case errors.Is(err, ledger.ErrNoLetter):
		return &problem.Problem{Name: "no-dead-letter", Code: http.StatusNotFound, Title: "No such dead letter",
			Detail: "there is no dead letter with this number; resolved ones are kept for a time only"}
	case errors.Is(err, ledger.ErrPolicyChanged):
		return &problem.Problem{Name: "policy-changed", Code: http.StatusPreconditionFailed, Title: "Policy changed",
			Detail: "the policy is not at the version that was expected: another was set meanwhile; read it again"}
	}
	p := problem.Of(err)
	if p.Name == "invalid" {
		p.Title, p.Detail = "Invalid values", "these values are not accepted"
	}
	return p
}

func (a *Admin) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	id := w.Header().Get("X-Request-Id")
	if p.Cause != nil {
		a.log.WarnContext(r.Context(), "admin request failed", "request_id", id, "method", r.Method, "path", r.URL.Path,
			"problem", p.Name, "code", p.Code, "error", p.Cause)
	}
	p.SetHeader(w.Header())
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(p.AppendTo(nil, id), '\n'))
	}
}
