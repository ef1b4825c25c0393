package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	drv "github.com/go-sql-driver/mysql"

	"github.com/afterwrite/afterwrite/store/internal/database"
)

// New reads mysql://user:password@host:port/database?….
func New(cfg database.Settings) (*mysql, error) {
	source, err := database.CredentialsOf(cfg.URL)
	if err != nil {
		return nil, err
	}
	config, err := mysqlConfig(source.URL)
	if err == nil && source.File != "" {
		err = config.Apply(drv.BeforeConnect(renewMySQL(source)))
	}
	if err != nil {
		return nil, fmt.Errorf("database url: %w", err)
	}
	if config.Timeout == 0 {
		config.Timeout = cfg.LockTimeout
	}
	cfg.ShowTLS(config.TLS)
	return &mysql{config: config, cfg: cfg}, nil
}

// mysqlOwn are the parameters of a URL that are not the driver's.
var mysqlOwn = []string{"socket", "tls_ca", "tls_cert", "tls_key", "tls_server_name"}

// mysqlFixed are the driver's parameters on which the store relies.
var mysqlFixed = []string{
	"clientFoundRows", "interpolateParams", "parseTime", "loc", "multiStatements", "collation", "charset", "sql_mode",
	"time_zone", "autocommit", "foreign_key_checks", "unique_checks", "columnsWithAlias", "transaction_isolation",
	"tx_isolation", "sql_select_limit", "completion_type", "check_constraint_checks",
}

// mysqlConfig makes the driver's configuration of a URL. No error shows the password.
func mysqlConfig(address string) (*drv.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err
		}
		return nil, fmt.Errorf("not a URL: %w", err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return nil, errors.New("want mysql://user:password@host/database")
	}
	options := u.Query()
	for _, fixed := range mysqlFixed {
		if options.Has(fixed) {
			return nil, fmt.Errorf("%s is the store's own to set", fixed)
		}
	}
	own := map[string]string{}
	for _, key := range mysqlOwn {
		own[key] = options.Get(key)
		options.Del(key)
	}
	config, err := drv.ParseDSN("/?" + options.Encode())
	if err != nil {
		return nil, err
	}
	config.User, config.DBName = u.User.Username(), name
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", u.Host
	switch {
	case own["socket"] != "":
		config.Net, config.Addr = "unix", own["socket"]
	case u.Hostname() == "":
		return nil, errors.New("it names no host, and no ?socket=")
	case u.Port() == "":
		config.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	if err := mysqlTLS(config, own, u.Hostname()); err != nil {
		return nil, err
	}
	config.ClientFoundRows = true   // an UPDATE that changes nothing has found its row
	config.InterpolateParams = true // one round trip a statement
	config.MultiStatements = true   // and for some that go together
	config.ParseTime, config.Loc = true, time.UTC
	config.Collation = "utf8mb4_bin"
	config.MaxAllowedPacket = 0 // that of the server
	config.Logger = &drv.NopLogger{}
	return config, nil
}

// mysqlTLS sets up TLS with a certificate authority or a client certificate of one's own; what
// ?tls= says alone is the driver's.
func mysqlTLS(config *drv.Config, own map[string]string, host string) error {
	if host == "" {
		host = "localhost"
	}
	if own["tls_ca"] == "" && own["tls_cert"] == "" && own["tls_server_name"] == "" {
		if config.TLS != nil && config.TLS.ServerName != "" {
			config.TLS.ServerName = host // the driver has read the address of a DSN without one
		}
		return nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if own["tls_server_name"] != "" {
		t.ServerName = own["tls_server_name"]
	}
	if file := own["tls_ca"]; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("tls_ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls_ca: %s has no certificate", file)
		}
	}
	if own["tls_cert"] != "" {
		pair, err := tls.LoadX509KeyPair(own["tls_cert"], own["tls_key"])
		if err != nil {
			return fmt.Errorf("tls_cert: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	config.TLSConfig, config.TLS = "", t
	return nil
}

// renewMySQL does the same for MySQL and MariaDB.
func renewMySQL(c database.Credentials) func(context.Context, *drv.Config) error {
	return func(_ context.Context, config *drv.Config) error {
		address, err := c.Now()
		if err != nil {
			return err
		}
		now, err := mysqlConfig(address)
		if err != nil {
			return fmt.Errorf("database url: %w", err)
		}
		config.User, config.Passwd = now.User, now.Passwd
		return nil
	}
}

// Over is the dialect of a pool of the caller's.
func Over(cfg database.Settings) *mysql {
	return &mysql{config: &drv.Config{}, cfg: cfg, pool: cfg.SQL}
}

// Check reports a URL that no connection can be made with.
func Check(address string) error {
	_, err := mysqlConfig(address)
	return err
}
