package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// What operators do about refused records, from the command line, on both databases and
// with a real worker.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		d := deploy(t, url)
		d.serve()
		d.ok("retry-policy", "set", "user", "--max-attempts", "2", "--base", "10ms", "--cap", "20ms", "--note", "quick")
		numbers := d.refused("b", "c", "d", "e")

		list := d.ok("dead", "list", "--entity", "user")
		require.Contains(t, list, `"b"`)
		require.Contains(t, list, "waiting")
		r := d.run("", "dead", "list", "--limit", "3", "--csv")
		require.Equal(t, 4, strings.Count(r.out, "\n"), r.out)
		require.True(t, strings.HasPrefix(r.out, "number,entity,id,version,state,kind,"))
		require.Contains(t, r.out, ",user,c,", "ids as they are")
		r = d.run("", "dead", "list", "--limit", "3")
		require.Contains(t, r.err, "3 of 4 dead letters shown. Go on with --after ")
		require.Contains(t, d.ok("dead", "list", "--limit", "3", "--after", numbers["c"]), `"b"`)
		require.Contains(t, d.ok("dead", "list", "--group", "--kind", "unique"), "4      user")
		require.NotContains(t, d.ok("dead", "list", "--kind", "check"), `"b"`)
		require.NotContains(t, d.ok("dead", "list", "--until", "1h"), `"b"`)

		shown := d.ok("dead", "show", numbers["b"])
		require.Regexp(t, `\*\s+email\s+"same@x"\s+\(none\)`, shown)
		require.Regexp(t, `2\s+20.*unique`, shown)
		require.Contains(t, shown, "afterwrite dead edit "+numbers["b"])
		require.NotContains(t, shown, "s3cret")
		require.Contains(t, d.ok("dead", "show", numbers["b"], "--reveal"), "s3cret")

		d.mendsOne(numbers["b"])
		r = d.run("y\n", "dead", "retry", "--all", "--entity", "user")
		require.Equal(t, exitUsage, r.code)
		require.Contains(t, r.err, "Retry 3 dead letters of user? Confirmation is needed, and stdin is not a terminal: rerun with --yes")

		require.Contains(t, d.ok("dead", "discard", numbers["c"], numbers["d"], "--yes"),
			"2 of 2 dead letters discarded")
		code, body := d.call(http.MethodPatch, d.api, "/v1/user/a", `{"email":"other@x"}`)
		require.Equal(t, http.StatusAccepted, code, body)
		d.run("", "flush", "user")
		report := d.json(d.ok("dead", "retry", "--all", "--kind", "unique", "--yes", "--json"))
		require.EqualValues(t, 1, report["done"])
		require.Contains(t, d.ok("flush"), "everything is in the database")
		code, body = d.call(http.MethodGet, d.api, "/v1/user/e", "")
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, body, "same@x")
		code, _ = d.call(http.MethodGet, d.api, "/v1/user/c", "")
		require.Equal(t, http.StatusNotFound, code)
		require.Contains(t, d.ok("fsck"), "agree")
		testkit.Eventually(t, "all letters are resolved", func() bool {
			_, body := d.call(http.MethodGet, d.api, "/v1/admin/dead?state=resolved", "")
			return strings.Count(body, `"state":"resolved"`) == 4
		})
		require.Equal(t, exitOK, d.run("", "dead", "retry", "--all", "--yes").code, "nothing is left, which is fine")

		whole := d.read("afterwrite.yaml")
		d.file("afterwrite.yaml", whole[:strings.Index(whole, "  user:")]+whole[strings.Index(whole, "  item:"):])
		require.Equal(t, 5, strings.Count(d.ok("dead", "list", "--entity", "user", "--state", "any"), "\n"),
			"letters of an entity that was taken out stay in sight")
		require.Equal(t, exitUsage, d.run("", "dead", "list", "--entity", "usr").code)
		shown = d.ok("dead", "show", numbers["b"])
		require.Regexp(t, `record now\s+not known: its entity is not in the configuration`, shown)
		require.NotContains(t, shown, "s3cret", "which fields are redacted is not known")
		require.Contains(t, d.ok("dead", "show", numbers["b"], "--reveal"), "s3cret")
		require.Contains(t, d.run("", "dead", "edit", numbers["b"], "--set", "age=1").err, "no longer dead")
	})
}

// refused accepts users who all want the address of one that has it, and returns the
// numbers of their dead letters by id.
func (d *deployment) refused(ids ...string) map[string]string {
	d.t.Helper()
	code, body := d.call(http.MethodPut, d.api, "/v1/user/a", `{"name":"A","email":"same@x"}`)
	require.Equal(d.t, http.StatusAccepted, code, body)
	d.ok("flush")
	numbers := map[string]string{}
	for i, id := range ids {
		code, body := d.call(http.MethodPut, d.api, "/v1/user/"+id, `{"name":"N","email":"same@x","secret":"s3cret"}`)
		require.Equal(d.t, http.StatusAccepted, code, body)
		testkit.Eventually(d.t, id+" is dead", func() bool {
			letters := d.json(d.ok("dead", "list", "--json"))["letters"].([]any)
			if len(letters) != i+1 {
				return false
			}
			numbers[id] = fmt.Sprintf("%.0f", letters[0].(map[string]any)["number"])
			return true
		})
	}
	return numbers
}

