package store_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/survey"
)

// A password that has changed is read at the next connection: from the file of the URL, and
// from ~/.pgpass where the URL has none.
func TestPasswordsAreReadAtEachConnection(t *testing.T) {
	server := testkit.DedicatedPostgres(t, false)
	plain := server.Database(t)
	dir := t.TempDir()
	file, pass := filepath.Join(dir, "url"), filepath.Join(dir, "pgpass")
	write := func(path, text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	t.Setenv("PGPASSFILE", pass)
	rotate := func(password string) string {
		with := server.Role(t, plain, "rotated", password)
		write(file, with+"\n")
		write(pass, "*:*:*:rotated:"+password+"\n")
		return with
	}
	first := rotate("first")
	for name, address := range map[string]string{
		"url_file": first + "&url_file=" + url.QueryEscape(file),
		"pgpass":   strings.Replace(first, ":first@", "@", 1),
	} {
		require.NoError(t, store.CheckURL(address))
		b := open(t, address, nil, func(c *store.Config) { c.MaxIdle, c.ConnLifetime = 1, 1 }) // each call connects
		require.NoError(t, b.Ping(t.Context()), name)
		rotate("second")
		require.NoError(t, b.Ping(t.Context()), name)
		write(file, strings.Replace(first, ":first@", ":wrong@", 1))
		write(pass, "*:*:*:rotated:wrong\n")
		err := b.Ping(t.Context())
		require.ErrorContains(t, err, "28P01", name)
		require.NotContains(t, err.Error(), "wrong")
		rotate("first")
		require.NoError(t, b.Ping(t.Context()), name)
	}
}

// The file of a URL may have a password alone, and a URL one whose special characters are not escaped:
// no error quotes either, and none is taken for the name of a host or of a database.
func TestNoErrorQuotesAPassword(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "url")
	for _, good := range []string{"postgres://u@127.0.0.1:1/d?sslmode=disable&", "mysql://u@127.0.0.1:1/d?"} {
		for _, text := range []string{"", "s3cret", "u:s3cret", "redis://:s3cret@h", "u:/s3cret@h:1/d", "://s3cret"} {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			b, err := store.Open(store.Config{URL: good + "url_file=" + url.QueryEscape(file)}, nil)
			require.NoError(t, err)
			err = b.Ping(t.Context())
			require.ErrorContains(t, err, file, text)
			require.NotContains(t, err.Error(), "s3cret", text)
			require.NoError(t, b.Close())
		}
		scheme, _, _ := strings.Cut(good, "://")
		for _, password := range []string{"/s3cret", "?s3cret", "#s3cret", "1/s3cret", "1?s3cret", "s:/3cret"} {
			bad := scheme + "://u:" + password + "@127.0.0.1:1/d"
			err := store.CheckURL(bad)
			require.Error(t, err, bad)
			require.NotContains(t, err.Error(), "3cret", bad)
		}
		for _, fine := range []string{"", "u@", "u:p@", "u:%2Fp%40@"} {
			for _, host := range []string{"h", "h:1", "[::1]:1"} {
				require.NoError(t, store.CheckURL(scheme+"://"+fine+host+"/d"), fine+host)
			}
		}
	}
}

// A flush is durable where a role has synchronous_commit off, and leaves a stronger setting
// than on as it is.
func TestAFlushIsDurable(t *testing.T) {
	t.Parallel()
	server := testkit.DedicatedPostgres(t, false)
	e := account(t)
	for value, want := range map[string]string{"off": "on", "on": "on", "remote_apply": "remote_apply",
		"local": "local"} {
		b := setup(t, server.Database(t)+"&options=-c%20synchronous_commit%3D"+value, []*schema.Entity{e})
		b.exec("CREATE TABLE seen (v text)")
		b.exec(`CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$`)
		b.exec("CREATE TRIGGER see BEFORE INSERT OR UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION see()")
		b.flush(e, put("a", email(1), "1"))
		db := b.connect()
		var got string
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT max(v) FROM seen").Scan(&got))
		require.Equal(t, want, got, value)
	}
}

// TestSettingsThatLoseCommitsAreNamed: a flush cannot set them for itself, so doctor warns of them.
func TestSettingsThatLoseCommitsAreNamed(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		weak, safe func() string
		settings   []string
	}{
		"postgres": {func() string { return testkit.Postgres(t).Database(t) },
			func() string { return testkit.DedicatedPostgres(t, true).Database(t) },
			[]string{"fsync = off", "full_page_writes = off"}},
		"mariadb": {func() string { return testkit.MariaDB(t).Database(t) },
			func() string { return testkit.DedicatedMariaDB(t, true).Database(t) },
			[]string{"innodb_flush_log_at_trx_commit = 0", "innodb_doublewrite = 0"}},
		"mysql": {func() string { return testkit.MySQL(t).Database(t) },
			func() string { return testkit.DedicatedMySQL(t, true).Database(t) },
			[]string{"innodb_flush_log_at_trx_commit = 0", "innodb_doublewrite = OFF"}},
		"sqlite": {safe: func() string { return testkit.SQLite(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			named := func(url string) (settings []string) {
				b := open(t, url, []*schema.Entity{account(t)})
				found, err := survey.Of(b.Store).Weaknesses(t.Context())
				require.NoError(t, err)
				for _, w := range found {
					require.NotEmpty(t, w.Risk)
					require.NotEmpty(t, w.Fix)
					settings = append(settings, w.Setting)
				}
				return settings
			}
			require.Empty(t, named(of.safe()))
			if of.weak != nil {
				require.Equal(t, of.settings, named(of.weak()))
			}
		})
	}
}
