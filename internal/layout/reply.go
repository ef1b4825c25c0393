package layout

import (
	"strconv"
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
