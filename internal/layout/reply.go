package layout

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Text returns a text of a script's reply, or "" if the value is not a text.
func Text(v any) string {
	s, _ := v.(string)
	return s
}

// Version decodes a version; 0 if there is none.
func Version(text string) schema.Version {
	n, _ := strconv.ParseInt(text, 10, 64)
	return schema.Version(n)
}

// Time decodes a time in ms; the zero time if there is none.
func Time(text string) time.Time {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n))
}

// MS returns a duration in ms, as the scripts expect it.
func MS(d time.Duration) int64 { return d.Milliseconds() }

// Pairing decodes the fields deployment and life of the pairing.
func Pairing(found []any) schema.Pairing {
	return schema.Pairing{Deployment: Text(found[0]), Life: Text(found[1])}
}

// Changed are the names of the fields that a write has changed; "*" for all of them but those with a "!" before.
type Changed struct {
	Version schema.Version
	Names   []string
}

// Changes are what a record's field _c lists for each write, oldest first, or nil where it says nothing of that
// version. See the package cache.
func Changes(changed string, version schema.Version) (writes []Changed) {
	if changed == "" {
		return nil
	}
	for group := range strings.SplitSeq(changed, ";") {
		at, list, _ := strings.Cut(group, " ")
		writes = append(writes, Changed{Version(at), strings.Split(list, ",")})
	}
	if writes[len(writes)-1].Version != version {
		return nil
	}
	return writes
}

// WrittenLater reports whether a record's field _c says that one field was written after another.
func WrittenLater(changed string, version schema.Version, name, other string) bool {
	last := func(name string) int {
		at := -1
		for i, c := range Changes(changed, version) {
			if slices.Contains(c.Names, name) {
				at = i
			}
		}
		return at
	}
	return last(name) > last(other)
}
