package store

import "strings"

// quote spells a name as an identifier; newTable has refused names with quotes.
func quote(name string) string { return `"` + name + `"` }

// quoteTable spells the name of a table, which may have a schema before its point.
func quoteTable(name string) string { return quote(strings.ReplaceAll(name, ".", `"."`)) }
