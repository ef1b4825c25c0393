package database

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Credentials are where user and password come from at each connection: a URL in a file
// where there is one, else the URL of the configuration, and for PostgreSQL with either the
// sources that libpq has beside it, such as ~/.pgpass. A password that has changed there
// needs no restart.
type Credentials struct {
	URL  string // without url_file
	File string // with the URL that has the user and the password; "" none
}

// CredentialsOf takes the option url_file off a URL. An option that is given twice is an error: drivers take either,
// as of sslmode=disable&sslmode=require the first.
func CredentialsOf(address string) (Credentials, error) {
	base, query, _ := strings.Cut(address, "?")
	if cut(base) {
		return Credentials{}, errors.New("database url: user and password end at the first / ? or #: " +
			"write these in them as %2F, %3F and %23")
	}
	values, err := url.ParseQuery(query)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if strings.Contains(name, "@") {
			return Credentials{}, errors.New("database url: the options after ? cannot be read; " +
				"write a ? in a user or password as %3F")
		}
		if len(values[name]) > 1 {
			return Credentials{}, fmt.Errorf("database url: option %s is given twice", name)
		}
	}
	if !strings.Contains(query, "url_file=") {
		return Credentials{URL: address}, nil
	}
	if err != nil {
		return Credentials{}, errors.New("database url: the options after ? cannot be read; escape special characters")
	}
	c := Credentials{URL: base, File: values.Get("url_file")}
	if values.Del("url_file"); len(values) > 0 {
		c.URL += "?" + values.Encode()
	}
	return c, nil
}

// cut reports whether a special character in the password, not escaped, ended what a parser takes for the host: a port
// is missing after its colon, or an @ follows the host.
func cut(base string) bool {
	_, rest, _ := strings.Cut(base, "://")
	end := strings.IndexAny(rest, "/#")
	if end < 0 {
		end = len(rest)
	}
	host := rest[:end]
	return strings.HasSuffix(host, ":") && !strings.Contains(host, "@") || strings.Contains(rest[end:], "@")
}

// Now is the URL of this moment. No error quotes a file's text, which can be a password alone.
func (c Credentials) Now() (string, error) {
	if c.File == "" {
		return c.URL, nil
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return "", fmt.Errorf("database url: url_file: %w", err)
	}
	address := strings.TrimSpace(string(text))
	scheme, _, _ := strings.Cut(c.URL, "://")
	switch now, _, ok := strings.Cut(address, "://"); {
	case !ok:
		return "", fmt.Errorf("database url: url_file %s has no URL, such as %s://user:password@host/database", c.File, scheme)
	case strings.TrimSuffix(now, "ql") != strings.TrimSuffix(scheme, "ql"): // postgres:// is postgresql://
		return "", fmt.Errorf("database url: url_file %s has a URL of %s and not of %s", c.File, now, scheme)
	}
	if _, err := CredentialsOf(address); err != nil {
		return "", fmt.Errorf("url_file %s: %w", c.File, err)
	}
	return address, nil
}
