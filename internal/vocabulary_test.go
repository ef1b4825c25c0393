package internal_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainPages are the documents that do, with all of their text.
var plainPages = strings.Fields(`
	README.md CONTRIBUTING.md docs/API.md docs/CAPACITY.md docs/CONFIGURATION.md docs/GLOSSARY.md docs/METRICS.md
	docs/PROXIES.md docs/ARCHITECTURE.md docs/DATABASES.md docs/LIBRARY.md docs/PATTERNS.md docs/RELIABILITY.md
	docs/SECURITY.md docs/TRACING.md docs/grafana/README.md`)

// obscure are words that call code a person, or that have a better-known term.
var obscure = regexp.MustCompile(`(?i)\b(` +
	`whoever|nobody|somebody|puts? off|set apart|in force|ticked|sent back|anew|mend(s|ed)?)\b`)

// TestVocabulary keeps obscure words out of the comments of all packages, and out of documents.
func TestVocabulary(t *testing.T) {
	for _, file := range sources(t) {
		if filepath.Ext(file) == ".lua" {
			requirePlain(t, file, read(t, file))
		} else {
			requirePlain(t, file, comments(t, file))
		}
	}
	for _, page := range plainPages {
		file := filepath.Join("..", page)
		requirePlain(t, file, read(t, file))
	}
}

// sources are the scripts and the Go files of the module that are no tests.
func sources(t *testing.T) (files []string) {
	require.NoError(t, filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "node_modules" || len(name) > 2 && strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case filepath.Ext(name) == ".lua", strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			files = append(files, path)
		}
		return nil
	}))
	require.Greater(t, len(files), 100)
	return files
}

func comments(t *testing.T, file string) string {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	require.NoError(t, err)
	var text strings.Builder
	for _, group := range parsed.Comments {
		text.WriteString(group.Text() + "\n")
	}
	return text.String()
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func requirePlain(t *testing.T, file, text string) {
	for _, line := range strings.Split(text, "\n") {
		if word := obscure.FindString(line); word != "" {
			t.Errorf("%s: %q in %q: see docs/GLOSSARY.md for the term, or name the thing", file, word,
				strings.TrimSpace(line))
		}
	}
}
