package web_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// hold has everything pending of an entity refused.
func (b *bundle) hold(entity string, why schema.Refusal) {
	b.t.Helper()
	e := b.entities[entity]
	for partition := range e.Partitions {
		batch, err := b.backlog.Due(b.t.Context(), e, partition, 10_000, 1<<26)
		require.NoError(b.t, err)
		for _, d := range batch.Due {
			n, err := b.backlog.Hold(b.t.Context(), e, partition,
				[]pending.Refused{{Change: d.Change, Refusal: why, Attempts: 2, Next: time.Now().Add(time.Hour),
					History: []schema.Attempt{{Number: 2, At: time.Now(), Kind: why.Kind, Message: why.Message,
						Worker: "w"}}}})
			require.NoError(b.t, err)
			require.Equal(b.t, 1, n)
		}
	}
}

func TestHeld(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *web.Config) { c.SyncLimit = 4 })
	people(b, 6)
	b.hold("user", taken)
	b.put("product", "7", schema.Fields{"name": "P"})
	b.hold("product", orphan)

	page := b.do("GET", "/v1/admin/held?entity=user&kind=unique&limit=2", "").want(200).json()
	require.EqualValues(t, 6, page["count"])
	require.Len(t, page["held"], 2)
	first := page["held"].([]any)[0].(map[string]any)
	require.Equal(t, "duplicate email", first["error"].(map[string]any)["message"])
	require.EqualValues(t, 2, first["attempts"])
	require.NotNil(t, first["next_attempt"])
	product := b.do("GET", "/v1/admin/held?text=PARENT", "").want(200).json()["held"].([]any)[0].(map[string]any)
	require.EqualValues(t, 7, product["id"], "an int id is a number")
	require.EqualValues(t, 0, b.do("GET", "/v1/admin/held?until=1h", "").want(200).json()["count"])
	b.do("GET", "/v1/admin/held?entity=nope", "").problem(404, "unknown-entity")
	b.do("GET", "/v1/admin/held?state=open", "").problem(400, "bad-parameter")

	one := fmt.Sprintf(`"entity":"product","id":7,"version":%.0f`, product["version"])
	require.Contains(t, b.do("POST", "/v1/admin/held/edit", `{`+one+`,"fields":{"price":"-1"}}`).problem(422,
		"invalid"), "price")
	b.do("POST", "/v1/admin/held/edit", `{`+one+`,"fields":{}}`).problem(422, "invalid")
	edited := b.do("POST", "/v1/admin/held/edit", `{`+one+`,"fields":{"name":"Q"}}`).want(202)
	require.NotEmpty(t, edited.Header.Get("ETag"))
	b.do("POST", "/v1/admin/held/edit", `{`+one+`,"fields":{"name":"R"}}`).problem(409, "stale")
	for _, action := range []string{"retry", "discard"} {
		path := "/v1/admin/held/" + action
		b.do("POST", path, `{`+one+`}`).problem(409, "stale")
		b.do("POST", path, `{}`).problem(404, "unknown-entity")
		b.do("POST", path, `{"entity":"product","id":7}`).problem(422, "invalid")
		b.do("POST", path, `{"entity":"product","version":7}`).problem(422, "invalid")
		b.do("POST", path, `{`+one+`,"filter":{},"expect":1}`).problem(422, "invalid")
		b.do("POST", path, `{"filter":{"entity":"user"}}`).problem(422, "invalid")
		b.do("POST", path, `{"filter":{"entity":"nope"},"expect":0}`).problem(404, "unknown-entity")
		require.Contains(t, b.do("POST", path, `{"filter":{"entity":"user"},"expect":9}`).problem(409,
			"unexpected-count"), "6 held records match")
	}
	report := b.do("POST", "/v1/admin/held/discard", fmt.Sprintf(`{"entity":"user","id":%q,"version":%.0f}`,
		first["id"], first["version"])).want(200).json()
	require.EqualValues(t, 1, report["done"])
	job := b.do("POST", "/v1/admin/held/retry", `{"filter":{"entity":"user"},"expect":5}`).want(202)
	require.Equal(t, "held.retry", job.json()["action"])
	testkit.Eventually(t, "the job is done", func() bool {
		return b.do("GET", job.Header.Get("Location"), "").want(200).json()["state"] == "done"
	})
	require.EqualValues(t, 0, b.do("GET", "/v1/admin/held", "").want(200).json()["count"])
	report = b.do("POST", "/v1/admin/held/retry", `{"filter":{"entity":"user"},"expect":0}`).want(200).json()
	require.EqualValues(t, 0, report["done"])
	entries := b.do("GET", "/v1/admin/audit?entity=user&limit=100", "").want(200).json()["entries"].([]any)
	require.Len(t, entries, 6, "each is audited")
}
