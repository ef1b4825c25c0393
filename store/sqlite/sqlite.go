// Package sqlite gives package store SQLite, which is written in C: import it, for its effect
// alone, in a program that opens sqlite:// URLs. A program that does not needs no C compiler.
//
//	import _ "github.com/afterwrite/afterwrite/store/sqlite"
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mattn/go-sqlite3"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"

	"github.com/afterwrite/afterwrite/store/internal/kit"
)

func init() {
	kit.SQLite = &kit.SQLiteDriver{
		Connector: func(name, path string) driver.Connector { return connector{name, path} },
		Renew:     renew,
		Dialector: func(db *sql.DB) gorm.Dialector { return lazy{gormsqlite.Dialector{Conn: db}} },
		Code:      code,
	}
}

func code(err error) (kit.SQLiteCode, bool) {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return kit.SQLiteCode{}, false
	}
	return kit.SQLiteCode{Code: int(e.Code), Extended: int(e.ExtendedCode), Message: e.Error()}, true
}

// lazy is gorm's dialector without the query by which it learns SQLite's
// version: opening a store must not need the file, which may be locked.
type lazy struct{ gormsqlite.Dialector }

func (d lazy) Initialize(db *gorm.DB) error {
	db.ConnPool = d.Conn
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	maps.Copy(db.ClauseBuilders, d.ClauseBuilders())
	return nil
}

// connector opens connections of a file.
type connector struct {
	name string // the data source name of the driver
	path string
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	f := fileAt(c.path)
	age, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := c.Driver().Open(c.name)
	if err != nil {
		f.leave(age)
		return nil, err
	}
	at, _ := os.Stat(c.path)
	return &connection{SQLiteConn: conn.(*sqlite3.SQLiteConn), file: f, age: age, path: c.path, at: at}, nil
}

// Driver sets up a connection.
func (c connector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		_, err := conn.Exec(settings+strconv.Itoa(logPages(freeBytes(filepath.Dir(c.path)))), nil)
		return err
	}}
}

// logPages is the length of the write-ahead log, in pages, at which it is copied into the
// file, where the disk has so many bytes free: a log that has filled the disk cannot be
// copied any more, and nothing is written again until there is room.
func logPages(free uint64, known bool) int {
	if known && free < scarce {
		return 1000 // SQLite's own, about 4 MB
	}
	return 16_000 // about 64 MB
}

// scarce is the space on a disk, in bytes, below which SQLite's log is kept short.
const scarce = 1 << 30

// settings are of the connection alone: the file is as it was for everybody else.
//
//   - What undoes a statement or a savepoint is kept in memory: by default SQLite writes it
//     to a temporary file, as much as the statement changes. What undoes a transaction
//     after a crash is in the database's own files as before.
//   - The write-ahead log is copied into the file after as many pages as logPages says,
//     mostly more than SQLite's own 1,000. Ids that are far apart change the same pages again
//     and again, and a page that changed often is copied once.
//   - 16 MB of pages are kept, for 2 MB: a backlog of a million rows looks its index up all
//     over.
const settings = "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = "
