package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxFile bounds the bytes of a configuration file.
const MaxFile = 1 << 20

// DefaultFile is read if no other file is named.
const DefaultFile = "afterwrite.yaml"

// Builtin is [Config.File] of the built-in example.
const Builtin = "built-in example"

// Locate returns the path of the configuration file: the flag's, else the path in $AFTERWRITE_CONFIG, else
// ./afterwrite.yaml if that exists. Otherwise the error is [ErrNoFile].
func Locate(flag string, env []string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	for _, entry := range env {
		if path, ok := strings.CutPrefix(entry, EnvFile+"="); ok && path != "" {
			return path, nil
		}
	}
	if _, err := os.Stat(DefaultFile); errors.Is(err, os.ErrNotExist) {
		return "", ErrNoFile
	}
	return DefaultFile, nil
}

// Load reads a configuration file and applies the environment, a list of NAME=value, on top. An error about the content
// matches [ErrInvalid] and lists every fault, one per line.
func Load(path string, env []string) (*Config, error) {
	text, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return parse(path, text, env)
}

// LoadBuiltin returns the built-in example with the environment on top.
func LoadBuiltin(env []string) (*Config, error) { return parse(Builtin, Example(), env) }

// Parse reads a configuration from a text that is in no file, without the environment.
func Parse(text []byte) (*Config, error) { return parse("the text", text, nil) }

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, MaxFile)
	}
	return text, err
}

func parse(file string, text []byte, env []string) (*Config, error) {
	c := Default()
	c.File = file
	r := &reader{file: file, at: map[string]*token.Position{}}
	r.document(c, text)
	if file == Builtin {
		clear(c.named)
	}
	for path, at := range r.at {
		c.places[path] = place{file, at.Line, at.Column}
	}
	fs := append(r.faults, c.environment(env)...)
	if d := &c.Database; !c.Named("database.max_idle") { // a default follows what is set
		d.MaxIdle = min(d.MaxIdle, d.MaxOpen)
	}
	if len(fs) == 0 {
		r.check(c)
		fs = r.faults
	}
	if err := fs.err(); err != nil {
		return nil, err
	}
	c.addQueues()
	for _, e := range c.Entities {
		if c.Database.Batch > 0 {
			e.Flush.Batch = min(e.Flush.Batch, c.Database.Batch)
		}
	}
	return c, nil
}

// byteOrderMark is what some editors write before UTF-8.
const byteOrderMark = "\ufeff"

// maxNesting bounds the nesting of the parser's input, because the parser's memory grows with the square of the depth.
const maxNesting = 500

// tooDeep returns where the tokens nest too deeply, or nil. The file's size bounds nesting by indentation, so only
// brackets and what opens on one line are counted.
func tooDeep(tokens token.Tokens) *token.Position {
	brackets, opened, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			opened, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			opened++
		}
		if brackets > maxNesting || opened > maxNesting {
			return t.Position
		}
	}
	return nil
}

func (r *reader) document(c *Config, text []byte) {
	tokens := lexer.Tokenize(strings.TrimPrefix(string(text), byteOrderMark))
	if at := tooDeep(tokens); at != nil {
		r.faults.add(&Fault{Source: r.file, Line: at.Line, Column: at.Column,
			Reason: fmt.Sprintf("nests deeper than %d levels", maxNesting)})
		return
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		r.faults.add(r.syntax(err))
		return
	}
	var body ast.Node
	for _, d := range tree.Docs {
		if _, ok := d.Body.(*ast.DirectiveNode); ok || d.Body == nil {
			continue // the parser returns an empty document for a directive and for an empty part after ---
		}
		if body != nil {
			r.fault(d.Body, "", "a second document; one file is one configuration")
			return
		}
		body = d.Body
	}
	var entities ast.Node // parsed last, because they refer to TTL classes
	settings := append(c.settings(),
		setting{path: "ttl_classes", node: func(n ast.Node) error {
			r.readClasses(n)
			return nil
		}},
		setting{path: "entities", node: func(n ast.Node) error {
			entities = n
			return nil
		}})
	settings = append(settings, setting{path: "dashboard.users", node: func(n ast.Node) error {
		c.Dashboard.Users = r.users(n, "dashboard.users")
		return nil
	}})
	r.section(body, "", settings, func(path string) { c.named[path] = true })
	c.Entities = r.entities(entities)
	if len(c.Entities) == 0 && len(r.faults) == 0 {
		r.faultAt("entities", "names no entity; `afterwrite config example` shows some")
	}
}

// syntax turns an error of the YAML parser into a fault with its position.
func (r *reader) syntax(err error) *Fault {
	f := &Fault{Source: r.file, Reason: err.Error()}
	var at *yaml.SyntaxError
	if errors.As(err, &at) {
		f.Reason = "is not valid YAML: " + at.Message
		if at.Token != nil && at.Token.Position != nil {
			f.Line, f.Column = at.Token.Position.Line, at.Token.Position.Column
		}
	}
	return f
}
