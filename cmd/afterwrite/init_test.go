package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// shop is a database that others made: a parent, a child that refers to it, a table
// with a key of two columns, one without a key, and a column that no field holds.
var shop = map[string][]string{
	"sqlite": {
		`CREATE TABLE customers (id INTEGER PRIMARY KEY, mail VARCHAR(80) NOT NULL UNIQUE, joined DATETIME, active BOOLEAN NOT NULL DEFAULT 1)`,
		`CREATE TABLE orders (number VARCHAR(20) NOT NULL PRIMARY KEY, customer INTEGER REFERENCES customers (id), note TEXT, doubled INTEGER AS (customer * 2))`,
		`CREATE TABLE links (id VARCHAR(20) NOT NULL, customer INTEGER NOT NULL REFERENCES customers (id), at DATETIME NOT NULL, PRIMARY KEY (customer, id, at))`,
		`CREATE TABLE loose (a INTEGER, b INTEGER)`,
	},
	"postgres": {
		`CREATE TABLE customers (id bigint PRIMARY KEY, mail varchar(80) NOT NULL UNIQUE, joined timestamptz, active boolean NOT NULL DEFAULT true)`,
		`CREATE TABLE orders (number varchar(20) PRIMARY KEY, customer bigint REFERENCES customers (id), note text, doubled bigint GENERATED ALWAYS AS (customer * 2) STORED)`,
		`CREATE TABLE links (id varchar(20), customer bigint REFERENCES customers (id), at timestamptz, PRIMARY KEY (customer, id, at)) PARTITION BY HASH (at)`,
		`CREATE TABLE links_0 PARTITION OF links FOR VALUES WITH (MODULUS 1, REMAINDER 0)`,
		`CREATE TABLE loose (a bigint, b bigint)`,
	},
	"mysql": {
		`CREATE TABLE customers (id bigint PRIMARY KEY, mail varchar(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL UNIQUE, joined datetime(6), active tinyint(1) NOT NULL DEFAULT 1)`,
		`CREATE TABLE padded (number varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, n int)`,
		`CREATE TABLE orders (number varchar(20) CHARACTER SET utf8mb4 COLLATE ` + testkit.ExactCollation + ` NOT NULL PRIMARY KEY, customer bigint, note text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, doubled bigint AS (customer * 2) STORED, FOREIGN KEY (customer) REFERENCES customers (id))`,
		`CREATE TABLE links (id varchar(20) CHARACTER SET utf8mb4 COLLATE ` + testkit.ExactCollation + `, customer bigint, at datetime(6), PRIMARY KEY (customer, id, at), FOREIGN KEY (customer) REFERENCES customers (id))`,
		`CREATE TABLE loose (a bigint, b bigint)`,
	},
}

// TestInitFromADatabase: the proposed configuration is right as it is: nothing is left to
// migrate in the tables, and a write reaches its row.
func TestInitFromADatabase(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		scheme, _, _ := strings.Cut(url, "://")
		db := testkit.SQL(t, url)
		for _, statement := range shop[scheme] {
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		d := deploy(t, url)
		require.NoError(t, os.Remove(filepath.Join(d.dir, "afterwrite.yaml")))
		d.ok("init", "--database", url)
		text := d.read("afterwrite.yaml")
		require.Regexp(t, `(?m)^#   loose: no column is its key alone$`, text)
		require.Regexp(t, `(?m)^    id: \{columns: \["customer", "id", "at"\]\}`, text)
		require.Regexp(t, `(?m)^      links_id: \{type: string, column: "id", required: true, max: 20\}`, text)
		require.Regexp(t, `(?m)^      customer: \{type: int, required: true, references: customers\}`, text)
		require.Regexp(t, `(?m)^    id: \{column: "id", type: int\}`, text)
		require.Regexp(t, `(?m)^    id: \{column: "number", type: string, max: 20\}`, text)
		// MySQL's index pads, so it is not quite the field's
		require.Regexp(t, `(?m)^      mail: \{type: string, required: true, (unique: true, )?max: 80\}`, text)
		require.Regexp(t, `(?m)^      joined: \{type: time`, text)
		require.Regexp(t, `(?m)^      active: \{type: bool, default: true\}`, text)
		require.Regexp(t, `(?m)^      customer: \{type: int, references: customers\}`, text)
		require.Regexp(t, `(?m)^      doubled: .*from: database.*the database computes it`, text)
		require.Contains(t, d.run("", "init", "--database", url).err, "exists", "what is there is left alone")

		d.env = append(d.env, "AFTERWRITE_DATABASE_URL="+url, "AFTERWRITE_REDIS_URL="+d.redis.URL(),
			"AFTERWRITE_REDIS_PREFIX="+d.prefix,
			"AFTERWRITE_API_ADDR="+d.api, "AFTERWRITE_WORKER_ADDR="+d.worker)
		require.NotContains(t, d.ok("migrate"), "customers: create", "the tables are there")
		d.start("api")
		d.start("worker")
		d.ready(d.api)
		code, body := d.call(http.MethodPut, d.api, "/v1/customers/7",
			`{"mail":"ada@example.org","joined":"2026-01-02T03:04:05Z"}`)
		require.Equal(t, http.StatusAccepted, code, body)
		code, body = d.call(http.MethodPut, d.api, "/v1/orders/A-1", `{"customer":7,"note":"two"}`)
		require.Equal(t, http.StatusAccepted, code, body)
		code, body = d.call(http.MethodPut, d.api, "/v1/links/7~a=2Fb~2026-01-02T03:04:05Z", `{}`)
		require.Equal(t, http.StatusAccepted, code, body)
		d.ok("flush")
		var n, doubled int
		testkit.Eventually(t, "the order has its row, if need be after its customer", func() bool {
			return db.QueryRowContext(t.Context(), `SELECT customer, doubled FROM orders WHERE number = 'A-1'`).Scan(&n,
				&doubled) == nil
		})
		require.Equal(t, 14, doubled)
		testkit.Eventually(t, "the link has its row, too", func() bool {
			return db.QueryRowContext(t.Context(), `SELECT count(*) FROM links WHERE id = 'a/b'`).Scan(&n) == nil && n == 1
		})
	})
}

func TestInitFromNothing(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	require.Equal(t, d.ok("config", "example"), d.ok("init", "--out", "-"))
	d.ok("init", "--out", "new.yaml")
	d.ok("config", "check", "--config", "new.yaml")
	require.Equal(t, exitUsage, d.run("", "init", "users", "--out", "-").code)
	require.Equal(t, exitUsage, d.run("", "init", "--database", "sqlite://"+d.dir+"/none.db", "--out", "-").code)
	require.NoFileExists(t, filepath.Join(d.dir, "none.db"))
}

// TestInitWritesNoPassword: wherever an address has it.
func TestInitWritesNoPassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://app:s3cret@h/shop", "postgres://h/shop?user=app&password=s3cret", "postgres://app:s3cret@a:1,b:2/shop",
		"mysql://app:s3cret@h/shop?tls=true",
	} {
		text := head(address, nil)
		require.NotContains(t, text, "s3cret", address)
		require.Contains(t, text, "AFTERWRITE_DATABASE_URL", address)
		require.NotContains(t, text, "database: {url", address)
	}
	require.Contains(t, head("sqlite://a b.db", nil), `database: {url: "sqlite://a b.db"}`)
	require.Contains(t, head("postgres://app@h/shop", nil), `database: {url: "postgres://app@h/shop"}`)
}
