package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

const keyed = `
entities:
  item:
    table: items
    id: {columns: [tenant_id, id]}
    fields:
      tenant_id: {type: string, max: 60}
      no: {type: text, column: id}
      title: {type: string, max: 200}
      n: {type: int, default: 0}
    partitions: 3
    rank: {by: n}
  line:
    table: line_items
    id: {columns: [order_no, product_no], type: int}
    write: through
    fields: {note: {type: string, max: 20}}
  part:
    id: {columns: [item_tenant, no]}
    fields:
      item_tenant: {type: string, max: 60}
      no: {type: int}
      code: {type: string, max: 20, unique: true}
    retry: {max_attempts: 1}
`

// oddParts are parts of a key that mean something in the text of an id, in a path, in a list, in a pattern or in SQL.
var oddParts = []string{"", "a", "A", "a ", " a", "~", "=", "=7E", "a~b", "b", "%2F", "%", "/", "\\", "..", ".", "-", ",", ";", "?", "#",
	"+", "&", "é", "e\u0301", "日本", "😀", "\n", "\x7f", "'", `"`, "*", "{x}", "NULL"}

// itemID is the text of a key of two texts, as a client builds it by the rule of docs/API.md.
func itemID(tenant, no string) string {
	escape := func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			switch {
			case c >= 0x80, c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("-_.:@", c) >= 0:
				b.WriteByte(c)
			default:
				fmt.Fprintf(&b, "=%02X", c)
			}
		}
		return b.String()
	}
	return escape(tenant) + "~" + escape(no)
}

func itemRecord(tenant, no, title string, n int) string {
	return fmt.Sprintf(`{"id":%s,"tenant_id":%s,"no":%s,"title":%s,"n":%d}`, jsonText(itemID(tenant, no)), jsonText(tenant),
		jsonText(no), jsonText(title), n)
}

// TestCompositeKeys: records with a key of two columns take every operation, with the id in the path, by query, in a
// batch and in a file, and any text in its parts, before and after the flush and without Redis's copy.
func TestCompositeKeys(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, database string) {
		t.Parallel()
		d := deployEntities(t, database, testkit.SharedRedis(t), keyed)
		d.ok("migrate")
		d.start("api")
		d.ready(d.api)
		want := map[string]string{}
		n := 0
		for _, tenant := range oddParts {
			for _, no := range []string{"a", oddParts[n%len(oddParts)]} {
				id := itemID(tenant, no)
				path, body := "/v1/item/"+url.PathEscape(id), fmt.Sprintf(`{"title":"t","n":%d}`, n)
				if n%2 == 1 { // by query, with the fields of the key
					path = "/v1/item/-?id=" + url.QueryEscape(id)
					body = fmt.Sprintf(`{"tenant_id":%s,"no":%s,"title":"t","n":%d}`, jsonText(tenant), jsonText(no), n)
				}
				code, answer := d.call(http.MethodPut, d.api, path, body)
				require.Equal(t, http.StatusAccepted, code, answer)
				require.Contains(t, answer, `"id":`+jsonText(id)+`,`)
				want[id] = itemRecord(tenant, no, "t", n)
				n++
			}
		}
		d.items(want)
		d.start("worker")
		d.ok("flush", "--timeout", "30s")
		d.items(want)
		d.forget()
		d.items(want)
		d.itemPages(want)

		d.itemWrites(want)
		d.ok("flush", "--timeout", "30s")
		d.items(want)
		d.itemPages(want)
		d.forget()
		d.items(want)
		d.keyFaults()
		d.keyCommands()
		d.keyLetters()
		d.ok("flush", "--timeout", "30s")
		require.Contains(t, d.ok("fsck"), "agree")
	})
}

// items reads each record by its path and its query, and all of them at once.
func (d *deployment) items(want map[string]string) {
	d.t.Helper()
	ids := make([]string, 0, len(want))
	for id, record := range want {
		for _, path := range []string{"/v1/item/" + url.PathEscape(id), "/v1/item/-?id=" + url.QueryEscape(id), "/v1/item/" + id} {
			code, body := d.call(http.MethodGet, d.api, path, "")
			require.Equal(d.t, http.StatusOK, code, "%s %s", path, body)
			d.sameText(record, strings.TrimSuffix(body, "\n"))
		}
		ids = append(ids, url.QueryEscape(id))
	}
	code, body := d.call(http.MethodGet, d.api, "/v1/item?ids="+strings.Join(append(ids, "no~where"), ","), "")
	require.Equal(d.t, http.StatusOK, code, body)
	for _, record := range want {
		require.True(d.t, strings.Contains(body, record), record)
	}
	require.Contains(d.t, body, `"missing":["no~where"]`)
}

