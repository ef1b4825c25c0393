package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/goccy/go-yaml/ast"

	"github.com/afterwrite/afterwrite/schema"
)

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// defaultText returns the JSON text of a field's default. A decimal can be unquoted: its digits are kept as written.
func defaultText(n ast.Node, t schema.FieldType) (string, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		if t != schema.Int && t != schema.Float && t != schema.JSON {
			return jsonString(v.Value)
		}
	case *ast.IntegerNode, *ast.FloatNode:
		if t == schema.Decimal {
			return jsonString(n.GetToken().Value)
		}
	case ast.MapNode, *ast.SequenceNode:
		if t != schema.JSON {
			return "", fmt.Errorf("must be a single value, not %s", describe(n))
		}
	}
	return jsonText(n, 0)
}

// jsonText returns the JSON text of a YAML value, keys in the order of the file.
func jsonText(n ast.Node, depth int) (string, error) {
	if depth > maxDepth {
		return "", fmt.Errorf("nests deeper than %d levels", maxDepth)
	}
	switch v := n.(type) {
	case *ast.NullNode:
		return schema.Null, nil
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		text := n.GetToken().Value
		if text == "true" || text == "false" || jsonNumber.MatchString(text) {
			return text, nil
		}
		return "", fmt.Errorf("%s is not written as JSON writes it", text)
	case *ast.StringNode:
		if plainNumber(v) {
			return v.Value, nil
		}
		return jsonString(v.Value)
	case *ast.LiteralNode:
		return jsonString(v.Value.Value)
	case *ast.SequenceNode:
		return jsonArray(v, depth)
	case ast.MapNode:
		return jsonObject(v, depth)
	}
	return "", fmt.Errorf("must be a plain value, not %s", describe(n))
}

func jsonArray(seq *ast.SequenceNode, depth int) (string, error) {
	b := []byte{'['}
	for i, v := range seq.Values {
		text, err := jsonText(v, depth+1)
		if err != nil {
			return "", err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, text...)
	}
	return string(append(b, ']')), nil
}

func jsonObject(m ast.MapNode, depth int) (string, error) {
	b := []byte{'{'}
	for it := m.MapRange(); it.Next(); {
		key, ok := it.Key().(*ast.StringNode)
		if !ok {
			return "", fmt.Errorf("has a key that is not a plain word")
		}
		name, err := jsonString(key.Value)
		if err != nil {
			return "", err
		}
		text, err := jsonText(it.Value(), depth+1)
		if err != nil {
			return "", err
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, name...), ':'), text...)
	}
	return string(append(b, '}')), nil
}

func jsonString(s string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "", err
	}
	return string(bytes.TrimSpace(b.Bytes())), nil
}
