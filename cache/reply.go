package cache

import (
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// text reads a text of a script's reply; "" where there is none.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// parseVersion reads a version; 0 where there is none.
func parseVersion(text string) schema.Version {
	n, _ := strconv.ParseInt(text, 10, 64)
	return schema.Version(n)
}

// parseMS reads a time in ms; zero where there is none.
func parseMS(text string) time.Time {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n))
}
