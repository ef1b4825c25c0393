package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// condition is a write's precondition on the current record (RFC 9110, section 13).
type condition struct {
	any      bool             // If-Match: *
	versions []schema.Version // If-Match with a list; not nil even if no tag in it can be a version
	absent   bool             // If-None-Match: *
}

// readCondition parses a write's preconditions.
func readCondition(h http.Header) (condition, error) {
	var cond condition
	if values := h["If-Match"]; len(values) > 0 {
		list := strings.Join(values, ",")
		tags, ok := parseTags(list)
		if !ok {
			return cond,
				problem.BadHeader("If-Match", `must be "*" or a list of quoted versions, such as "1732386354000000"`)
		}
		cond.any = tags == nil
		cond.versions = tagVersions(tags)
	}
	if values := h["If-None-Match"]; len(values) > 0 {
		if len(values) > 1 || strings.TrimSpace(values[0]) != "*" {
			return cond, problem.BadHeader("If-None-Match", `can only be "*" on a write`)
		}
		cond.absent = true
	}
	if cond.absent && (cond.any || cond.versions != nil) {
		return cond, problem.BadHeader("If-None-Match", "contradicts If-Match")
	}
	return cond, nil
}

// match returns the one version that the write script compares with. If several versions are allowed, the record is
// read: if it is at one of them, the script checks that it still is.
func (a *API) match(ctx context.Context, e *schema.Entity, id string, cond condition) (schema.Version, error) {
	switch {
	case cond.any:
		return cache.AnyVersion, nil
	case cond.versions == nil:
		return 0, nil
	case len(cond.versions) == 1:
		return cond.versions[0], nil
	case len(cond.versions) == 0:
		return 0, errPrecondition("no tag of If-Match is a version of a record")
	}
	id, err := e.CanonicalID(id)
	if err != nil {
		return 0, err
	}
	read, err := a.cache.Get(ctx, e, id)
	if err != nil {
		return 0, err
	}
	if read.Source == cache.Bypass {
		return 0, schema.ErrUnavailable
	}
	for _, v := range cond.versions {
		if !read.Deleted && v == read.Version {
			return v, nil
		}
	}
	return 0, schema.ErrVersionMismatch
}

// tag is an entity tag.
type tag struct {
	value string // without quotes
}

// parseTags parses a list of entity tags; nil, true is "*".
func parseTags(list string) (tags []tag, ok bool) {
	if strings.TrimSpace(list) == "*" {
		return nil, true
	}
	rest := list
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return tags, tags != nil
		}
		var t tag
		rest = strings.TrimPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return nil, false
		}
		t.value, rest, ok = strings.Cut(rest[1:], `"`)
		if !ok {
			return nil, false
		}
		tags = append(tags, t)
		if rest = strings.TrimLeft(rest, " \t"); rest != "" && rest[0] != ',' {
			return nil, false
		}
	}
}

// versionOf parses the version in an entity tag. A proxy that compresses an answer makes its tag weak or adds a suffix
// such as -gzip, and the caller sends that tag back: the record is the same.
func versionOf(tag string) (schema.Version, error) {
	end := strings.IndexFunc(tag, func(r rune) bool { return r < '0' || r > '9' })
	if end > 0 && suffixes[tag[end:]] {
		tag = tag[:end]
	}
	return schema.ParseVersion(tag)
}

// suffixes are what proxies add to a tag: -gzip and -br by Apache, the others by nginx and other modules.
var suffixes = map[string]bool{"-gzip": true, "-br": true, "-zstd": true, "-deflate": true, "--gzip": true,
	"--br": true, "--zstd": true,
	";gzip": true, ";br": true, ";zstd": true, "_gzip": true, "_br": true, ":gzip": true, ":br": true}

// tagVersions keeps the tags that are versions, including weak ones: see versionOf. It returns nil only for nil.
func tagVersions(tags []tag) []schema.Version {
	if tags == nil {
		return nil
	}
	versions := make([]schema.Version, 0, len(tags))
	for _, t := range tags {
		if v, err := versionOf(t.value); err == nil {
			versions = append(versions, v)
		}
	}
	return versions
}

// unchanged reports whether If-None-Match of a read names the version, so that the caller already has it.
func unchanged(h http.Header, v schema.Version) bool {
	values := h["If-None-Match"]
	if len(values) == 0 || v == 0 {
		return false
	}
	tags, ok := parseTags(strings.Join(values, ","))
	if ok && tags == nil {
		return true
	}
	for _, t := range tags {
		if given, err := versionOf(t.value); err == nil && given == v {
			return true
		}
	}
	return false
}

// idempotencyKey parses the Idempotency-Key: a quoted string, as in the header's draft, or unquoted, as most clients
// send it.
func idempotencyKey(h http.Header) (string, error) {
	values := h["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", problem.BadHeader("Idempotency-Key", "is there twice")
	}
	key := strings.TrimSpace(values[0])
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquoteHeader(key); !ok {
			return "", problem.BadHeader("Idempotency-Key", "is not a quoted string")
		}
	}
	if reason := keyFault(key); reason != "" {
		return "", problem.BadHeader("Idempotency-Key", reason)
	}
	return key, nil
}

// keyFault returns what is wrong with an operation id, or "".
func keyFault(key string) string {
	switch {
	case key == "":
		return "is empty"
	case len(key) > producer.MaxKey:
		return fmt.Sprintf("has more than %d bytes", producer.MaxKey)
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }):
		return "can only have printable ASCII characters"
	}
	return ""
}

// unquoteHeader parses a string of RFC 8941.
func unquoteHeader(s string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || (s[i] != '"' && s[i] != '\\') {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
