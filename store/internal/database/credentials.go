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
	values, err := url.ParseQuery(query)
	for _, name := range slices.Sorted(maps.Keys(values)) {
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

// Now is the URL of this moment.
func (c Credentials) Now() (string, error) {
	if c.File == "" {
		return c.URL, nil
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return "", fmt.Errorf("database url: url_file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
