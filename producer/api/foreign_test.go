package api_test

import (
	"database/sql"
	"encoding/json"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
)

// A row with a value that another program wrote is named with its column; its neighbours
// are answered, and it can be patched, put and deleted.
func TestForeignRowIsNamed(t *testing.T) {
	t.Parallel()
	var url string
	b := setup(t, func(b *bundle, _ *api.Config) { url = testkit.SQLite(t); b.database = url })
	exec := func(statement string) {
		db, err := sql.Open("sqlite3", strings.TrimPrefix(url, "sqlite://")+"?_busy_timeout=5000")
		require.NoError(t, err)
		defer db.Close()
		_, err = db.Exec(statement)
		require.NoError(t, err)
	}
	exec(`INSERT INTO products (id, name, price, stock) VALUES (1, 'mine', '1.00', 1), (2, 'theirs', 'n/a', 'many')`)

	const named = `"foreign":[{"id":"2","field":"price","column":"price","reason":"\"n/a\" is not of type decimal: `
	for _, path := range []string{"/v1/product", "/v1/product?ids=1,2,3"} {
		for range 2 { // from the row, then from the cache
			body := b.do("GET", path, "").want(t, 200).body
			require.True(t, json.Valid([]byte(body)), body)
			require.Contains(t, body, named)
			require.Contains(t, body, `{"records":[{"id":1,"name":"mine"`)
		}
	}
	for range 2 {
		p := b.do("GET", "/v1/product/2", "").problem(t, 409, "foreign-value")
		require.Contains(t, p.Detail, "column price")
	}
	b.do("GET", "/v1/product/2/status", "").want(t, 200)
	b.do("POST", "/v1/product/2/increment", `{"stock":1}`).problem(t, 422, "invalid")
	b.do("PATCH", "/v1/product/2", `{"name":"ours"}`).want(t, 202)
	b.flush()
	require.Contains(t, b.do("GET", "/v1/product", "").want(t, 200).body, named)
	b.do("PATCH", "/v1/product/2", `{"price":"2.50","stock":3}`).want(t, 202)
	require.Contains(t, b.do("GET", "/v1/product/2", "").want(t, 200).body, `"name":"ours","price":"2.50","stock":3`)
	b.flush()
	require.NotContains(t, b.do("GET", "/v1/product", "").want(t, 200).body, "foreign")

	exec(`INSERT INTO products (id, name, price, stock) VALUES (4, 'x', 'n/a', 1), (5, 'x', 'n/a', 1)`)
	b.do("PUT", "/v1/product/4", `{"name":"put"}`).want(t, 202)
	b.do("DELETE", "/v1/product/5", "").want(t, 202)
	b.flush()
	require.Contains(t, b.do("GET", "/v1/product/4", "").want(t, 200).body, `"name":"put"`)
	b.do("GET", "/v1/product/5", "").want(t, 404)
}
