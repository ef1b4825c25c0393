// Package zoo holds tables as other programs make them: a file per schema, with the rows
// that its own program wrote and an entity over one of its tables. Its test runs every
// operation over each of them while a second program writes, see README.md.
package zoo
