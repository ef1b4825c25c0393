package problem

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// WantType rejects a body of another media type or charset, and an encoded body. A missing Content-Type is rejected
// too: a browser sends such a request to another origin without a CORS preflight.
func WantType(h http.Header, types ...string) error {
	for _, encoding := range h["Content-Encoding"] {
		if !strings.EqualFold(encoding, "identity") {
			return ContentEncoding()
		}
	}
	given := h["Content-Type"]
	if len(given) == 1 && slices.Contains(types, given[0]) {
		return nil
	}
	if len(given) != 1 {
		return MediaType(types...)
	}
	media, parameters, err := mime.ParseMediaType(given[0])
	if err != nil || !slices.Contains(types, media) {
		return MediaType(types...)
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return MediaType(types...)
	}
	return nil
}
