package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds the nesting of a value; only a field's JSON default nests.
const maxDepth = 64

// reader walks the tree of one file, records the position of each setting, and collects faults.
type reader struct {
	file   string
	faults faults
	at     map[string]*token.Position // path of a setting → its key

	classes map[string]time.Duration // TTLs by the names of their classes
}

func (r *reader) fault(n ast.Node, path, format string, args ...any) {
	f := &Fault{Source: r.file, Path: path, Reason: fmt.Sprintf(format, args...)}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		f.Line, f.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	r.faults.add(f)
}

// faultAt is fault for a setting that was parsed before.
func (r *reader) faultAt(path, format string, args ...any) {
	f := &Fault{Source: r.file, Path: path, Reason: fmt.Sprintf(format, args...)}
	for at := path; ; at = parent(at) {
		if p := r.at[at]; p != nil {
			f.Line, f.Column = p.Line, p.Column
			break
		}
		if at == "" {
			break
		}
	}
	r.faults.add(f)
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// pair is one key of a mapping and its value.
type pair struct {
	key   string
	node  ast.Node // of the key
	value ast.Node
}

// mapping returns the pairs of a mapping in the order of the file, and reports any other value. An empty value counts
// as an empty mapping.
func (r *reader) mapping(n ast.Node, path string) []pair {
	if _, empty := n.(*ast.NullNode); n == nil || empty {
		return nil
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.fault(n, path, "must be a mapping of keys to values, not %s", describe(n))
		return nil
	}
	var pairs []pair
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		key, ok := it.Key().(*ast.StringNode)
		if !ok {
			r.fault(it.Key(), path, "has a key that is not a plain word")
			continue
		}
		at := join(path, key.Value)
		if seen[key.Value] {
			r.fault(key, at, "is there twice")
			continue
		}
		seen[key.Value] = true
		if tk := key.GetToken(); tk != nil {
			r.at[at] = tk.Position
		}
		pairs = append(pairs, pair{key.Value, key, it.Value()})
	}
	return pairs
}

// section parses a mapping whose keys are the settings.
func (r *reader) section(n ast.Node, path string, settings []setting, named func(path string)) {
	for _, p := range r.mapping(n, path) {
		r.entry(p, join(path, p.key), settings, named)
	}
}

func (r *reader) entry(p pair, path string, settings []setting, named func(path string)) {
	for _, s := range settings {
		if s.path != p.key {
			continue
		}
		if r.value(p.value, path, s) && named != nil {
			named(path)
		}
		return
	}
	if below := under(settings, p.key); len(below) > 0 {
		r.section(p.value, path, below, named)
		return
	}
	known := names(settings)
	r.fault(p.node, path, "is not a setting%s", cmpOr(suggest(p.key, known), "; the settings here are "+
		strings.Join(known, ", ")))
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// value parses one setting and reports whether it was valid.
func (r *reader) value(n ast.Node, path string, s setting) bool {
	var err error
	switch {
	case s.node != nil:
		err = s.node(n)
	case s.list != nil:
		err = r.list(n, s.list)
	case s.pairs != nil:
		err = r.pairs(n, path, s.pairs)
	default:
		var text string
		if text, err = scalar(n, s.kind); err == nil {
			err = s.text(text)
		}
	}
	if err != nil {
		r.fault(n, path, "%v", err)
	}
	return err == nil
}

func (r *reader) list(n ast.Node, read func([]string) error) error {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("must be a list, such as [a, b], not %s", describe(n))
	}
	items := make([]string, 0, len(seq.Values))
	for _, v := range seq.Values {
		text, err := scalar(v, word)
		if err != nil {
			return fmt.Errorf("an item of the list %w", err)
		}
		items = append(items, text)
	}
	return read(items)
}

func (r *reader) pairs(n ast.Node, path string, read func([]string) error) error {
	var items []string
	for _, p := range r.mapping(n, path) {
		text, err := scalar(p.value, amount)
		if err != nil {
			return fmt.Errorf("%s %w", p.key, err)
		}
		items = append(items, p.key+":"+text)
	}
	return read(items)
}

// scalar returns the text of a scalar of that kind as the file spells it, so that a number loses no digit.
func scalar(n ast.Node, k kind) (string, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		if k == word || k == amount || plainNumber(v) {
			return v.Value, nil
		}
	case *ast.LiteralNode:
		if k == word {
			return v.Value.Value, nil
		}
	case *ast.IntegerNode, *ast.FloatNode:
		if k == number || k == amount {
			return n.GetToken().Value, nil
		}
	case *ast.BoolNode:
		if k == truth {
			return n.GetToken().Value, nil
		}
	}
	want := map[kind]string{word: "a string", number: "a number", truth: "true or false",
		amount: "a number with its unit"}[k]
	return "", fmt.Errorf("must be %s, not %s", want, describe(n))
}

// plainNumber reports whether an unquoted word is a number that the parser returns as a string: one with an exponent
// but no point, or of more than 64 bits.
func plainNumber(v *ast.StringNode) bool {
	return v.GetToken().Type == token.StringType && jsonNumber.MatchString(v.Value)
}

func describe(n ast.Node) string {
	switch v := n.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.StringNode:
		if tk := v.GetToken(); tk.Type == token.DoubleQuoteType || tk.Type == token.SingleQuoteType {
			return "a quoted string"
		}
		return "a string"
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number; quote it if it is text"
	case *ast.BoolNode:
		return "true or false; quote it if it is text"
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a mapping"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor or alias"
	case *ast.TagNode:
		return "a tagged value"
	}
	return "something else"
}
