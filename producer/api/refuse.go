package api

import (
	"net/http"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// Refuse answers a request before the API is ready, in the form of an API's answer.
func Refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	id := requestID(r)
	h := w.Header()
	h["X-Request-Id"] = []string{id}
	h["X-Content-Type-Options"] = headerNosniff
	h["Cache-Control"] = headerNoStore
	p.SetHeader(h)
	w.WriteHeader(p.Code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(p.AppendTo(nil, id), '\n'))
	}
}
