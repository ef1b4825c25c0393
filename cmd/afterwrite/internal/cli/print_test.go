package cli

import (
	"bytes"
	"encoding/json"
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

// JSON commands none either, and says the same to a program.
func TestJSONIsShownSafely(t *testing.T) {
	t.Parallel()
	in := map[string]string{"id": "\x1b[2J\u009b2J\u202e\x7f\u2066\u200b\U000e0001 é 日本 <&> \n\t", "plain": "x"}
	var out bytes.Buffer
	require.NoError(t, (&App{Streams: Streams{Out: &out}}).PrintJSON(in))
	require.NotRegexp(t, `[^\PC\n]`, out.String())
	require.Contains(t, out.String(), `\u009b2J\u202e\u007f\u2066\u200b\udb40\udc01 é 日本 <&> \n\t`)
	var back map[string]string
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, in, back)
}

func TestCounted(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0", Thousands(0))
	require.Equal(t, "1,204", Thousands(1204))
	require.Equal(t, "12,345,678", Thousands(12345678))
}
