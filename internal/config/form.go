package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/schema"
)

// A form parses the text of one scalar and stores the value. The error says what the value must be, without naming the
// setting.
type form func(text string) error

// kind is the required YAML type of a scalar; it is checked before its form parses the text.
type kind int

const (
	word   kind = iota // a string
	number             // a plain number
	truth              // true or false
	amount             // a string or a plain number: sizes, "0" as a duration
)

// words returns a form for a string that check accepts.
func words(at *string, check func(string) error) form {
	return func(text string) error {
		if check != nil {
			if err := check(text); err != nil {
				return err
			}
		}
		*at = text
		return nil
	}
}

func oneOf[T ~string](at *T, choices ...T) form {
	return func(text string) error {
		if slices.Contains(choices, T(text)) {
			*at = T(text)
			return nil
		}
		names := make([]string, len(choices))
		for i, c := range choices {
			names[i] = string(c)
		}
		return fmt.Errorf("%q is not one of %s%s", text, strings.Join(names, ", "), suggest(text, names))
	}
}

func boolean(at *bool) form {
	return func(text string) error {
		switch text {
		case "true":
			*at = true
		case "false":
			*at = false
		default:
			return fmt.Errorf("must be true or false")
		}
		return nil
	}
}

// plainInt excludes what YAML 1.1 reads as octal, hexadecimal or grouped digits: parsers disagree about those.
var plainInt = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func whole(at *int, low, high int) form {
	return func(text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || !plainInt.MatchString(text) {
			return fmt.Errorf("must be a whole number, such as %d", max(low, 1))
		}
		if n < low || n > high {
			if high == math.MaxInt {
				return fmt.Errorf("must be at least %d", low)
			}
			return fmt.Errorf("must be from %d to %d", low, high)
		}
		*at = n
		return nil
	}
}

func ratio(at *float64) form {
	return func(text string) error {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return fmt.Errorf("must be a number, such as 2 or 1.5")
		}
		*at = n
		return nil
	}
}

func duration(at *time.Duration, low, high time.Duration) form {
	return func(value string) error {
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("must be a duration with its unit, such as 50ms, 1s or 5m")
		}
		if d < low || d > high {
			return fmt.Errorf("must be from %s to %s", text.Setting(low), text.Setting(high))
		}
		*at = d
		return nil
	}
}

// units are powers of two, as is usual for memory.
var units = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

func size(at *int64, low, high int64) form {
	return func(text string) error {
		for _, u := range units {
			digits, ok := strings.CutSuffix(text, u.suffix)
			if !ok || !plainInt.MatchString(digits) {
				continue
			}
			n, err := strconv.ParseInt(digits, 10, 64)
			if err != nil || n < low/u.bytes || n > high/u.bytes || n*u.bytes < low {
				return fmt.Errorf("must be from %d to %d bytes", low, high)
			}
			*at = n * u.bytes
			return nil
		}
		return fmt.Errorf("must be a size, such as 512KiB, 1MiB or a number of bytes")
	}
}

func percentage(at *float64) form {
	return func(text string) error {
		digits, ok := strings.CutSuffix(text, "%")
		n, err := strconv.ParseFloat(digits, 64)
		if !ok || err != nil || !(n >= 0 && n <= 100) {
			return fmt.Errorf("must be a percentage from 0%% to 100%%, such as 10%%")
		}
		*at = n / 100
		return nil
	}
}

func address(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("must be HOST:PORT, such as 127.0.0.1:8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not from 0 to 65535", port)
	} else if strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("port %q is not a plain number", port)
	}
	return nil
}

// scheme returns a check that a URL has one of the schemes. The error never quotes the URL, which can contain a
// password.
func scheme(schemes ...string) func(string) error {
	return func(text string) error {
		for _, s := range schemes {
			if !strings.HasPrefix(text, s+"://") {
				continue
			}
			if len(text) == len(s)+3 {
				return fmt.Errorf("is a URL that ends after its scheme")
			}
			// A path or a list of hosts need not be a valid URL.
			if s == "sqlite" || strings.Contains(text, ",") {
				return nil
			}
			if _, err := url.Parse(text); err != nil {
				return fmt.Errorf("is not a valid URL; escape special characters in the password as %%XX")
			}
			return nil
		}
		return fmt.Errorf("must be a URL that begins with %s://", strings.Join(schemes, ":// or "))
	}
}

