package request

import (
	"iter"
	"net/url"
	"strings"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// Parameter is one query parameter. Raw, its value, is still escaped.
type Parameter struct {
	Name string
	Raw  string
}

// Value returns the unescaped value. As in forms, a + is a space.
func (p Parameter) Value() (string, error) {
	v, err := url.QueryUnescape(p.Raw)
	if err != nil {
		return "", problem.BadParameter(p.Name, "is not percent-encoded as it must be")
	}
	return v, nil
}

// Parameters yields the parameters of a query in order. Unlike [url.Values] it keeps the raw values, which distinguish
// a comma from an escaped comma.
func Parameters(query string) iter.Seq2[Parameter, error] {
	return func(yield func(Parameter, error) bool) {
		for part := range strings.SplitSeq(query, "&") {
			if part == "" {
				continue
			}
			name, raw, _ := strings.Cut(part, "=")
			name, err := url.QueryUnescape(name)
			if err != nil {
				err = problem.BadParameter(part, "is not percent-encoded as it must be")
			}
			if !yield(Parameter{Name: name, Raw: raw}, err) {
				return
			}
		}
	}
}
