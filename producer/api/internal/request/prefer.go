package request

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Preference is what a request prefers (RFC 7240). Unknown preferences are ignored, as the RFC requires.
type Preference struct {
	Wait  time.Duration // how long to wait for the record to be persisted; 0: not at all
	Async bool          // respond-async
	Texts bool          // ints=string: whole numbers as JSON strings
	// Versions: the versions of a list's records. A read of a single record, and of named ones, always has them.
	Versions bool
}

// ReadPreference parses the Prefer headers; of a repeated preference the first counts. A wait longer than longest is
// shortened to longest.
func ReadPreference(h http.Header, longest time.Duration) Preference {
	var p Preference
	waiting := false
	for _, line := range h["Prefer"] {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, ";")
			name, value, _ := strings.Cut(item, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				p.Async = true
			case "versions":
				p.Versions = true
			case "ints":
				p.Texts = p.Texts || strings.Trim(strings.TrimSpace(value), `"`) == "string"
			case "wait":
				seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
				if err != nil || waiting {
					continue
				}
				waiting = true
				p.Wait = min(time.Duration(seconds)*time.Second, longest)
			}
		}
	}
	return p
}

// Applied returns the value of Preference-Applied, "" if no preference was applied.
func (p Preference) Applied() string {
	var parts []string
	if p.Async {
		parts = append(parts, "respond-async")
	}
	if p.Texts {
		parts = append(parts, "ints=string")
	}
	if p.Wait > 0 {
		parts = append(parts, "wait="+strconv.Itoa(int(p.Wait/time.Second)))
	}
	return strings.Join(parts, ", ")
}
