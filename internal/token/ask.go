package token

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// nameForm is the form of a token's name, which appears in logs, in the audit and on pages.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// CheckName returns an error if a text cannot name a token.
func CheckName(name string) error {
	if nameForm.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is no name for a token: letters, digits and . _ @ -, 64 at most", name)
}

// ParseExpiry parses when a token expires: a duration from now, such as 90d or 12h, a date or a time. An empty text
// means never, the zero time.
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

// lifetime parses a duration, also in days.
func lifetime(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

// State returns whether a token is active, expired or revoked, as one word.
func (t Token) State(now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return "expired"
	}
	return "active"
}
