package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/producer/api"
)

// outcomes are the results of a batch.
type outcomes struct {
	Results []struct {
		Status  int
		Version json.Number
		ID      any
		Fields  json.RawMessage
		Error   *problem
	}
}

func (b *bundle) batch(body string, headers ...string) outcomes {
	b.t.Helper()
	var o outcomes
	a := b.do("POST", "/v1/batch", body, headers...).want(b.t, 200)
	require.NoError(b.t, json.Unmarshal([]byte(a.body), &o))
	return o
}

func TestBatchKeepsTheOrderOfARecord(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var lines []string
	for i := range 200 {
		id := fmt.Sprintf("r%d", i%20)
		lines = append(lines,
			fmt.Sprintf(`{"op":"put","entity":"user","id":%q,"fields":{"name":"v%d"}}`, id, i),
			fmt.Sprintf(`{"op":"increment","entity":"user","id":%q,"fields":{"login_count":%d}}`, id, i))
	}
	o := b.batch(strings.Join(lines, "\n")+"\n\n", "Content-Type: application/x-ndjson")
	require.Len(t, o.Results, 400)
	for i, r := range o.Results {
		require.Equal(t, 202, r.Status)
		if i%2 == 1 {
			require.JSONEq(t, fmt.Sprintf(`{"login_count":%d}`, i/2), string(r.Fields))
		}
	}
	for i := range 20 {
		got := b.do("GET", fmt.Sprintf("/v1/user/r%d", i), "").want(t, 200)
		require.Contains(t, got.body, fmt.Sprintf(`"name":"v%d"`, 180+i))
		require.Contains(t, got.body, fmt.Sprintf(`"login_count":%d,`, 180+i))
	}
}

func TestBatchBadItemsFailAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	items := []struct {
		text   string
		status int
		name   string
		field  string
	}{
		{`{"op":"create","entity":"user","id":"a","fields":{"name":"A"}}`, 202, "", ""},
		{`{"op":"create","entity":"user","id":"a","fields":{"name":"A"}}`, 409, "exists", ""},
		{`{"op":"create","entity":"player","fields":{"name":"made"}}`, 202, "", ""},
		{`{"op":"put","entity":"nope","id":"a","fields":{}}`, 404, "unknown-entity", ""},
		{`{"op":"push","entity":"user","id":"a","fields":{}}`, 422, "invalid", "op"},
		{`{"op":5,"entity":"user","id":"a","fields":{}}`, 422, "invalid", "op"},
		{`{"op":"put","entity":"user","id":"a","fields":{"name":"A","name":"B"}}`, 400, "malformed", "fields"},
		{`{"op":"put","entity":"user","id":"a","fields":{"name":"\ud800"}}`, 400, "malformed", "fields"},
		{`{"op":"put","entity":"user","id":"a","fields":{"name":"A","nope":1}}`, 422, "invalid", "nope"},
		{`{"op":"put","entity":"user","id":"a","fields":[]}`, 422, "invalid", "fields"},
		{`{"op":"put","entity":"user","id":"a","fields":{"id":"a","name":"A"}}`, 422, "invalid", "fields"},
		{`{"op":"put","entity":"user","id":"a"}`, 422, "invalid", "fields"},
		{`{"op":"put","entity":"user","fields":{"name":"A"}}`, 422, "invalid", "id"},
		{`{"op":"put","entity":"user","id":7,"fields":{"name":"A"}}`, 422, "invalid", "id"},
		{`{"op":"put","entity":"product","id":"7x","fields":{"name":"A"}}`, 422, "invalid", "id"},
		{`{"op":"put","entity":"product","id":"7","fields":{"name":"A"}}`, 202, "", ""},
		{`{"op":"put","entity":"product","id":7,"fields":{"name":"A"}}`, 202, "", ""},
		{`{"op":"put","entity":"user","id":"a","fields":{"name":"A"},"if_match":"*"}`, 202, "", ""},
		{`{"op":"put","entity":"user","id":"a","fields":{"name":"A"},"if_match":1}`, 412, "precondition-failed", ""},
		{`{"op":"put","entity":"user","id":"a","fields":{"name":"A"},"if_match":"x"}`, 422, "invalid", "if_match"},
		{`{"op":"create","entity":"user","id":"z","fields":{"name":"A"},"if_match":1}`, 422, "invalid", "if_match"},
		{`{"op":"put","entity":"user","id":"a","fields":{"name":"A"},"force":true}`, 422, "invalid", "force"},
		{`{"op":"delete","entity":"user","id":"a","fields":{}}`, 422, "invalid", "fields"},
		{`{"op":"delete","entity":"user","id":"gone"}`, 404, "not-found", ""},
		{`{"op":"delete","entity":"user","id":"a"}`, 202, "", ""},
		{`5`, 400, "malformed", ""},
		{`{"op":"increment","entity":"product","id":7,"fields":{"stock":2},"idempotency_key":"k"}`, 202, "", ""},
		{`{"op":"increment","entity":"product","id":7,"fields":{"stock":2},"idempotency_key":"k"}`, 202, "", ""},
		{`{"op":"increment","entity":"product","id":7,"fields":{"stock":2},"idempotency_key":""}`, 422, "invalid",
			"idempotency_key"},
	}
	var texts []string
	for _, item := range items {
		texts = append(texts, item.text)
	}
	o := b.batch("[" + strings.Join(texts, ",\n") + "]")
	require.Len(t, o.Results, len(items))
	for i, item := range items {
		r := o.Results[i]
		require.Equal(t, item.status, r.Status, item.text)
		if item.name == "" {
			require.Nil(t, r.Error, item.text)
			continue
		}
		require.Equal(t, api.ProblemPrefix+item.name, r.Error.Type, item.text)
		require.Equal(t, item.status, r.Error.Status)
		if item.field != "" {
			require.Equal(t, []string{item.field}, r.Error.fields(), item.text)
		}
	}
	b.do("GET", "/v1/user/a", "").want(t, 404)
	require.Contains(t, b.do("GET", "/v1/product/7", "").want(t, 200).body, `"stock":2`)

	lines := b.batch(texts[0]+"\n{\"op\":\n"+texts[15], "Content-Type: application/x-ndjson")
	require.Equal(t, []int{202, 400, 202}, []int{lines.Results[0].Status, lines.Results[1].Status,
		lines.Results[2].Status})
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Empty(t, b.batch("[]").Results)
	items := strings.Repeat("{},", api.MaxBatchItems)
	require.Len(t, b.batch("["+strings.TrimSuffix(items, ",")+"]").Results, api.MaxBatchItems)
	b.do("POST", "/v1/batch", "["+items+"{}]").problem(t, 413, "too-many")
	b.do("POST", "/v1/batch", strings.ReplaceAll(items, ",", "\n")+"{}",
		"Content-Type: application/x-ndjson").problem(t, 413, "too-many")
}

// A write is as large as it may be alone, and one that is larger spoils no other.
func TestBatchItemIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.MaxBody = 2048 }))
	large := fmt.Sprintf(`{"op":"put","entity":"user","id":"large","fields":{"name":"n","profile":%q}}`,
		strings.Repeat("x", 2048))
	o := b.batch("[" + large + `,{"op":"put","entity":"user","id":"small","fields":{"name":"n"}}]`)
	require.Equal(t, 413, o.Results[0].Status)
	require.Equal(t, "urn:afterwrite:problem:body-too-large", o.Results[0].Error.Type)
	require.Equal(t, 202, o.Results[1].Status)
	b.do("GET", "/v1/user/large", "").problem(t, 404, "not-found")
}
