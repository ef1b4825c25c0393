package problem

import (
	"errors"
	"fmt"

	"github.com/afterwrite/afterwrite/internal/token"
)

// challenge begins the WWW-Authenticate header (RFC 6750).
const challenge = `Bearer realm="afterwrite"`

// badTokens are the errors of a token that a request carries.
var badTokens = []struct {
	err  error
	name string
}{
	{token.ErrMistyped, "token-mistyped"},
	{token.ErrUnknown, "token-unknown"},
	{token.ErrExpired, "token-expired"},
	{token.ErrTicket, "ticket-unknown"},
}

// ofToken translates the error of a request's token.
func ofToken(err error) (*Problem, bool) {
	if beyond, ok := errors.AsType[*token.ScopeError](err); ok {
		return &Problem{Name: "scope-missing", Code: 403, Title: "Scope missing", Detail: beyond.Error(),
			Challenge: fmt.Sprintf(`%s, error="insufficient_scope", scope="%s"`, challenge, beyond.Needs)}, true
	}
	switch {
	case errors.Is(err, token.ErrNone), errors.Is(err, token.ErrScheme):
		return &Problem{Name: "token-missing", Code: 401, Title: "Token missing",
			Detail: err.Error() + "; create one with `afterwrite token new`", Challenge: challenge}, true
	case errors.Is(err, token.ErrRepeated):
		return BadHeader("Authorization", "is there twice"), true
	case errors.Is(err, token.ErrUnread):
		return &Problem{Name: "tokens-unread", Code: 503, Title: "Tokens cannot be checked", RetryAfter: 2, Cause: err,
			Detail: "the database, which stores the tokens, does not respond; nothing was done"}, true
	}
	for _, bad := range badTokens {
		if errors.Is(err, bad.err) {
			return &Problem{Name: bad.name, Code: 401, Title: "Token refused", Detail: bad.err.Error(),
				Challenge: fmt.Sprintf(`%s, error="invalid_token", error_description="%s"`, challenge, bad.err)}, true
		}
	}
	return nil, false
}