var redisURL = scheme("redis", "rediss", "redis-sentinel", "redis-cluster")

func optional(check func(string) error) func(string) error {
	return func(text string) error {
		if text == "" {
			return nil
		}
		return check(text)
	}
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// keyPrefix rejects braces and colons in the prefix: they would change a key's slot or the position of its parts.
func keyPrefix(text string) error {
	if !prefixForm.MatchString(text) {
		return fmt.Errorf("must be 1 to 64 of A to Z, a to z, 0 to 9, _, . and -")
	}
	return nil
}

// maxIdentifier is PostgreSQL's limit on the bytes of a name; it truncates longer names without an error.
const maxIdentifier = 63

func identifier(text string) error {
	switch {
	case text == "":
		return fmt.Errorf("is empty")
	case len(text) > maxIdentifier:
		return fmt.Errorf("is %d bytes, more than the %d that PostgreSQL keeps of a name", len(text), maxIdentifier)
	case strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r == 0x7f ||
			strings.ContainsRune("\"'`;:?\\", r)
	}):
		return fmt.Errorf("contains a space, a control character or one of \" ' ` ; : ? \\")
	}
	return nil
}

// columnName is an identifier without a point; in a table's name a point separates the schema.
func columnName(text string) error {
	if strings.Contains(text, ".") {
		return fmt.Errorf("contains a point")
	}
	return identifier(text)
}

// columnNames is the list of the columns of a composite key.
func columnNames(at *[]string) func([]string) error {
	return func(items []string) error {
		for _, name := range items {
			if err := columnName(name); err != nil {
				return fmt.Errorf("%q %w", name, err)
			}
		}
		if len(items) < 2 {
			return fmt.Errorf("must be two columns or more, such as [tenant_id, id]; one is id.column")
		}
		*at = items
		return nil
	}
}

func queueName(text string) error {
	if !schema.ValidName(text) {
		return fmt.Errorf("must be a to z, then a to z, 0 to 9 and _")
	}
	return nil
}

func origins(at *[]string) func([]string) error {
	return func(items []string) error {
		for _, s := range items {
			u, err := url.Parse(s)
			if s != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != s) {
				return fmt.Errorf("%q is neither * nor an origin such as https://example.com", s)
			}
		}
		*at = items
		return nil
	}
}

// widestNetwork is the shortest allowed prefix of a network of proxies: fc00::/7 contains all private IPv6 addresses;
// 10.0.0.0/8 is the largest private IPv4 network.
const widestNetwork = 7

// hosts are names without a port, as a Host header has them.
func hosts(at *[]string) func([]string) error {
	return func(items []string) error {
		for _, s := range items {
			u, err := url.Parse("http://" + s + "/")
			if _, ip := netip.ParseAddr(s); ip == nil {
				continue
			}
			if err != nil || s == "" || u.Host != s || u.Port() != "" || strings.ContainsAny(s, "*:") {
				return fmt.Errorf("%q is not the name of a host such as api.example.com, without a port", s)
			}
		}
		*at = items
		return nil
	}
}

func networks(at *[]netip.Prefix) func([]string) error {
	return func(items []string) error {
		list := make([]netip.Prefix, 0, len(items))
		for _, s := range items {
			p, err := netip.ParsePrefix(s)
			if a, e := netip.ParseAddr(s); err != nil && e == nil {
				p, err = a.Prefix(a.BitLen())
			}
			if err != nil {
				return fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", s)
			}
			if p.Bits() < widestNetwork {
				return fmt.Errorf("%q trusts what nearly everybody writes about themselves: name the proxies' own network", s)
			}
			list = append(list, p.Masked())
		}
		*at = list
		return nil
	}
}

func weights(at *map[string]int) func([]string) error {
	return func(items []string) error {
		m := make(map[string]int, len(items))
		for _, s := range items {
			name, text, ok := strings.Cut(s, ":")
			name, text = strings.TrimSpace(name), strings.TrimSpace(text)
			if !ok {
				return fmt.Errorf("%q is not a queue and its weight such as default:1", s)
			}
			if err := queueName(name); err != nil {
				return fmt.Errorf("queue %q %w", name, err)
			}
			var n int
			if err := whole(&n, 1, 1000)(text); err != nil {
				return fmt.Errorf("the weight of queue %q %w", name, err)
			}
			m[name] = n
		}
		*at = m
		return nil
	}
}
