package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// What callers have made up commands no terminal.
func TestTablesAreShownSafely(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain é 日本": "plain é 日本", "a\tb\r\nc": "a b  c", "\x1b[2J": `\u001b[2J`, "\u009b2J": `\u009b2J`,
		"a\u202eb": `a\u202eb`,
		"a\x7f":    `a\u007f`, "\u2066x\u2069": `\u2066x\u2069`, "a\u200bb": `a\u200bb`, "\u2028": `\u2028`,
		"\x07": `\u0007`, "\xff": `\ufffd`,
	} {
		var out bytes.Buffer
		require.NoError(t, Table(&out, [][]string{{in}}))
		require.Equal(t, want+"\n", out.String())
	}
}

func TestCounted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0", Thousands(0))
	require.Equal(t, "1,204", Thousands(1204))
	require.Equal(t, "12,345,678", Thousands(12345678))
}
