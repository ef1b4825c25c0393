package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// preference is what a request prefers (RFC 7240). Unknown preferences are ignored, as the RFC requires.
type preference struct {
	wait  time.Duration // how long to wait for the record to be persisted; 0: not at all
	async bool          // respond-async
	texts bool          // ints=string: whole numbers as JSON strings
	// versions: the versions of a list's records. A read of a single record, and of named ones, always has them.
	versions bool
}

// readPreference parses the Prefer headers; of a repeated preference the first counts. A wait longer than longest is
// shortened to longest.
func readPreference(h http.Header, longest time.Duration) preference {
	var p preference
	waiting := false
	for _, line := range h["Prefer"] {
		for item := range strings.SplitSeq(line, ",") {
			item, _, _ = strings.Cut(item, ";")
			name, value, _ := strings.Cut(item, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "respond-async":
				p.async = true
			case "versions":
				p.versions = true
			case "ints":
				p.texts = p.texts || strings.Trim(strings.TrimSpace(value), `"`) == "string"
			case "wait":
				seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
				if err != nil || waiting {
					continue
				}
				waiting = true
				p.wait = min(time.Duration(seconds)*time.Second, longest)
			}
		}
	}
	return p
}

// applied returns the value of Preference-Applied, "" if no preference was applied.
func (p preference) applied() string {
	var parts []string
	if p.async {
		parts = append(parts, "respond-async")
	}
	if p.texts {
		parts = append(parts, "ints=string")
	}
	if p.wait > 0 {
		parts = append(parts, "wait="+strconv.Itoa(int(p.wait/time.Second)))
	}
	return strings.Join(parts, ", ")
}
