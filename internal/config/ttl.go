package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/afterwrite/afterwrite/schema"
)

// maxTTL bounds the TTL of cached records.
const maxTTL = 365 * long

// readClasses parses the named TTLs.
func (r *reader) readClasses(n ast.Node) {
	r.classes = map[string]time.Duration{}
	for _, p := range r.mapping(n, "ttl_classes") {
		path := join("ttl_classes", p.key)
		if !schema.ValidName(p.key) {
			r.fault(p.node, path, "a name is a to z, then a to z, 0 to 9 and _")
			continue
		}
		var ttl time.Duration
		r.value(p.value, path, setting{text: duration(&ttl, time.Second, maxTTL), kind: amount})
		r.classes[p.key] = ttl
	}
}

// ttl returns the form of a TTL: a duration, or the name of a class.
func (r *reader) ttl(at *time.Duration) form {
	return func(text string) error {
		if ttl, ok := r.classes[text]; ok {
			*at = ttl
			return nil
		}
		if !schema.ValidName(text) {
			return duration(at, time.Second, maxTTL)(text)
		}
		known := slices.Sorted(maps.Keys(r.classes))
		if len(known) == 0 {
			return fmt.Errorf("%q is no class: there are no ttl_classes", text)
		}
		return fmt.Errorf("%q is no class; the ttl_classes are %s%s", text, strings.Join(known, ", "),
			suggest(text, known))
	}
}

// adaptive parses TTLs by the age of a record's last change.
func (r *reader) adaptive(n ast.Node, path string) []schema.AgedTTL {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(n, path, "must be a list, such as [{older_than: 24h, ttl: 1h}, {ttl: 5m}], not %s", describe(n))
		return nil
	}
	steps := make([]schema.AgedTTL, len(list.Values))
	for i, v := range list.Values {
		r.section(v, fmt.Sprintf("%s[%d]", path, i), []setting{
			{path: "older_than", text: duration(&steps[i].OlderThan, time.Second, 10*maxTTL), kind: amount},
			{path: "ttl", text: r.ttl(&steps[i].TTL), kind: amount},
		}, nil)
	}
	return steps
}
