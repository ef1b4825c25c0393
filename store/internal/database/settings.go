package database

import (
	"cmp"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of a [Settings].
const (
	DefaultMaxOpen           = 16
	DefaultConnLifetime      = 30 * time.Minute
	DefaultLockTimeout       = 5 * time.Second
	DefaultStatementTimeout  = 30 * time.Second
	DefaultIdleInTransaction = 10 * time.Second
	DefaultBusyTimeout       = 5 * time.Second
)

// Settings say how a database is reached: those of store.Config, see there.
type Settings struct {
	SQL               *sql.DB
	Dialect           string
	URL               string
	MaxOpen, MaxIdle  int
	ConnLifetime      time.Duration
	LockTimeout       time.Duration
	StatementTimeout  time.Duration
	IdleInTransaction time.Duration
	BusyTimeout       time.Duration
	Pair              string
	Log               *slog.Logger
	OnTLS             func(*tls.Config)
	Registerer        prometheus.Registerer
	Wrap              func(driver.Connector) driver.Connector
}

func (c Settings) withDefaults() (Settings, error) {
	for _, d := range []time.Duration{c.ConnLifetime, c.LockTimeout, c.StatementTimeout, c.IdleInTransaction,
		c.BusyTimeout} {
		if d < 0 {
			return c, fmt.Errorf("database: a timeout of %s is negative", d)
		}
	}
	if c.MaxOpen < 0 || c.MaxIdle < 0 {
		return c, errors.New("database: a pool size is negative")
	}
	c.MaxOpen = cmp.Or(c.MaxOpen, DefaultMaxOpen)
	c.MaxIdle = min(cmp.Or(c.MaxIdle, c.MaxOpen), c.MaxOpen)
	c.ConnLifetime = cmp.Or(c.ConnLifetime, DefaultConnLifetime)
	c.LockTimeout = cmp.Or(c.LockTimeout, DefaultLockTimeout)
	c.StatementTimeout = cmp.Or(c.StatementTimeout, DefaultStatementTimeout)
	c.IdleInTransaction = cmp.Or(c.IdleInTransaction, DefaultIdleInTransaction)
	c.BusyTimeout = cmp.Or(c.BusyTimeout, DefaultBusyTimeout)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Wrap == nil {
		c.Wrap = func(connector driver.Connector) driver.Connector { return connector }
	}
	return c, nil
}

// ShowTLS shows settings of TLS to whom the settings name, where there are both.
func (c *Settings) ShowTLS(t *tls.Config) {
	if c.OnTLS != nil && t != nil {
		c.OnTLS(t)
	}
}

// Milliseconds is a time as a setting has it.
func Milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
