package internal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// columns is the longest line of code, with tabs of four.
const columns = 120

var (
	quoted  = regexp.MustCompile(`"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])+'`)
	literal = regexp.MustCompile(quoted.String() + "|`[^`]*`")
	comment = regexp.MustCompile(`//.*`)
)

// TestColumns: no line of Go is longer than 120 columns, unless a text makes it so: a string or
// a line of a raw string, which is not broken for its length.
func TestColumns(t *testing.T) {
	root := filepath.Join("..")
	list, err := exec.Command("git", "-C", root, "ls-files", "*.go").Output()
	if err != nil {
		t.Skip("no git: an archive of the source")
	}
	for name := range strings.Lines(string(list)) {
		name = strings.TrimSpace(name)
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // about to be removed
		}
		require.NoError(t, err)
		raw := false
		for i, line := range strings.Split(string(text), "\n") {
			inside := raw
			code := line
			if !inside {
				code = comment.ReplaceAllString(quoted.ReplaceAllString(line, `""`), "")
			}
			raw = raw != (strings.Count(code, "`")%2 == 1)
			if inside || raw {
				continue
			}
			line = strings.ReplaceAll(line, "\t", "    ")
			if utf8.RuneCountInString(line) > columns {
				code = literal.ReplaceAllString(line, `""`)
				if utf8.RuneCountInString(code) > columns || !literal.MatchString(line) {
					t.Errorf("%s:%d: longer than %d columns", name, i+1, columns)
				}
			}
		}
	}
}
