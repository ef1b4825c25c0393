package store

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// CheckURL reports a URL that no store can be opened with, without touching anything.
func CheckURL(address string) error {
	if strings.HasPrefix(address, "sqlite://") {
		_, err := sqliteFile(address)
		return err
	}
	if strings.HasPrefix(address, "mysql://") {
		if _, err := mysqlConfig(address); err != nil {
			return fmt.Errorf("database url: %w", err)
		}
		return nil
	}
	if _, err := pgx.ParseConfig(address); err != nil {
		return fmt.Errorf("database url: %w", err) // pgx hides the password
	}
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