// itemPages reads all pages, in the order of the key's columns, and those of one tenant.
func (d *deployment) itemPages(want map[string]string) {
	d.t.Helper()
	type part struct{ Tenant, No, ID string }
	var all []part
	for id := range want {
		parts := schema.KeyParts(id)
		all = append(all, part{parts[0], parts[1], id})
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Tenant != all[j].Tenant {
			return all[i].Tenant < all[j].Tenant
		}
		return all[i].No < all[j].No
	})
	var order, ofA []string
	for _, p := range all {
		order = append(order, p.ID)
		if p.Tenant == "a" {
			ofA = append(ofA, p.ID)
		}
	}
	require.Equal(d.t, order, d.listed("/v1/item?limit=7", want))
	require.Equal(d.t, ofA, d.listed("/v1/item?limit=1&tenant_id=a", want))
}

// listed follows the cursors of a list.
func (d *deployment) listed(path string, want map[string]string) []string {
	d.t.Helper()
	var ids []string
	for after := ""; ; {
		code, body := d.call(http.MethodGet, d.api, path+after, "")
		require.Equal(d.t, http.StatusOK, code, body)
		var page struct {
			Records []json.RawMessage
			Next    *string
		}
		require.NoError(d.t, json.Unmarshal([]byte(body), &page))
		for _, record := range page.Records {
			var one struct{ ID string }
			require.NoError(d.t, json.Unmarshal(record, &one))
			d.sameText(want[one.ID], string(record))
			ids = append(ids, one.ID)
		}
		if page.Next == nil {
			return ids
		}
		after = "&after=" + url.QueryEscape(*page.Next)
	}
}

// itemWrites patches, increments, deletes and creates, alone and in a batch.
func (d *deployment) itemWrites(want map[string]string) {
	d.t.Helper()
	accepted := func(method, path, body string) string {
		d.t.Helper()
		code, answer := d.call(method, d.api, path, body)
		require.Equal(d.t, http.StatusAccepted, code, answer)
		return answer
	}
	id := itemID("a~b", "a")
	accepted(http.MethodPatch, "/v1/item/"+id, `{"title":"patched","no":"a"}`)
	accepted(http.MethodPost, "/v1/item/"+id+"/increment", `{"n":100}`)
	var state struct{ N int }
	require.NoError(d.t, json.Unmarshal([]byte(want[id]), &state))
	want[id] = itemRecord("a~b", "a", "patched", state.N+100)
	code, body := d.call(http.MethodGet, d.api, "/v1/item/"+id+"/status", "")
	require.Equal(d.t, http.StatusOK, code)
	require.Contains(d.t, body, `"id":`+jsonText(id))

	gone := itemID("..", "a")
	accepted(http.MethodDelete, "/v1/item/"+gone, "")
	delete(want, gone)
	answer := accepted(http.MethodPost, "/v1/item", `{"tenant_id":"new/one","no":"","title":"x"}`)
	require.Contains(d.t, answer, `"id":"new=2Fone~"`)
	want["new=2Fone~"] = itemRecord("new/one", "", "x", 0)
	code, _ = d.call(http.MethodPost, d.api, "/v1/item", `{"id":"new=2Fone~","title":"x"}`)
	require.Equal(d.t, http.StatusConflict, code)

	batch := `[{"op":"put","entity":"item","id":"b=2fb~\u00e9","fields":{"title":"in a batch","tenant_id":"b/b"}},
		{"op":"increment","entity":"item","id":"b=2Fb~\u00e9","fields":{"n":5}},
		{"op":"create","entity":"item","fields":{"tenant_id":"t","no":"1"}},
		{"op":"patch","entity":"item","id":"t~1","fields":{"no":"2"}},
		{"op":"put","entity":"line","id":"7~-3","fields":{}},
		{"op":"delete","entity":"item","id":"t~1"}]`
	code, body = d.call(http.MethodPost, d.api, "/v1/batch", batch)
	require.Equal(d.t, http.StatusOK, code)
	var answers struct{ Results []struct{ Status int } }
	require.NoError(d.t, json.Unmarshal([]byte(body), &answers))
	for i, status := range []int{202, 202, 202, 422, 200, 202} {
		require.Equal(d.t, status, answers.Results[i].Status, "%d: %s", i, body)
	}
	want[itemID("b/b", "é")] = itemRecord("b/b", "é", "in a batch", 5)
}

