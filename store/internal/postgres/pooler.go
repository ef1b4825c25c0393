package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/afterwrite/afterwrite/store/internal/database"
)

// A pooler in transaction mode, such as PgBouncer, hands a session of the server to another
// client after each transaction. What a session has been told is then another client's, and most
// poolers refuse start-up parameters or ignore them. So behind a pooler each transaction sets its
// own limits, and nothing is kept for a session: no lock, no prepared statement.

// sessions opens the connections to PostgreSQL and finds out whether a pooler is between. It is
// safe for concurrent use.
type sessions struct {
	source database.Credentials
	pooled atomic.Bool

	mu     sync.Mutex
	config *pgx.ConnConfig // guarded by mu; copied before it is changed
}

// connector is [driver.Connector] of sessions.
type connector struct{ *sessions }

func (connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Connect connects again without each start-up parameter that is refused.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	for {
		c.mu.Lock()
		config := c.config
		c.mu.Unlock()
		conn, err := stdlib.GetConnector(*config, stdlib.OptionBeforeConnect(renewPostgres(c.source))).Connect(ctx)
		if name := refusedParameter(err); name != "" && c.drop(name) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s, ok := conn.(*stdlib.Conn); ok { // where the URL has no statement described
			s.Conn().TypeMap().RegisterDefaultPgType(texts(nil), "_text")
		}
		if c.pooled.Load() {
			return conn, nil
		}
		if pooled, err := betweens(ctx, conn); err != nil {
			_ = conn.Close() // the error is the one that matters
			return nil, err
		} else if pooled {
			c.pooled.Store(true)
		}
		return conn, nil
	}
}

// refusedParameter is the start-up parameter that a pooler refuses; "" is none.
func refusedParameter(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "08P01" {
		return ""
	}
	_, name, _ := strings.Cut(e.Message, "unsupported startup parameter: ")
	return name
}

// drop leaves a parameter out from now on, and reports whether it was there.
func (s *sessions) drop(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	config := s.config.Copy()
	for have := range config.RuntimeParams {
		if strings.EqualFold(have, name) {
			delete(config.RuntimeParams, have)
			s.config = config
			s.pooled.Store(true)
			return true
		}
	}
	return s.pooled.Load() && !strings.EqualFold(name, "options") && s.gone(name)
}

// gone reports whether another connection has dropped the parameter meanwhile.
func (s *sessions) gone(name string) bool {
	for have := range s.config.RuntimeParams {
		if strings.EqualFold(have, name) {
			return false
		}
	}
	return true
}

// betweens reports whether a pooler is between: the process that it named when the connection was
// made is not the server's that runs the statement.
func betweens(ctx context.Context, conn driver.Conn) (bool, error) {
	c, ok := conn.(*stdlib.Conn)
	if !ok {
		return false, nil
	}
	var pid uint32
	err := c.Conn().QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	if pgCode(err) == "42883" { // a database that only speaks the protocol
		return false, nil
	}
	return err == nil && pid != c.Conn().PgConn().PID(), err
}

// BehindPooler reports whether a connection pooler was found.
func (d *postgres) BehindPooler() bool { return d.sessions != nil && d.pooled.Load() }

// renewPostgres gives a new connection to PostgreSQL the user and the password of this moment.
func renewPostgres(c database.Credentials) func(context.Context, *pgx.ConnConfig) error {
	return func(_ context.Context, config *pgx.ConnConfig) error {
		address, err := c.Now()
		if err != nil {
			return err
		}
		now, err := Parse(address)
		if err != nil {
			return err
		}
		config.User, config.Password = now.User, now.Password
		return nil
	}
}
