package request

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// ByQuery is the segment for the record that the parameter id names, in every path with an id: /v1/user/-?id=a%2Fb,
// /v1/user/-/status?id=a%2Fb. Proxies decode, merge and resolve parts of a path; they forward a query unchanged.
const ByQuery = "-"

// PathSafe reports whether an id in a path names the same record before and after every proxy. Reverse proxies decode a
// path once or twice, merge slashes, resolve the segments . and .., treat a backslash as a slash, cut off what follows
// a semicolon, and, if they forward the decoded path, begin the query at a question mark.
func PathSafe(id string) bool {
	if id == "." || id == ".." || id == ByQuery {
		return false
	}
	for i := range len(id) {
		switch b := id[i]; {
		case b == '/' || b == '\\' || b == '?' || b == '#' || b == ';':
			return false
		case b != 0 && b < ' ' || b == 0x7f: // no id contains NUL
			return false
		case b == '%' && i+2 < len(id) && isHex(id[i+1]) && isHex(id[i+2]):
			return false
		}
	}
	return true
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// RecordPath returns the path and query of a record, in the form that every proxy forwards unchanged. inPath reports
// whether the id may be in the path at all.
func RecordPath(e *schema.Entity, id string, inPath bool) string {
	if inPath && PathSafe(id) {
		return "/v1/" + e.Name + "/" + url.PathEscape(id)
	}
	return "/v1/" + e.Name + "/" + ByQuery + "?id=" + strings.ReplaceAll(url.QueryEscape(id), "+", "%20")
}

// IDOf returns the id in a query.
func IDOf(query string) (id string, err error) {
	found := false
	for p, err := range Parameters(query) {
		if err != nil {
			return "", err
		}
		if p.Name != "id" {
			continue
		}
		if found {
			return "", problem.BadParameter("id", "is there twice")
		}
		found = true
		if id, err = p.Value(); err != nil {
			return "", err
		}
	}
	if !found {
		return "", problem.BadParameter("id", "is missing: the segment - stands for the record that it names")
	}
	return id, nil
}

// HasID reports whether a query names a record.
func HasID(query string) bool {
	for p := range Parameters(query) {
		if p.Name == "id" {
			return true
		}
	}
	return false
}

// originals are the headers in which a proxy that rewrites paths forwards the client's path: Envoy's own, that of
// nginx's usual recipes, and that of Traefik and Caddy.
var originals = []string{"X-Envoy-Original-Path", "X-Original-Uri", "X-Forwarded-Uri"}

// Rewritten rejects a request whose original path was rewritten and means something else behind a proxy. Such a
// request may name another record than its client's.
func Rewritten(h http.Header) error {
	for _, name := range originals {
		for _, uri := range h[name] {
			path, _, _ := strings.Cut(uri, "?")
			if !pathKept(path) {
				return &problem.Problem{Name: "path-rewritten", Code: http.StatusBadRequest,
					Title: "Path rewritten by a proxy",
					Detail: "a proxy in front has rewritten a path that may name another record then; address the record by the parameter id, " +
						"as in /v1/ENTITY/-?id=ID"}
			}
		}
	}
	return nil
}

// pathKept reports whether a path means the same before and after a proxy.
func pathKept(path string) bool {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		id, err := url.PathUnescape(segment)
		switch {
		case err != nil:
			return false
		case id == "" && i < len(segments)-1:
			return false
		case id != ByQuery && !PathSafe(id):
			return false
		}
	}
	return true
}
