package bench

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// connections is how many statements the other ways run at once on PostgreSQL.
const connections = 16

// openDatabase opens the database for the other ways, with durable commits. If tuned, gorm uses prepared statements and
// no transaction around a single statement, unlike its defaults. SQLite has one writer, so there is one connection:
// waiting callers are faster than callers that find the file locked.
func openDatabase(address string, tuned bool) (*gorm.DB, error) {
	config := &gorm.Config{
		PrepareStmt: tuned, SkipDefaultTransaction: tuned,
		Logger: logger.Default.LogMode(logger.Silent),
	}
	var dialector gorm.Dialector
	most := connections
	if file, ok := strings.CutPrefix(address, "sqlite://"); ok {
		options := url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_busy_timeout": {"10000"},
			"_txlock": {"immediate"}}
		dialector, most = sqlite.Open("file:"+(&url.URL{Path: file}).EscapedPath()+"?"+options.Encode()), 1
	} else if u, err := url.Parse(address); err == nil && u.Scheme == "mysql" {
		dialector = mysql.Open(mysqlSource(u))
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

// mysqlSource returns a URL as the driver spells it, with the parameters that Go programs usually set.
func mysqlSource(u *url.URL) string {
	options := u.Query()
	network := "tcp(" + u.Host + ")"
	if socket := options.Get("socket"); socket != "" {
		network = "unix(" + socket + ")"
		options.Del("socket")
	}
	for name, value := range map[string]string{"parseTime": "true", "charset": "utf8mb4", "interpolateParams": "true"} {
		options.Set(name, value)
	}
	user := u.User.Username()
	if password, ok := u.User.Password(); ok {
		user += ":" + password
	}
	return user + "@" + network + u.Path + "?" + options.Encode()
}

// upsert is INSERT … ON CONFLICT DO UPDATE of every column.
var upsert = clause.OnConflict{UpdateAll: true}
