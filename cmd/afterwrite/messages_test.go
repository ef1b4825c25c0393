package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// What a command says on stderr quotes files, tokens and paths of others. None of it commands the terminal, or turns
// its text around.
func TestMessagesAreShownSafely(t *testing.T) {
	t.Parallel()
	const evil = "\x1b[31m\u009b31m\u202e\x7f\u2066\u200b\u2028"
	d := deploy(t, testkit.SQLite(t))
	d.serve()
	config := d.file("evil.yaml", `{entities: {"x\e[31m\u202e": {fields: {a: {type: int}}}}}`+"\n")
	rows := d.file("evil.ndjson", fmt.Sprintf(`{"id":"a","name":"x",%q:1}`+"\n", "na\u009b\u202eme"))
	for _, args := range [][]string{
		{"config", "check", "--config", config}, {"status", "--config", evil}, {"load", "user", rows},
		{"token", "revoke", evil}, {"--" + evil}, {"init", "--database", evil}, {"record", "get", "user", evil},
	} {
		r := d.run("", args...)
		require.NotZero(t, r.code, args)
		require.NotEmpty(t, strings.TrimSpace(r.err), args)
		require.NotRegexp(t, `[^\PC\n\t]`, r.err, args)
		require.NotContains(t, r.err, "\u2028", args)
	}
}
