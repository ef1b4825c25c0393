package storetest_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/store/storetest"
)

// sabotages are dialects that break one promise each, made of the one for MariaDB by changing
// its statements or errors on their way.
var sabotages = map[string]struct {
	sabotage
	found []string // promises that must notice
}{
	"an insert that overwrites": {
		sabotage{statement: func(s string) string {
			return strings.Replace(s, "INSERT INTO `c", "REPLACE INTO `c", 1)
		}},
		[]string{"other-rows", "refused-unique"},
	},
	"a lock that does not lock": {
		sabotage{statement: func(s string) string {
			set, lock, _ := strings.Cut(s, "; ")
			update, rest, _ := strings.Cut(lock, ";")
			if strings.HasPrefix(update, "UPDATE afterwrite_fences") {
				return set + `; INSERT INTO afterwrite_fences (entity, "partition", flushes, locked_at)
					VALUES (CONCAT(UUID(), LEFT(CONCAT(?, ?, ?), 0)), ?, 1, CURRENT_TIMESTAMP(6));` + rest
			}
			return s
		}},
		[]string{"fence"},
	},
	"a class that is wrong": {
		sabotage{err: func(err error) error {
			var e *mysql.MySQLError
			if errors.As(err, &e) && e.Number == 1062 {
				return &mysql.MySQLError{Number: 1205, Message: e.Message}
			}
			return err
		}},
		[]string{"refused-unique", "one-of-many", "ten-percent"},
	},
}

const sabotageVariable = "STORETEST_SABOTAGE"

// TestSabotageIsFound runs the suite in a process of its own on each of the sabotaged dialects:
// it must fail, by the names of the promises that are broken.
func TestSabotageIsFound(t *testing.T) {
	t.Parallel()
	for name, s := range sabotages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSabotaged$", "-test.v")
			cmd.Env = append(os.Environ(), sabotageVariable+"="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite has found nothing:\n%s", out)
			for _, promise := range s.found {
				require.Contains(t, string(out), "--- FAIL: TestSabotaged/"+promise+" ", "%s", out)
			}
		})
	}
}

// TestSabotaged is the process that [TestSabotageIsFound] starts.
func TestSabotaged(t *testing.T) {
	s, ok := sabotages[os.Getenv(sabotageVariable)]
	if !ok {
		return // it is started as a test of its own
	}
	storetest.Run(t, storetest.Database{URL: testkit.MariaDB(t).Database(t), Wrap: s.wrap, Only: s.found})
}

// sabotage changes what passes between the store and the driver; nil changes nothing.
type sabotage struct {
	statement func(string) string
	err       func(error) error
}

func (s sabotage) wrap(c driver.Connector) driver.Connector { return connector{c, s} }

func (s sabotage) spell(statement string) string {
	if s.statement == nil {
		return statement
	}
	return s.statement(statement)
}

func (s sabotage) tell(err error) error {
	if s.err == nil || err == nil {
		return err
	}
	return s.err(err)
}

type connector struct {
	driver.Connector
	sabotage
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return conn{inner, c.sabotage}, nil
}

type conn struct {
	driver.Conn
	sabotage
}

func (c conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

func (c conn) ExecContext(ctx context.Context, statement string, args []driver.NamedValue) (driver.Result, error) {
	done, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, c.spell(statement), args)
	return done, c.tell(err)
}

func (c conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, c.spell(query), args)
	return rows, c.tell(err)
}

func (c conn) CheckNamedValue(v *driver.NamedValue) error {
	return c.Conn.(driver.NamedValueChecker).CheckNamedValue(v)
}

func (c conn) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c conn) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }
