package web_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/schema"
)

const (
	mostID, mostStock = "9007199254740993", "9007199254740995" // a float of 53 bits has neither
	intsAsStrings     = "Prefer: ints=string"
)

// strung checks that the answer has no number in place of an int of a record, and returns its body.
func (a answer) strung() string {
	a.t.Helper()
	require.Equal(a.t, "ints=string", a.Header.Get("Preference-Applied"))
	require.NotRegexp(a.t, `"(id|version|stock)":-?[0-9]`, a.body)
	require.NotRegexp(a.t, `[:\[,]-?[0-9]{16}`, a.body)
	return a.body
}

// wide accepts a product whose id and stock have more than 53 bits.
func (b *bundle) wide() {
	b.put("product", mostID, schema.Fields{"name": "P", "stock": json.RawMessage(mostStock)})
}

// TestIntsAsStrings: what JavaScript reads on each route of the admin API has every digit, and can be sent back.
func TestIntsAsStrings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, stock := `"`+mostID+`"`, `"`+mostStock+`"`
	b.wide()
	b.hold("product", orphan)

	held := b.do("GET", "/v1/admin/held", "", intsAsStrings).want(200).strung()
	require.Contains(t, held, `"id":`+id)
	version := regexp.MustCompile(`"version":"[0-9]{16}"`)
	one := `"entity":"product","id":` + id + `,` + version.FindString(held)
	require.Contains(t, one, `"version"`, held)
	edited := b.do("POST", "/v1/admin/held/edit", `{`+one+`,"fields":{"stock":`+stock+`}}`, intsAsStrings).
		want(202).strung()
	require.Contains(t, edited, `"id":`+id)
	require.Regexp(t, version, edited)
	for _, action := range []string{"retry", "discard"} {
		b.do("POST", "/v1/admin/held/"+action, `{`+one+`}`).problem(409, "stale")
		b.do("POST", "/v1/admin/held/"+action, strings.Replace(`{`+one+`}`, `"version":"`, `"version":"x`, 1)).
			problem(422, "invalid")
	}

	b.kill("product", orphan)
	letters := b.do("GET", "/v1/admin/dead", "", intsAsStrings).want(200)
	require.Contains(t, letters.strung(), `"id":`+id)
	require.Regexp(t, version, letters.body)
	require.Contains(t, letters.body, `"stock":`+stock)
	letter := letters.json()["letters"].([]any)[0].(map[string]any)
	path := fmt.Sprintf("/v1/admin/dead/%.0f", letter["number"])
	shown := b.do("GET", path, "", intsAsStrings).want(200).strung()
	require.Contains(t, shown, `"field":"stock","dead":`+stock)
	require.Regexp(t, `"record":\{"status":"dead",`+version.String(), shown)
	edited = b.do("POST", path+"/edit", `{"fields":{"stock":`+stock+`}}`, intsAsStrings).want(202).strung()
	require.Contains(t, edited, `"id":`+id)
	require.Regexp(t, version, edited)

	entries := b.do("GET", "/v1/admin/audit", "", intsAsStrings).want(200).strung()
	require.Contains(t, entries, `"id":`+id)
	require.Regexp(t, version, entries)
	for _, path := range []string{"dead/groups", "jobs", "stats"} {
		b.do("GET", "/v1/admin/"+path, "", intsAsStrings).want(200).strung()
	}

	plain := b.do("GET", path, "").want(200)
	require.Empty(t, plain.Header.Get("Preference-Applied"))
	require.Contains(t, plain.body, `"id":`+mostID+`,`)
	require.Contains(t, plain.body, `"stock":`+mostStock)
}

// TestIntsAsStringsOfAnEntityNotConfigured: which of its fields are ints is not known, so all whole numbers count.
func TestIntsAsStringsOfAnEntityNotConfigured(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *web.Config) {
		c.Entities = slices.DeleteFunc(slices.Clone(c.Entities), func(e *schema.Entity) bool { return e.Name == "product" })
	})
	b.wide()
	b.kill("product", orphan)
	letter := b.do("GET", "/v1/admin/dead", "", intsAsStrings).want(200)
	letter.strung()
	path := fmt.Sprintf("/v1/admin/dead/%.0f?reveal=true", letter.json()["letters"].([]any)[0].(map[string]any)["number"])
	require.Contains(t, b.do("GET", path, "", intsAsStrings).want(200).strung(), `"stock":"`+mostStock+`"`)
}
