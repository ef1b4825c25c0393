package survey

import (
	"context"
	"fmt"
)

// Weakness is a setting with which the database may lose commits, or damage its files, when it crashes. What is lost is
// not written again: Redis has been told that it is persisted.
type Weakness struct {
	Setting string // as NAME = VALUE
	Risk    string // what a crash may do, as the end of a sentence
	Fix     string
}

// weaknesses has, for each dialect, a query of the settings that are not safe, as name, value and what to do, and what
// each risks. PostgreSQL's synchronous_commit is not among them, since each flush sets its own, nor is SQLite, whose
// connections do.
var weaknesses = map[string]struct {
	query string
	risks map[string]string
}{
	"postgres": {
		`SELECT name, setting, 'ALTER SYSTEM SET ' || name || ' = on, then SELECT pg_reload_conf()'
			FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name`,
		map[string]string{
			"fsync":            "a crash of its machine may lose commits and damage its files",
			"full_page_writes": "a crash of its machine may damage its files",
		},
	},
	// With a binary log, a crash undoes commits that have not come into it: sync_binlog says when its file is synced.
	"mysql": {
		`SELECT 'innodb_flush_log_at_trx_commit', @@GLOBAL.innodb_flush_log_at_trx_commit,
				'SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in its option file'
			WHERE @@GLOBAL.innodb_flush_log_at_trx_commit <> 1
		UNION ALL SELECT 'sync_binlog', @@GLOBAL.sync_binlog, 'SET GLOBAL sync_binlog = 1, and in its option file'
			WHERE @@GLOBAL.log_bin = 1 AND @@GLOBAL.sync_binlog <> 1
		UNION ALL SELECT 'innodb_doublewrite', @@GLOBAL.innodb_doublewrite, 'innodb_doublewrite = ON in its option file'
			WHERE @@GLOBAL.innodb_doublewrite IN ('0', 'OFF', 'DETECT_ONLY')`,
		map[string]string{
			"innodb_flush_log_at_trx_commit": "a crash may lose the commits of the last second or more",
			"sync_binlog":                    "a crash of its machine may undo commits that its binary log lacks",
			"innodb_doublewrite":             "a crash of its machine may damage its files",
		},
	},
}

// Weaknesses returns the settings of the database that are not safe; none for a database that has no such settings.
func (s *Survey) Weaknesses(ctx context.Context) ([]Weakness, error) {
	of, has := weaknesses[s.in.DB.Dialect.Name()]
	if !has {
		return nil, nil
	}
	rows, err := s.in.DB.Reading.SQL.QueryContext(ctx, of.query)
	if err != nil {
		return nil, s.in.DB.Unavailable("read the settings", err)
	}
	defer rows.Close()
	var found []Weakness
	for rows.Next() {
		var name, value, fix string
		if err := rows.Scan(&name, &value, &fix); err != nil {
			return nil, fmt.Errorf("read the settings: %w", err)
		}
		found = append(found, Weakness{name + " = " + value, of.risks[name], fix})
	}
	if err := rows.Err(); err != nil {
		return nil, s.in.DB.Unavailable("read the settings", err)
	}
	return found, nil
}
