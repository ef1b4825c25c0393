package api

import (
	"iter"
	"net/url"
	"strings"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// parameter is one query parameter. The raw value is still escaped.
type parameter struct {
	name string
	raw  string
}

// value returns the unescaped value. As in forms, a + is a space.
func (p parameter) value() (string, error) {
	v, err := url.QueryUnescape(p.raw)
	if err != nil {
		return "", problem.BadParameter(p.name, "is not percent-encoded as it must be")
	}
	return v, nil
}

// parameters yields the parameters of a query in order. Unlike [url.Values] it keeps the raw values, which distinguish
// a comma from an escaped comma.
func parameters(query string) iter.Seq2[parameter, error] {
	return func(yield func(parameter, error) bool) {
		for part := range strings.SplitSeq(query, "&") {
			if part == "" {
				continue
			}
			name, raw, _ := strings.Cut(part, "=")
			name, err := url.QueryUnescape(name)
			if err != nil {
				err = problem.BadParameter(part, "is not percent-encoded as it must be")
			}
			if !yield(parameter{name: name, raw: raw}, err) {
				return
			}
		}
	}
}
