package web_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

var (
	taken = schema.Refusal{Kind: schema.KindUnique, Constraint: "uq_users_email", Column: "email",
		Message: "duplicate email"}
	orphan  = schema.Refusal{Kind: schema.KindForeignKey, Message: "no such parent"}
	leaking = schema.Refusal{Kind: schema.KindType, Column: "secret", Message: `bad value "s3cret"`}
)

func people(b *bundle, n int) {
	for i := range n {
		b.put("user", fmt.Sprintf("u%03d", i), schema.Fields{"name": "N", "email": fmt.Sprintf("%d@x", i)})
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	people(b, 3)
	b.kill("user", taken)
	b.put("product", "7", schema.Fields{"name": "P"})
	b.kill("product", orphan)

	page := b.do("GET", "/v1/admin/dead?limit=3", "").want(200).json()
	require.Len(t, page["letters"], 3)
	page = b.do("GET", fmt.Sprintf("/v1/admin/dead?limit=3&after=%.0f", page["next"]), "").want(200).json()
	require.Len(t, page["letters"], 1)
	require.Nil(t, page["next"])
	page = b.do("GET", "/v1/admin/dead?entity=product&kind=foreign_key&since=1h&text=PARENT", "").want(200).json()
	letter := page["letters"].([]any)[0].(map[string]any)
	require.EqualValues(t, 7, letter["id"], "an int id is a number")
	require.Equal(t, "waiting", letter["state"])
	require.Empty(t, b.do("GET", "/v1/admin/dead?until=1h", "").want(200).json()["letters"])
	require.Empty(t, b.do("GET", "/v1/admin/dead?state=resolved", "").want(200).json()["letters"])

	groups := b.do("GET", "/v1/admin/dead/groups", "").want(200).json()["groups"].([]any)
	require.Len(t, groups, 2)
	require.EqualValues(t, 3, groups[0].(map[string]any)["count"])

	path := fmt.Sprintf("/v1/admin/dead/%.0f", letter["number"])
	shown := b.do("GET", path, "").want(200).json()
	require.Len(t, shown["history"], 1)
	require.Equal(t, []any{"retry", "edit", "discard"}, shown["actions"])
	require.Equal(t, false, shown["stored"])
	require.Equal(t, "dead", shown["record"].(map[string]any)["status"])

	require.Contains(t, b.do("POST", path+"/edit", `{"fields":{"price":"-1"}}`).problem(422, "invalid"), "price")
	b.do("POST", path+"/edit", `{"fields":{}}`).problem(422, "invalid")
	edited := b.do("POST", path+"/edit", `{"fields":{"name":"Q"}}`).want(202)
	require.Equal(t, "pending", edited.json()["status"])
	require.NotEmpty(t, edited.Header.Get("ETag"))
	b.do("POST", path+"/edit", `{"fields":{"name":"R"}}`).problem(409, "stale")
	require.Equal(t, []any{}, b.do("GET", path, "").want(200).json()["actions"])
	b.do("GET", "/v1/admin/dead/999999", "").problem(404, "no-dead-letter")
	b.do("GET", "/v1/admin/dead/x", "").problem(404, "no-dead-letter")

	entry := b.do("GET", "/v1/admin/audit?entity=product", "").want(200).json()["entries"].([]any)[0].(map[string]any)
	require.Equal(t, "dead.edited", entry["action"])
	require.Equal(t, "api", entry["actor"])
	require.Equal(t, "127.0.0.1", entry["origin"])
}

// withoutUsers takes the users out of what operators know as configured.
func withoutUsers(c *web.Config) {
	c.Entities = slices.DeleteFunc(slices.Clone(c.Entities), func(e *schema.Entity) bool { return e.Name == "user" })
}

// An entity that there never was is named; what is left of one that was taken out of the
// configuration stays in sight.
func TestEntityOfAFilter(t *testing.T) {
	t.Parallel()
	b := setup(t, withoutUsers)
	people(b, 2)
	b.kill("user", taken)
	for _, path := range []string{"/v1/admin/dead?entity=nope", "/v1/admin/dead/groups?entity=nope&state=any",
		"/v1/admin/audit?entity=nope"} {
		require.Contains(t, b.do("GET", path, "").problem(404, "unknown-entity"), `no entity "nope"`)
	}
	b.do("POST", "/v1/admin/dead/retry", `{"filter":{"entity":"nope"},"expect":0}`).problem(404, "unknown-entity")

	require.Len(t, b.do("GET", "/v1/admin/dead?entity=user", "").want(200).json()["letters"], 2)
	require.Empty(t, b.do("GET", "/v1/admin/dead?entity=user&kind=check", "").want(200).json()["letters"])
	require.Len(t, b.do("GET", "/v1/admin/dead/groups?entity=user", "").want(200).json()["groups"], 1)
	require.Empty(t, b.do("GET", "/v1/admin/audit?entity=user", "").want(200).json()["entries"],
		"it has letters, so it is none that never was")
	require.Empty(t, b.do("GET", "/v1/admin/dead?entity=product", "").want(200).json()["letters"],
		"configured, without letters")
	require.Empty(t, b.do("GET", "/v1/admin/audit?entity=product", "").want(200).json()["entries"])
}

// A letter of an entity that was taken out of the configuration is shown, and says what to
// do before it can be acted on.
func TestLetterOfAnEntityNotConfigured(t *testing.T) {
	t.Parallel()
	b := setup(t, withoutUsers)
	people(b, 1)
	b.kill("user", taken)
	letter := b.do("GET", "/v1/admin/dead", "").want(200).json()["letters"].([]any)[0].(map[string]any)
	path := fmt.Sprintf("/v1/admin/dead/%.0f", letter["number"])
	shown := b.do("GET", path, "").want(200).json()
	require.Equal(t, "waiting", shown["state"])
	require.Equal(t, false, shown["configured"])
	require.Len(t, shown["history"], 1)
	require.Nil(t, shown["fields"], "which are redacted is not known")
	require.Empty(t, shown["actions"])
	require.NotNil(t, b.do("GET", path+"?reveal=true", "").want(200).json()["fields"])

	require.Contains(t, b.do("POST", path+"/edit", `{"fields":{"name":"Q"}}`).problem(409, "entity-not-configured"),
		"put the entity back")
	for _, action := range []string{"retry", "discard"} {
		report := b.do("POST", "/v1/admin/dead/"+action, fmt.Sprintf(`{"numbers":[%.0f]}`,
			letter["number"])).want(200).json()
		require.EqualValues(t, 1, report["failed"])
		require.Contains(t, report["errors"].([]any)[0],
			"of user: its entity is not in the configuration: put the entity back")
	}
	require.Equal(t, "waiting", b.do("GET", path, "").want(200).json()["state"], "the letter is as it was")
}

func TestBulk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	people(b, 5)
	b.kill("user", taken)
	numbers := b.do("GET", "/v1/admin/dead", "").want(200).json()["letters"].([]any)
	first := numbers[0].(map[string]any)["number"]

	report := b.do("POST", "/v1/admin/dead/retry", fmt.Sprintf(`{"numbers":[%.0f,999999]}`, first)).want(200).json()
	require.EqualValues(t, 1, report["done"])
	require.EqualValues(t, 1, report["failed"])
	b.do("POST", "/v1/admin/dead/retry", `{"filter":{"entity":"user"}}`).problem(422, "invalid")
	detail := b.do("POST", "/v1/admin/dead/retry", `{"filter":{"entity":"user"},"expect":5}`).problem(409,
		"unexpected-count")
	require.Contains(t, detail, "4 dead letters match now")
	b.do("POST", "/v1/admin/dead/retry", `{"filter":{"entity":"user"},"expect":0}`).problem(409, "unexpected-count")
	b.do("POST", "/v1/admin/dead/discard", `{"filter":{"state":"resolved"},"expect":4}`).problem(422, "invalid")
	b.do("POST", "/v1/admin/dead/discard", `{}`).problem(422, "invalid")
	b.do("POST", "/v1/admin/dead/discard", `{"numbers":[1],"filter":{}}`).problem(422, "invalid")
	report = b.do("POST", "/v1/admin/dead/discard", `{"filter":{"entity":"user"},"expect":4}`).want(200).json()
	require.EqualValues(t, 4, report["done"])
	stats := b.do("GET", "/v1/admin/stats", "").want(200).json()["entities"].([]any)[0].(map[string]any)
	require.EqualValues(t, 4, stats["discarded"])
	require.EqualValues(t, 0, stats["dead"])
}

