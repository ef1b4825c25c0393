// Package kit is what the packages of SQL share below all of them: the driver of SQLite, and how times are written.
package kit

import (
	"database/sql"
	"database/sql/driver"

	"gorm.io/gorm"
)

// SQLite is set by package store/sqlite when a program imports it; nil: the program has none.
var SQLite *SQLiteDriver

// SQLiteDriver is what the dialect of SQLite needs of its driver.
type SQLiteDriver struct {
	// Connector opens connections to a file by a data source name.
	Connector func(name, path string) driver.Connector
	// Renew has all connections of this process to a file close, so that new ones find out
	// again whether it can be written. It reports false if it was done a moment ago.
	Renew func(path string) bool
	// Dialector is gorm's, which asks nothing of the file when it is opened.
	Dialector func(db *sql.DB) gorm.Dialector
	// Code returns the result codes of an error of SQLite's.
	Code func(err error) (SQLiteCode, bool)
}

// SQLiteCode is an error's result code, the extended one, and its message.
type SQLiteCode struct {
	Code, Extended int
	Message        string
}
