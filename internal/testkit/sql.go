package testkit

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/mattn/go-sqlite3"    // the driver "sqlite3"
)

// SQL opens a database by its URL with the plain driver, apart from all that the
// product does with it: to look at what the product wrote, to hold a lock, to be another
// program. It is closed when t ends.
func SQL(t testing.TB, databaseURL string) *sql.DB {
	t.Helper()
	driver, source := "pgx", databaseURL
	if u, err := url.Parse(databaseURL); err == nil && u.Scheme == "mysql" {
		// One call may be several statements, and names are quoted as the standard has it.
		driver, source = "mysql", u.User.Username()+"@tcp("+u.Host+")"+u.Path+
			"?multiStatements=true&parseTime=true&interpolateParams=true"+
			"&collation=utf8mb4_bin&time_zone=%27%2B00:00%27&sql_mode=%27STRICT_ALL_TABLES,ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES%27"
	}
	if file, ok := strings.CutPrefix(databaseURL, "sqlite://"); ok {
		driver, source = "sqlite3", "file:"+(&url.URL{Path: file}).EscapedPath()+
			"?_busy_timeout=30000&_txlock=immediate"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
