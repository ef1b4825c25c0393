package layout

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

func TestPatternsAreBounded(t *testing.T) {
	t.Parallel()
	for _, fine := range []string{"*", "a*", "user:*:x", "[a-c]?*", `\[*`, "**", strings.Repeat("x", MaxPattern), "é*",
		`\`} {
		require.NoError(t, CheckPattern(fine), fine)
	}
	for _, dear := range []string{strings.Repeat("[", 10_000) + "*", "*[", "[a", strings.Repeat("x", MaxPattern+1),
		strings.Repeat("*a", 9), strings.Repeat("[a]", 9)} {
		var invalid *schema.InvalidError
		require.ErrorAs(t, CheckPattern(dear), &invalid, dear)
		require.Equal(t, "match", invalid.Fields[0].Field)
	}
}
