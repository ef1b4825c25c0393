package bench

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// connections is how many statements the other ways have under way on PostgreSQL.
const connections = 16

// openDatabase opens the database for the other ways: durable commits and, where it is
// tuned, prepared statements and no transaction around a single one, which gorm by itself
// has not. SQLite has one writer, and is told so: callers that wait in line are faster
// than callers that find it locked.
func openDatabase(address string, tuned bool) (*gorm.DB, error) {
	config := &gorm.Config{
		PrepareStmt: tuned, SkipDefaultTransaction: tuned,
		Logger: logger.Default.LogMode(logger.Silent),
	}
	var dialector gorm.Dialector
	most := connections
	if file, ok := strings.CutPrefix(address, "sqlite://"); ok {
		options := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_busy_timeout": {"10000"}, "_txlock": {"immediate"}}
		dialector, most = sqlite.Open("file:"+(&url.URL{Path: file}).EscapedPath()+"?"+options.Encode()), 1
	} else {
		dialector = postgres.Open(address)
	}
	db, err := gorm.Open(dialector, config)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(most)
	pool.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

// upsert replaces rows, as INSERT … ON CONFLICT DO UPDATE of every column.
var upsert = clause.OnConflict{UpdateAll: true}
