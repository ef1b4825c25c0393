package mapping

import "strings"

// Quote spells a name as an identifier; New has refused names with quotes.
func Quote(name string) string { return `"` + name + `"` }

// QuoteTable spells the name of a table, which may have a schema before its point.
func QuoteTable(name string) string { return Quote(strings.ReplaceAll(name, ".", `"."`)) }
