package api

import (
	"context"
	"net/http"
	"strings"
)

// AdminSurface serves what is under /v1/admin/, and describes it for /openapi.json.
type AdminSurface interface {
	http.Handler
	OpenAPI() (paths, schemas map[string]any)
}

// adminPath begins the paths of the admin API.
const adminPath = "/v1/admin/"

// isAdmin reports whether a path belongs to the admin API, which no other origin can call, whatever the configuration
// allows for the rest.
func (a *API) isAdmin(path string) bool {
	return a.admin != nil && strings.HasPrefix(path, adminPath)
}

// serveAdmin passes a request on, with its request id in the answer's header.
func (a *API) serveAdmin(_ context.Context, c *call) error {
	w := &coded{ResponseWriter: c.w}
	defer func() { c.code = w.code }()
	a.admin.ServeHTTP(w, c.r)
	return nil
}

// coded records the status of an answer that another handler writes.
type coded struct {
	http.ResponseWriter
	code int
}

func (w *coded) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *coded) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *coded) Unwrap() http.ResponseWriter { return w.ResponseWriter }
