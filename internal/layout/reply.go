package layout

import (
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Text is a text of a script's reply; "" where there is none.
func Text(v any) string {
	s, _ := v.(string)
	return s
}

// Version reads a version; 0 where there is none.
func Version(text string) schema.Version {
	n, _ := strconv.ParseInt(text, 10, 64)
	return schema.Version(n)
}

// Time reads a time in ms; zero where there is none.
func Time(text string) time.Time {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n))
}

// MS is a duration as the scripts take it.
func MS(d time.Duration) int64 { return d.Milliseconds() }

// Pairing reads the fields deployment and life of the pairing.
func Pairing(found []any) schema.Pairing {
	return schema.Pairing{Deployment: Text(found[0]), Life: Text(found[1])}
}
