package request

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzTags(f *testing.F) {
	for _, seed := range []string{`*`, `"1"`, `W/"1", "2"`, `"a`, `,,"x",`, ``, `"a""b"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		tags, ok := parseTags(list)
		if ok && tags != nil {
			require.NotEmpty(t, tags)
		}
		require.LessOrEqual(t, len(tagVersions(tags)), len(tags))
	})
}

func TestHeaderStrings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`"a"`: "a", `"a\"b\\"`: `a"b\`, `"" `: ""} {
		if got, ok := unquoteHeader(in); ok {
			require.Equal(t, want, got)
		}
	}
	for _, bad := range []string{`"a`, `"a"b`, `"\a"`, `"a\`} {
		_, ok := unquoteHeader(bad)
		require.False(t, ok, bad)
	}
}