// What is many becomes a job, which can be watched and stopped.
func TestJobs(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *web.Config) { c.SyncLimit = 10 })
	people(b, 20)
	b.kill("user", taken)
	a := b.do("POST", "/v1/admin/dead/retry", `{"filter":{},"expect":20}`).want(202)
	job := a.Header.Get("Location")
	require.True(t, strings.HasPrefix(job, "/v1/admin/jobs/"))
	testkit.Eventually(t, "the job is done", func() bool {
		return b.do("GET", job,
			"").want(200).json()["state"] == "done"
	})
	report := b.do("GET", job, "").json()["report"].(map[string]any)
	require.EqualValues(t, 20, report["done"])
	require.Len(t, b.do("GET", "/v1/admin/jobs", "").want(200).json()["jobs"], 1)
	b.do("POST", job+"/stop", "").want(202) // it has ended: nothing happens
	b.do("GET", "/v1/admin/jobs/none", "").problem(404, "no-job")
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put("everything", "x", schema.Fields{"secret": "s3cret", "string": "open"})
	b.kill("everything", leaking)
	list := b.do("GET", "/v1/admin/dead", "").want(200)
	require.NotContains(t, list.body, "s3cret")
	require.Contains(t, list.body, "open")
	number := list.json()["letters"].([]any)[0].(map[string]any)["number"]
	path := fmt.Sprintf("/v1/admin/dead/%.0f", number)
	require.NotContains(t, b.do("GET", path, "").want(200).body, "s3cret")
	require.NotContains(t, b.do("GET", "/v1/admin/dead/groups", "").want(200).body, "s3cret")
	require.Contains(t, b.do("GET", path+"?reveal=true", "").want(200).body, "s3cret")
	require.Contains(t, b.do("GET", "/v1/admin/audit", "").want(200).body, "dead.reveal")
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/admin/retry-policies/user"
	require.Len(t, b.do("GET", "/v1/admin/retry-policies", "").want(200).json()["policies"], 4)
	a := b.do("GET", path, "").want(200)
	require.Equal(t, `"0"`, a.Header.Get("ETag"))
	require.Equal(t, "10m", a.json()["policy"].(map[string]any)["cap"])

	a = b.do("PATCH", path,
		`{"policy":{"max_attempts":3,"base":"2s","on":{"foreign_key":{"max_attempts":20,"jitter":"none"},"unique":{"factor":1.5}}},"note":"import"}`, `If-Match: "0"`).want(200)
	require.Equal(t, `"1"`, a.Header.Get("ETag"))
	require.JSONEq(t, `{"max_attempts":3,"base":"2s","factor":2,"cap":"10m","jitter":"full","timeout":"30s","on":{"foreign_key":{"max_attempts":20,"jitter":"none"},"unique":{"factor":1.5}}}`,
		rawPolicy(t, a))
	b.do("PATCH", path, `{"policy":{"base":"3s"}}`, `If-Match: "0"`).problem(412, "policy-changed")
	b.do("PATCH", path, `{"policy":{"base":"3s"}}`, `If-Match: 1`).problem(400, "bad-header")
	a = b.do("PATCH", path, `{"policy":{"on":{"foreign_key":{"jitter":null},"unique":null}}}`).want(200)
	require.JSONEq(t, `{"max_attempts":3,"base":"2s","factor":2,"cap":"10m","jitter":"full","timeout":"30s","on":{"foreign_key":{"max_attempts":20}}}`, rawPolicy(t, a))
	for _, bad := range []struct{ policy, says string }{
		{`{"max_attempts":0}`, "max_attempts must be from 1"},
		{`{"base":5}`, "base must be a duration"},
		{`{"base":[1]}`, "base must be a number or a text"},
		{`{"bse":"1s"}`, "bse is not a setting"},
		{`{"on":{"nothing":{"base":"1s"}}}`, "on.nothing.base is not of a kind"},
		{`{"on":{"unique":{"cap":"1ms"}}}`, "on.unique.cap must be from base"},
		{`{}`, "policy must name"},
	} {
		require.Contains(t, b.do("PATCH", path, `{"policy":`+bad.policy+`}`).problem(422, "invalid"), bad.says)
	}
	b.do("PATCH", "/v1/admin/retry-policies/nobody", `{"policy":{"base":"1s"}}`).problem(404, "unknown-entity")

	preview := b.do("POST", path+"/preview", `{"policy":{"jitter":"none"}}`).want(200).json()
	schedules := preview["schedules"].([]any)
	require.Len(t, schedules, 2, "every kind, and the one with settings of its own")
	require.Nil(t, schedules[0].(map[string]any)["kind"])
	require.EqualValues(t, 2+4, schedules[0].(map[string]any)["dead_high_seconds"])
	require.Len(t, schedules[1].(map[string]any)["steps"], 20)
	require.EqualValues(t, 0, preview["effect"].(map[string]any)["waiting"])
	require.Len(t, b.do("POST", path+"/preview", `{"kind":"check","against":"product"}`).want(200).json()["schedules"],
		1)
	b.do("POST", path+"/preview", `{"kind":"none"}`).problem(422, "invalid")

	b.do("POST", path+"/rollback", `{"version":9}`).problem(422, "invalid")
	b.do("POST", path+"/rollback", `{}`).problem(422, "invalid")
	require.EqualValues(t, 3, b.do("POST", path+"/rollback", `{"version":0}`).want(200).json()["version"])
	versions := b.do("GET", path+"/history", "").want(200).json()["versions"].([]any)
	require.Len(t, versions, 4)
	require.Equal(t, map[string]any{"setting": "max_attempts", "from": "3", "to": "10"},
		versions[0].(map[string]any)["changes"].([]any)[0])
}

