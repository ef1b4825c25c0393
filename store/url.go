package store

import (
	"fmt"
	"strings"

	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mysql"
	"github.com/afterwrite/afterwrite/store/internal/postgres"
	"github.com/afterwrite/afterwrite/store/internal/sqlite"
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

// CheckURL reports a URL that no store can be opened with. It touches nothing.
func CheckURL(address string) error {
	if strings.HasPrefix(address, "sqlite://") {
		_, err := sqlite.File(address)
		return err
	}
	source, err := database.CredentialsOf(address)
	if err != nil {
		return err
	}
	if strings.HasPrefix(address, "mysql://") {
		if err := mysql.Check(source.URL); err != nil {
			return fmt.Errorf("database url: %w", err)
		}
		return nil
	}
	_, err = postgres.Parse(source.URL)
	return err
}