// keyFaults sends what is wrong with an id or with the fields of a key: each is named, and nothing is written.
func (d *deployment) keyFaults() {
	d.t.Helper()
	for _, c := range []struct{ method, path, body, says string }{
		{"PUT", "/v1/item/a~b", `{"no":"c"}`, `"field":"no","reason":"is \"b\" in the id`},
		{"PATCH", "/v1/item/a~a", `{"tenant_id":"b"}`, `"field":"tenant_id"`},
		{"PATCH", "/v1/item/a~a", `{"tenant_id":null}`, `"field":"tenant_id"`},
		{"PUT", "/v1/item/a~b", `{"id":"a~c"}`, `is not the id of the path`},
		{"PUT", "/v1/item/a", `{}`, `has 1 parts, the key has 2: tenant_id~no`},
		{"PUT", "/v1/item/a~b~c", `{}`, `has 3 parts`},
		{"PUT", "/v1/item/a~=0", `{}`, `two hexadecimal digits`},
		{"POST", "/v1/item", `{"no":"x"}`, `"field":"tenant_id"`},
		{"POST", "/v1/line/7~-3/increment", `{"order_no":1}`, `a part of the key`},
		{"PUT", "/v1/line/7~x", `{}`, `product_no`},
		{"PUT", "/v1/item/" + strings.Repeat("t", 61) + "~b", `{}`, `at most 60`},
	} {
		code, body := d.call(c.method, d.api, c.path, c.body)
		require.Equal(d.t, http.StatusUnprocessableEntity, code, "%s %s %s", c.method, c.path, body)
		require.Contains(d.t, body, c.says)
	}
	code, body := d.call(http.MethodPut, d.api, "/v1/item/a%2Fb~c", `{}`)
	require.Equal(d.t, http.StatusBadRequest, code, body)
	require.Contains(d.t, body, "id-not-in-path")
}

// keyCommands loads files with and without the text of the id, and reads a record.
func (d *deployment) keyCommands() {
	d.t.Helper()
	csv := d.file("items.csv", "tenant_id,no,title,n\nfile,1/2,of a file,7\nfile,\"a,b\",,8\n")
	require.Contains(d.t, d.ok("load", "item", csv), "2")
	lines := d.file("items.ndjson", `{"id":"file~=2F","title":"x"}`+"\n"+`{"tenant_id":"file","no":"~"}`+"\n")
	d.ok("load", "item", lines)
	d.ok("flush", "--timeout", "30s")
	require.Equal(d.t, []string{"file~=2F", "file~1=2F2", "file~a=2Cb", "file~=7E"}, d.listed("/v1/item?tenant_id=file",
		map[string]string{"file~1=2F2": itemRecord("file", "1/2", "of a file", 7),
			"file~a=2Cb": `{"id":"file~a=2Cb","tenant_id":"file","no":"a,b","title":null,"n":8}`,
			"file~=2F":   itemRecord("file", "/", "x", 0),
			"file~=7E":   `{"id":"file~=7E","tenant_id":"file","no":"~","title":null,"n":0}`}))
	require.Contains(d.t, d.ok("record", "get", "item", "file~1=2F2"), "of a file")
	d.ok("invalidate", "item", "file~1=2F2")
	code, body := d.call(http.MethodGet, d.api, "/v1/item?top=1", "")
	require.Equal(d.t, http.StatusOK, code, body)
	code, body = d.call(http.MethodGet, d.api, "/v1/line/7~-3", "")
	require.Equal(d.t, http.StatusOK, code, body)
	require.Equal(d.t, `{"id":"7~-3","order_no":7,"product_no":-3,"note":null}`, strings.TrimSpace(body))
	code, body = d.call(http.MethodPatch, d.api, "/v1/line/7~-3", `{"note":"through"}`)
	require.Equal(d.t, http.StatusOK, code, body)
	code, body = d.call(http.MethodDelete, d.api, "/v1/line/7~-3", "")
	require.Equal(d.t, http.StatusOK, code, body)
	code, _ = d.call(http.MethodGet, d.api, "/v1/line/7~-3", "")
	require.Equal(d.t, http.StatusNotFound, code)
}

// keyLetters has the database refuse records, and mends them from their dead letters.
func (d *deployment) keyLetters() {
	d.t.Helper()
	for _, id := range []string{"a=2Fb~1", "a=2Fb~2", "a=2Fb~3"} {
		code, body := d.call(http.MethodPut, d.api, "/v1/part/"+id, `{"code":"same"}`)
		require.Equal(d.t, http.StatusAccepted, code, body)
	}
	var numbers []string
	testkit.Eventually(d.t, "two of three are dead", func() bool {
		numbers = nil
		for _, l := range d.json(d.ok("dead", "list", "--entity", "part", "--json"))["letters"].([]any) {
			numbers = append(numbers, fmt.Sprintf("%.0f", l.(map[string]any)["number"]))
		}
		return len(numbers) == 2
	})
	number := numbers[0]
	require.Contains(d.t, d.ok("dead", "show", number), "a=2Fb~")
	require.NotEmpty(d.t, d.run("", "dead", "edit", number, "--set", "no=9").err)
	d.ok("dead", "edit", number, "--set", `code="other"`)
	d.ok("dead", "discard", numbers[1], "--yes")
	d.ok("flush", "--timeout", "30s")
	code, body := d.call(http.MethodGet, d.api, "/v1/part?item_tenant=a%2Fb", "")
	require.Equal(d.t, http.StatusOK, code)
	require.Equal(d.t, 2, strings.Count(body, `"item_tenant":"a/b"`), body)
	require.Contains(d.t, body, `"code":"other"`)
}
