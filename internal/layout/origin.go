package layout

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// The origin of a traced write is two fields of its record: _t, the version of the write and OriginTrace, and _q, the
// request id. Each is below the 64 bytes up to which Redis keeps a small hash compact. A build that does not know them
// leaves them where they are, so _t names the version: an origin from before the record became pending is void.

// OriginTrace returns trace and span id as text: 24 bytes in base64.
func OriginTrace(o *schema.Origin) string {
	return base64.RawURLEncoding.EncodeToString(append(append(make([]byte, 0, 24), o.TraceID[:]...), o.SpanID[:]...))
}

// maxRequest bounds the bytes of a request id that is stored with a record. Redis stores a hash with a longer value in
// a form that takes several times the memory.
const maxRequest = 64

// OriginRequest returns the request id as it is stored: "" for one that is longer than a record may hold, or that an
// event could not have as it is.
func OriginRequest(o *schema.Origin) string {
	if len(o.Request) > maxRequest || strings.ContainsFunc(o.Request, unfit) {
		return ""
	}
	return o.Request
}

func unfit(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`;"\`, r) }

// OriginStamp returns the field _t of an origin that was read.
func OriginStamp(o *schema.Origin) string { return o.Version.String() + " " + OriginTrace(o) }

// OriginText returns an origin as events have it: _t, a space and _q; "" for none.
func OriginText(o *schema.Origin) string {
	if o == nil {
		return ""
	}
	return OriginStamp(o) + " " + OriginRequest(o)
}

// Origin decodes the fields _t and _q; nil if there are none, or they cannot be decoded.
func Origin(stamp, request string) *schema.Origin {
	version, text, _ := strings.Cut(stamp, " ")
	ids, err := base64.RawURLEncoding.DecodeString(text)
	o := &schema.Origin{Request: request, Version: Version(version)}
	if err != nil || len(ids) != len(o.TraceID)+len(o.SpanID) || o.Version == 0 {
		return nil
	}
	copy(o.SpanID[:], ids[copy(o.TraceID[:], ids):])
	return o
}

// EventOrigins decodes the last text of an event's message, if it belongs to no id: for some of the records, by their
// number from 0, their [OriginText], separated by semicolons. Builds that do not know it read the pairs before it.
func EventOrigins(text string) map[int]*schema.Origin {
	origins := map[int]*schema.Origin{}
	for one := range strings.SplitSeq(text, ";") {
		number, origin, _ := strings.Cut(one, " ")
		version, rest, _ := strings.Cut(origin, " ")
		ids, request, _ := strings.Cut(rest, " ")
		if n, err := strconv.Atoi(number); err == nil {
			origins[n] = Origin(version+" "+ids, request)
		}
	}
	return origins
}
