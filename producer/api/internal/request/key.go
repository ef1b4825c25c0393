package request

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer"
)

// IdempotencyKey parses the Idempotency-Key: a quoted string, as in the header's draft, or unquoted, as most clients
// send it.
func IdempotencyKey(h http.Header) (string, error) {
	values := h["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", problem.BadHeader("Idempotency-Key", "is there twice")
	}
	key := strings.TrimSpace(values[0])
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquoteHeader(key); !ok {
			return "", problem.BadHeader("Idempotency-Key", "is not a quoted string")
		}
	}
	if reason := keyFault(key); reason != "" {
		return "", problem.BadHeader("Idempotency-Key", reason)
	}
	return key, nil
}

// keyFault returns what is wrong with an operation id, or "".
func keyFault(key string) string {
	switch {
	case key == "":
		return "is empty"
	case len(key) > producer.MaxKey:
		return fmt.Sprintf("has more than %d bytes", producer.MaxKey)
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }):
		return "can only have printable ASCII characters"
	}
	return ""
}

// unquoteHeader parses a string of RFC 8941.
func unquoteHeader(s string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || (s[i] != '"' && s[i] != '\\') {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
