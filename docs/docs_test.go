package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = ".."

var (
	quotedPath = regexp.MustCompile("`([a-zA-Z0-9_.-]+(?:/[a-zA-Z0-9_.@-]+)*\\.(?:go|lua|md|yaml|conf|ndjson))`")
	quotedTest = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9]+)`")
	quotedName = regexp.MustCompile(`\bafterwrite_([a-z_]+)`)
	declared   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	linkText   = regexp.MustCompile(`\[[^\]\n]*\]\(`)
	goBlock    = regexp.MustCompile("(?s)```go\n.*?\n```")
	link       = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
)

// documents are those that the tests hold to the tree.
var documents = []string{
	"README.md", "CONTRIBUTING.md", "docs/API.md", "docs/ARCHITECTURE.md", "docs/CAPACITY.md", "docs/CLI.md",
	"docs/CONFIGURATION.md", "docs/DATABASES.md", "docs/DRILL.md", "docs/GLOSSARY.md", "docs/PROXIES.md",
	"docs/LIBRARY.md", "docs/METRICS.md", "docs/PATTERNS.md", "docs/PERFORMANCE.md", "docs/RELIABILITY.md",
	"docs/SECURITY.md", "docs/TRACING.md",
	"docs/dashboard/README.md", "docs/grafana/README.md", "deploy/RUNBOOK.md",
}

// made are files that a reader makes by following a document.
var made = map[string]bool{"afterwrite.yaml": true}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(text)
}

// What the documents name is in the tree.
func TestDocumentsNameWhatExists(t *testing.T) {
	tests := declaredTests(t)
	for _, name := range documents {
		text := page(t, name)
		for _, m := range quotedPath.FindAllStringSubmatch(linkText.ReplaceAllString(text, "]("), -1) {
			if !made[filepath.Clean(m[1])] {
				require.FileExists(t, filepath.Join(root, m[1]), "named in %s", name)
			}
		}
		for _, m := range quotedTest.FindAllStringSubmatch(text, -1) {
			require.True(t, tests[m[1]], "%s names %s, which is no test", name, m[1])
		}
		// A type argument of Go, as in Table[User](db), is no link.
		for _, m := range link.FindAllStringSubmatch(goBlock.ReplaceAllString(text, ""), -1) {
			if !strings.Contains(m[1], "://") {
				_, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1]))
				require.NoError(t, err, "%s links to %s", name, m[1])
			}
		}
	}
}

// What the documents tell to watch is a metric, and what they tell to look into a table.
func TestDocumentsNameMetricsAndTablesThatExist(t *testing.T) {
	var code strings.Builder
	walk(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, "_test.go") {
			code.Write(text)
		}
	})
	for _, name := range documents {
		for _, m := range quotedName.FindAllStringSubmatch(page(t, name), -1) {
			whole := strings.Contains(code.String(), m[0])
			parts := strings.Contains(code.String(), `"`+m[1]+`"`) // after a prefix, as the worker's collector has it
			require.True(t, whole || parts, "%s names %s", name, m[0])
		}
	}
}

// Every invariant has a row, and a test whose name begins with it.
func TestInvariantsHaveTheirTests(t *testing.T) {
	text := page(t, "docs/ARCHITECTURE.md")
	for i := 1; i <= 8; i++ {
		require.Regexp(t, fmt.Sprintf("(?m)^\\| I%[1]d .*`TestI%[1]d", i), text)
	}
}

func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	walk(t, func(path string, text []byte) {
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		}
	})
	return tests
}

// walk calls fn with every Go and SQL file of the tree.
func walk(t *testing.T, fn func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".sql") {
			return err
		}
		text, err := os.ReadFile(path)
		fn(path, text)
		return err
	})
	require.NoError(t, err)
}
