package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	drv "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// DialectOf returns the dialect of a URL, "" of one that has none.
func DialectOf(address string) string {
	scheme, _, _ := strings.Cut(address, "://")
	switch scheme {
	case "postgresql":
		return "postgres"
	case "postgres", "sqlite", "mysql":
		return scheme
	}
	return ""
}

// CheckURL reports a URL that no store can be opened with, without touching anything.
func CheckURL(address string) error {
	if strings.HasPrefix(address, "sqlite://") {
		_, err := sqliteFile(address)
		return err
	}
	source, err := credentialsOf(address)
	if err != nil {
		return err
	}
	if strings.HasPrefix(address, "mysql://") {
		if _, err := mysqlConfig(source.url); err != nil {
			return fmt.Errorf("database url: %w", err)
		}
		return nil
	}
	if _, err := pgx.ParseConfig(source.url); err != nil {
		return fmt.Errorf("database url: %w", err) // pgx hides the password
	}
	return nil
}

// credentials are where user and password come from at each connection: a URL in a file
// where there is one, else the URL of the configuration, and for PostgreSQL with either the
// sources that libpq has beside it, such as ~/.pgpass. A password that has changed there
// needs no restart.
type credentials struct {
	url  string // without url_file
	file string // with the URL that has the user and the password; "" none
}

// credentialsOf takes the option url_file off a URL.
func credentialsOf(address string) (credentials, error) {
	base, query, _ := strings.Cut(address, "?")
	if !strings.Contains(query, "url_file=") {
		return credentials{url: address}, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return credentials{}, errors.New("database url: the options after ? cannot be read; escape special characters")
	}
	c := credentials{url: base, file: values.Get("url_file")}
	if values.Del("url_file"); len(values) > 0 {
		c.url += "?" + values.Encode()
	}
	return c, nil
}

// now is the URL of this moment.
func (c credentials) now() (string, error) {
	if c.file == "" {
		return c.url, nil
	}
	text, err := os.ReadFile(c.file)
	if err != nil {
		return "", fmt.Errorf("database url: url_file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// renew gives a new connection to PostgreSQL the user and the password of this moment.
func (c credentials) renew(_ context.Context, config *pgx.ConnConfig) error {
	address, err := c.now()
	if err != nil {
		return err
	}
	now, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("database url: %w", err) // pgx hides the password
	}
	config.User, config.Password = now.User, now.Password
	return nil
}

// renewMySQL does the same for MySQL and MariaDB.
func (c credentials) renewMySQL(_ context.Context, config *drv.Config) error {
	address, err := c.now()
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

// sqliteFile is the file that a URL names. Options would come from elsewhere, and what is
// in memory is another database for each connection.
func sqliteFile(address string) (string, error) {
	file := strings.TrimPrefix(address, "sqlite://")
	if file == "" || strings.ContainsAny(file, "?#\x00") || strings.HasPrefix(file, ":memory:") {
		return "", fmt.Errorf("database url: %q does not name a file", address)
	}
	return file, nil
}
