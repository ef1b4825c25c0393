package config

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The table of docs/CONFIGURATION.md has every setting outside entities, and no other.
func TestReferenceHasEverySetting(t *testing.T) {
	text, err := os.ReadFile("../../docs/CONFIGURATION.md")
	require.NoError(t, err)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	settings := []string{"dashboard.users"} // a mapping of its own
	for _, s := range Default().settings() {
		settings = append(settings, s.path)
	}
	require.ElementsMatch(t, settings, documented)
}