func rawPolicy(t *testing.T, a answer) string {
	t.Helper()
	_, rest, ok := strings.Cut(a.body, `"policy":`)
	require.True(t, ok)
	raw, _, _ := strings.Cut(rest, `,"author"`)
	return raw
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := b.entities["user"]
	require.EqualValues(t, e.Partitions, b.do("POST", "/v1/admin/pause",
		`{"entity":"user"}`).want(200).json()["changed"])
	require.EqualValues(t, 1,
		b.do("POST", "/v1/admin/resume", `{"entity":"user","partitions":[0]}`).want(200).json()["changed"])
	require.EqualValues(t, 0,
		b.do("POST", "/v1/admin/resume", `{"entity":"user","partitions":[0]}`).want(200).json()["changed"])
	stats, err := b.backlog.Stats(t.Context(), e)
	require.NoError(t, err)
	require.False(t, stats[0].Paused)
	require.True(t, stats[1].Paused)
	require.Contains(t, b.do("GET", "/v1/admin/audit?limit=1", "").want(200).body, `flush.resume`)
	b.do("POST", "/v1/admin/pause", `{"entity":"user","partitions":[99]}`).problem(422, "invalid")
	b.do("POST", "/v1/admin/pause", `{"entity":"nobody"}`).problem(404, "unknown-entity")
}

