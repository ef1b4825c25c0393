package request

import (
	"net/http"
	"strings"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// Condition is a write's precondition on the current record (RFC 9110, section 13).
type Condition struct {
	Any      bool             // If-Match: *
	Versions []schema.Version // If-Match with a list; not nil even if no tag in it can be a version
	Absent   bool             // If-None-Match: *
}

// ReadCondition parses a write's preconditions.
func ReadCondition(h http.Header) (Condition, error) {
	var cond Condition
	if values := h["If-Match"]; len(values) > 0 {
		list := strings.Join(values, ",")
		tags, ok := parseTags(list)
		if !ok {
			return cond,
				problem.BadHeader("If-Match", `must be "*" or a list of quoted versions, such as "1732386354000000"`)
		}
		cond.Any = tags == nil
		cond.Versions = tagVersions(tags)
	}
	if values := h["If-None-Match"]; len(values) > 0 {
		if len(values) > 1 || strings.TrimSpace(values[0]) != "*" {
			return cond, problem.BadHeader("If-None-Match", `can only be "*" on a write`)
		}
		cond.Absent = true
	}
	if cond.Absent && (cond.Any || cond.Versions != nil) {
		return cond, problem.BadHeader("If-None-Match", "contradicts If-Match")
	}
	return cond, nil
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

// Unchanged reports whether If-None-Match of a read names the version, so that the caller already has it.
func Unchanged(h http.Header, v schema.Version) bool {
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
