package store_test

import (
	"context"
	"database/sql/driver"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// requireTrouble expects a flush to fail for the database's own reasons and to leave
// nothing behind.
func requireTrouble(t *testing.T, b *bench, e *schema.Entity, read flush.Reader) error {
	t.Helper()
	_, err := b.Flush(t.Context(), e, 0, read)
	require.Error(t, err)
	require.True(t, fault.Unavailable(err), "%v", err)
	return err
}

// TestUnavailablePostgres provokes each class of error that is nobody's record's.
func TestUnavailablePostgres(t *testing.T) {
	t.Parallel()
	trouble := map[string]func(t *testing.T, b *bench) flush.Reader{
		"table missing": func(_ *testing.T, b *bench) flush.Reader {
			b.exec("DROP TABLE accounts")
			return batch(accounts(2)...)
		},
		"column missing": func(_ *testing.T, b *bench) flush.Reader {
			b.exec("ALTER TABLE accounts DROP COLUMN age")
			return batch(accounts(2)...)
		},
		"no unique id": func(_ *testing.T, b *bench) flush.Reader {
			b.exec("ALTER TABLE accounts DROP CONSTRAINT accounts_pkey")
			return batch(accounts(2)...)
		},
		"session ended": func(_ *testing.T, b *bench) flush.Reader {
			return func(context.Context) ([]schema.Change, error) {
				b.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'afterwrite'")
				return accounts(2), nil
			}
		},
		"statement timeout": func(_ *testing.T, b *bench) flush.Reader {
			b.exec("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$")
			b.exec("CREATE TRIGGER slow BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION slow()")
			return batch(accounts(2)...)
		},
		"serialization": func(_ *testing.T, b *bench) flush.Reader {
			b.exec("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$")
			b.exec("CREATE TRIGGER fail BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION fail()")
			return batch(accounts(2)...)
		},
		"disk full": func(_ *testing.T, b *bench) flush.Reader {
			b.exec("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$")
			b.exec("CREATE TRIGGER fail BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION fail()")
			return batch(accounts(2)...)
		},
	}
	server := testkit.Postgres(t)
	for name, provoke := range trouble {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := account(t)
			b := setup(t, server.Database(t), []*schema.Entity{e})
			if name == "statement timeout" { // of the others none may come first
				b = open(t, b.url, []*schema.Entity{e},
					func(c *store.Config) { c.StatementTimeout = 300 * time.Millisecond })
			}
			err := requireTrouble(t, b, e, provoke(t, b))
			require.Equal(t, name == "disk full" || name == "session ended", fault.Away(err), "%v", err)
			if strings.HasSuffix(name, "missing") {
				require.ErrorIs(t, err, fault.ErrNotMigrated)
			}
		})
	}
	t.Run("read only", func(t *testing.T) {
		t.Parallel()
		e := account(t)
		url := server.Database(t)
		setup(t, url, []*schema.Entity{e})
		b := open(t, url+"&default_transaction_read_only=on", []*schema.Entity{e})
		require.True(t, fault.Away(requireTrouble(t, b, e, batch(accounts(2)...))))
		require.NoError(t, b.Ping(t.Context()))
	})
	t.Run("no such database", func(t *testing.T) {
		t.Parallel()
		e := account(t)
		requireTrouble(t, open(t, strings.Replace(server.Database(t), "?", "_absent?", 1), []*schema.Entity{e}), e,
			batch(accounts(2)...))
	})
}

// sqlitePragma runs a statement on each new connection.
type sqlitePragma struct {
	driver.Connector
	statement string
}

func (p sqlitePragma) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, p.statement, nil)
	return conn, err
}

func pragma(statement string) option {
	return func(c *store.Config) {
		c.BusyTimeout = 100 * time.Millisecond
		c.Wrap = func(connector driver.Connector) driver.Connector { return sqlitePragma{connector, statement} }
	}
}

func TestUnavailableSQLite(t *testing.T) {
	t.Parallel()
	large := func() []schema.Change {
		changes := accounts(500)
		for i := range changes {
			changes[i].Values[0] = `"` + strings.Repeat("x", 1000) + changes[i].ID + `"`
		}
		return changes
	}
	trouble := map[string]func(t *testing.T, url string, e *schema.Entity) *bench{
		"full": func(t *testing.T, url string, e *schema.Entity) *bench {
			return open(t, url, []*schema.Entity{e}, pragma("PRAGMA max_page_count = 30"))
		},
		"read only": func(t *testing.T, url string, e *schema.Entity) *bench {
			return open(t, url, []*schema.Entity{e}, pragma("PRAGMA query_only = on"))
		},
		"busy": func(t *testing.T, url string, e *schema.Entity) *bench {
			other := open(t, url, []*schema.Entity{e})
			holding, release, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				_, _ = other.Flush(context.Background(), e, 1, func(context.Context) ([]schema.Change, error) {
					close(holding)
					<-release
					return nil, nil
				})
			}()
			<-holding
			t.Cleanup(func() { close(release); <-done })
			return open(t, url, []*schema.Entity{e}, pragma("SELECT 1"))
		},
		"table missing": func(t *testing.T, url string, e *schema.Entity) *bench {
			b := open(t, url, []*schema.Entity{e})
			b.exec("DROP TABLE accounts")
			return b
		},
		"not a database": func(t *testing.T, url string, e *schema.Entity) *bench {
			file := filepath.Join(t.TempDir(), "garbage.db")
			require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("garbage ", 2000)), 0o600))
			return open(t, "sqlite://"+file, []*schema.Entity{e})
		},
		"a directory": func(t *testing.T, url string, e *schema.Entity) *bench {
			return open(t, "sqlite://"+t.TempDir(), []*schema.Entity{e})
		},
	}
	for name, provoke := range trouble {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, e := testkit.SQLite(t), account(t)
			setup(t, url, []*schema.Entity{e})
			err := requireTrouble(t, provoke(t, url, e), e, batch(large()...))
			require.Equal(t, name != "busy" && name != "table missing", fault.Away(err), "%v", err)
		})
	}
}