func TestFlushNow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	none := b.do("POST", "/v1/admin/flush", `{"entity":"user"}`).want(202).json()
	require.EqualValues(t, 0, none["partitions"])
	b.do("POST", "/v1/admin/pause", `{"entity":"user"}`).want(200)
	b.do("POST", "/v1/admin/flush", `{"entity":"user"}`).want(202)
	require.Contains(t, b.do("GET", "/v1/admin/audit?limit=1", "").want(200).body, `flush.now`)
	b.do("POST", "/v1/admin/flush", `{"entity":"nobody"}`).problem(404, "unknown-entity")
}

func TestInvalidate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put("product", "1", schema.Fields{"name": "P"})
	require.EqualValues(t, 0, b.do("POST", "/v1/admin/invalidate",
		`{"entity":"product","ids":[1]}`).want(200).json()["dropped"], "never a pending one")
	read, err := b.cache.Get(t.Context(), b.entities["user"], "nobody") // cached absence
	require.NoError(t, err)
	require.True(t, read.Deleted)
	require.EqualValues(t, 1, b.do("POST", "/v1/admin/invalidate",
		`{"entity":"user","match":"no*"}`).want(200).json()["dropped"])
	require.Contains(t, b.do("GET", "/v1/admin/audit?limit=1", "").want(200).body, `"match":"no*"`)
	b.do("POST", "/v1/admin/invalidate", `{"entity":"user"}`).problem(422, "invalid")
	b.do("POST", "/v1/admin/invalidate", `{"entity":"product","ids":["x"]}`).problem(422, "invalid")
	b.do("POST", "/v1/admin/invalidate", `{"entity":"nobody","match":"*"}`).problem(404, "unknown-entity")
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("GET", "/v1/admin/stats", "", "Host: evil.example").problem(403, "not-local")
	b.do("GET", "/v1/admin/stats", "", "Host: localhost:8080").want(200)
	b.do("GET", "/v1/admin/stats", "", "Host: [::1]").want(200)
	b.do("POST", "/v1/admin/invalidate", `{"entity":"user","match":"*"}`, "Origin: https://evil.example",
		"Sec-Fetch-Site: cross-site").problem(403, "cross-origin")
	b.do("POST", "/v1/admin/invalidate", `{"entity":"user","match":"*"}`, "Content-Type: text/plain").problem(415,
		"unsupported-media-type")
	for _, header := range []string{"Content-Encoding: gzip", "Content-Encoding: coffee",
		"Content-Type: application/json; charset=latin1", "Content-Type: "} {
		for method, path := range map[string]string{"POST": "/v1/admin/invalidate",
			"PATCH": "/v1/admin/retry-policies/user"} {
			a := b.do(method, path, `{"entity":"user","match":"*"}`, header)
			a.problem(415, "unsupported-media-type")
			require.Equal(t, strings.HasPrefix(header, "Content-Encoding"),
				a.Header.Get("Accept-Encoding") == "identity")
		}
	}
	b.do("POST", "/v1/admin/invalidate", `{"entity":"user","match":"no*"}`, "Content-Encoding: identity",
		`Content-Type: application/json; charset="UTF-8"`).want(200)
	b.do("POST", "/v1/admin/invalidate", `{"entity":"user","match":"*","match":"a"}`).problem(400, "malformed")
	b.do("POST", "/v1/admin/invalidate", `{"entity":"user","mach":"*"}`).problem(422, "invalid")
	b.do("POST", "/v1/admin/invalidate", `{"entity":"`+strings.Repeat("x", 2<<20)+`"}`).problem(413, "body-too-large")
	b.do("GET", "/v1/admin/nothing", "").problem(404, "unknown-route")
	for _, path := range []string{"/v1/admin//stats", "/v1/admin/dead/../stats", "/v1/admin/./stats",
		"/v1/admin/../user/u", "/v1/admin/stats/", "/v1/admin//", "/v1/admin/", "/v1/admin/dead%2Fgroups"} {
		b.do("GET", path, "").problem(404, "unknown-route")
		b.do("PUT", path, `{}`).problem(404, "unknown-route")
	}
	require.Equal(t, "GET, HEAD", b.do("DELETE", "/v1/admin/stats", "").Header.Get("Allow"))
	b.do("GET", "/v1/admin/dead?kinds=unique", "").problem(400, "bad-parameter")
	b.do("GET", "/v1/admin/dead?kind=none", "").problem(400, "bad-parameter")
	b.do("GET", "/v1/admin/dead?since=yesterday", "").problem(400, "bad-parameter")
	b.do("GET", "/v1/admin/dead?limit=0", "").problem(400, "bad-parameter")
}
