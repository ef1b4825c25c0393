// Package schema holds the nouns that the write path, the workers and an embedding program share: an [Entity] is a kind
// of record, mapped to one table; a record has an id, a [Version] and [Values]; it is [Pending] until the database has
// its newest version, then [Persisted], or [Held] and in the end [Dead] where the database refuses it. docs/GLOSSARY.md
// has all words. The package imports no other of the project.
package schema