func (d *deployment) mendsOne(number string) {
	d.t.Helper()
	for _, bad := range [][]string{
		{"--set", "email"}, {"--set", "email=free@x"}, {"--set", "age=1", "--set", "age=2"}, {},
		{"--set", "age=1", "--file", "-"},
	} {
		require.Equal(d.t, exitUsage, d.run("{}", append([]string{"dead", "edit", number}, bad...)...).code, bad)
	}
	r := d.run("", "dead", "edit", number, "--set", "age=-1")
	require.Equal(d.t, exitFailure, r.code)
	require.Contains(d.t, r.err, "age is too small")
	r = d.run(`{"email":"free@x"}`, "dead", "edit", number, "--file", "-")
	require.Equal(d.t, exitOK, r.code, r.err)
	require.Contains(d.t, r.out, `accepted as version`)
	r = d.run("", "dead", "edit", number, "--set", "age=1")
	require.Equal(d.t, exitFailure, r.code)
	require.Contains(d.t, r.err, "no longer dead")
	require.Contains(d.t, d.ok("dead", "show", number), "edited by")
}

func TestRetryPolicyCommands(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	require.Contains(t, d.ok("retry-policy", "show"), "max_attempts  10")
	require.Contains(t, d.ok("retry-policy", "set", "user", "--max-attempts", "3", "--jitter", "none", "--on",
		"foreign_key.max_attempts=5", "--note", "import"), "version 1")
	for _, bad := range []struct{ args, says string }{
		{"set user", "name at least one setting"},
		{"set user --base 0s", "base must be from"},
		{"set user --on unique.cap=1ms", "on.unique.cap must be from base"},
		{"set user --on unique", "KIND.SETTING=VALUE"},
		{"set user --on nothing.base=1s", "on.nothing.base is not of a kind"},
		{"set nobody --base 1s", `no entity "nobody"`},
		{"preview user --kind none", "is not a kind"},
		{"preview user --against nobody", `--against: unknown entity: "nobody"`},
		{"preview user --max-attempts many", "max_attempts must be a whole number"},
		{"rollback user 9", "9 was never active"},
		{"rollback user x", "is not a version"},
		{"rollback user -1", `"-1" is not a version`},
		{"rollback user -- -1", `"-1" is not a version`},
		{"rollback -20 user", `"-20" is not a version`},
		{"rollback user 1.5", `"1.5" is not a version`},
		{"rollback user 0 --expect -2", "--expect must be a version"},
		{"set user --base 1s --expect -2", "--expect must be a version"},
		{"history user --limit -1", "--limit must be at least 1"},
		{"history -1", "-1 is not a flag; what begins with - and is none comes after --: afterwrite retry-policy history -- ENTITY"},
	} {
		r := d.run("", append([]string{"retry-policy"}, strings.Fields(bad.args)...)...)
		require.Equal(t, exitUsage, r.code, bad.args)
		require.Contains(t, r.err, bad.says)
	}
	r := d.run("", "retry-policy", "set", "user", "--base", "2s", "--expect", "0")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.err, "version 1 is active, not 0")

	preview := d.ok("retry-policy", "preview", "user", "--base", "2s", "--against", "user")
	require.Regexp(t, `3\s+4s\s+6s`, preview)
	require.Contains(t, preview, "dead after 3 attempts, in 6s")
	require.Contains(t, preview, "foreign_key:")
	require.Contains(t, preview, "dead after 5 attempts, in 30s")
	require.Contains(t, preview, "of 0 records of user that wait now")
	require.NotContains(t, d.ok("retry-policy", "preview", "user", "--kind", "unique"), "foreign_key")

	d.ok("retry-policy", "set", "user", "--on", "foreign_key=", "--expect", "1")
	require.Contains(t, d.ok("retry-policy", "rollback", "user", "1"), "version 3")
	history := d.ok("retry-policy", "history", "user")
	require.Regexp(t, `3\s+20\S+\s+\S+\s+on\.foreign_key\.max_attempts\s+5\s+back to version 1`, history)
	require.Len(t, d.json(d.ok("retry-policy", "history", "user", "--json"))["versions"], 4)
}

func TestDeadUsage(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	for _, bad := range []struct{ args, says string }{
		{"retry", "give numbers"},
		{"retry 1 --all", "give numbers"},
		{"retry 1 --kind unique", "a filter is for --all"},
		{"retry x", "not the number"},
		{"retry -7", `"-7" is not the number`},
		{"discard 1 -7", `"-7" is not the number`},
		{"show -7", `"-7" is not the number`},
		{"edit -7 --set age=1", `"-7" is not the number`},
		{"list --after -7", "--after must be"},
		{"discard --all --kind none", "--kind is not a kind"},
		{"discard --all --since yesterday", "--since must be a time"},
		{"list --state none", "--state must be one of"},
		{"list --entity nobody", `no entity "nobody"`},
		{"list --csv --json", "not both"},
		{"retry --all --rate 0", "--rate"},
	} {
		r := d.run("", append([]string{"dead"}, strings.Fields(bad.args)...)...)
		require.Equal(t, exitUsage, r.code, "%s: %s", bad.args, r.err)
		require.Contains(t, r.err, bad.says)
	}
	r := d.run("", "dead", "show", "7")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.err, "there is no such dead letter")
	require.Contains(t, d.run("", "dead", "discard", "--all", "--yes").err, "There are no dead letters")
}
