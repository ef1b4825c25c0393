package testkit

import (
	"regexp"
	"strings"
)

// Spell returns a statement that makes or changes tables as the database of the URL spells it.
// On MySQL a text is no key, and texts are compared without case, so keys become varchars that
// are told apart byte by byte; a cast to text is one to char.
func Spell(databaseURL, statement string) string {
	if !strings.HasPrefix(databaseURL, "mysql://") {
		return statement
	}
	statement = keysOfText.ReplaceAllString(statement,
		"varchar(255) CHARACTER SET utf8mb4 COLLATE "+ExactCollation+" $1")
	statement = dropIndex.ReplaceAllString(statement, "ALTER TABLE $2 DROP INDEX $1")
	return strings.ReplaceAll(statement, " AS text)", " AS char)")
}

// OnMySQL reports whether the URL of a database of the tests is of MySQL itself, and not of MariaDB.
func OnMySQL(databaseURL string) bool { return strings.Contains(databaseURL, "/"+mySQL.name+"_") }

// ExactCollation names the collation that tells all texts apart, in comments of which MariaDB
// and MySQL run one each.
const ExactCollation = "/*M!100600 utf8mb4_nopad_bin */ /*!80017 utf8mb4_0900_bin */"

var (
	keysOfText = regexp.MustCompile(`\b(?:text|varchar\(\d+\)) ((?:NOT NULL )?(?:PRIMARY KEY|REFERENCES|UNIQUE))`)
	// dropIndex finds indexes that are named as ours are: uq_table_column.
	dropIndex = regexp.MustCompile(`^DROP INDEX (uq_([a-z]+)_\w+)$`)
)
