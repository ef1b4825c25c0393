package token

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// nameForm is what may name a token: it stands in logs, in the audit and on pages.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// CheckName returns why a text is no name for a token, or nil.
func CheckName(name string) error {
	if nameForm.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is no name for a token: letters, digits and . _ @ -, 64 at most", name)
}

// ParseExpiry reads when a token ends: from now, such as 90d or 12h, a date or a time.
// Nothing is never, the zero time.
func ParseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	if d, bad := lifetime(text); err != nil && bad == nil {
		at, err = now.Add(d), nil
	}
	if err != nil {
		return at, fmt.Errorf("%q is neither a time, such as 90d or 12h from now, nor a date, such as 2027-01-31", text)
	}
	if !at.After(now) {
		return at, fmt.Errorf("%q has passed", text)
	}
	return at, nil
}

// lifetime reads a duration, in days too.
func lifetime(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

// State says in one word whether a token is in force: active, expired or revoked.
func (t Token) State(now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return "expired"
	}
	return "active"
}
