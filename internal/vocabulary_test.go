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

// plainRooms are the packages whose comments keep to the words of docs/GLOSSARY.md. The list
// grows: a package is added when its comments pass.
var plainRooms = strings.Fields(`
	schema cache cache/events cache/rank cache/values cache/internal/flight cache/internal/l1 cache/internal/shared
	cache/internal/tags cache/pending
	cache/httpcache cache/ratelimit cache/session cache/ticket producer producer/api worker
	store/catalog store/ledger store/internal/kit
	internal/bench internal/certs internal/config internal/fleet internal/fsck internal/gather internal/inspect
	internal/layout internal/model internal/peer internal/problem internal/queue internal/rdb internal/token
	. operate afterwritetest internal/health internal/logs internal/operate internal/operate/web internal/otlp
	internal/plan internal/process internal/text internal/testkit internal/testkit/check internal/testkit/flush
	internal/testkit/whole`)

// plainPages are the documents that do, with all of their text.
var plainPages = strings.Fields(`
	README.md CONTRIBUTING.md docs/API.md docs/CAPACITY.md docs/CONFIGURATION.md docs/GLOSSARY.md docs/METRICS.md
	docs/PROXIES.md docs/ARCHITECTURE.md docs/DATABASES.md docs/LIBRARY.md docs/PATTERNS.md docs/RELIABILITY.md
	docs/SECURITY.md docs/TRACING.md docs/grafana/README.md`)

// obscure are words that call code a person, or that have a better-known term.
var obscure = regexp.MustCompile(`(?i)\b(` +
	`whoever|nobody|somebody|puts? off|set apart|in force|ticked|sent back|anew|mend(s|ed)?)\b`)

// TestVocabulary keeps obscure words out of comments and documents.
func TestVocabulary(t *testing.T) {
	for _, room := range plainRooms {
		files := goFiles(t, room)
		scripts, err := filepath.Glob(filepath.Join("..", room, "lua", "*.lua"))
		require.NoError(t, err)
		require.NotEmpty(t, files, "%s has no Go files: take it off the list", room)
		for _, file := range files {
			requirePlain(t, file, comments(t, file))
		}
		for _, file := range scripts {
			requirePlain(t, file, read(t, file))
		}
	}
	for _, page := range plainPages {
		file := filepath.Join("..", page)
		requirePlain(t, file, read(t, file))
	}
}

func goFiles(t *testing.T, room string) (files []string) {
	all, err := filepath.Glob(filepath.Join("..", room, "*.go"))
	require.NoError(t, err)
	for _, file := range all {
		if !strings.HasSuffix(file, "_test.go") {
			files = append(files, file)
		}
	}
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
