// Package model maps a gorm model to an entity and its values.
//
// The map is drawn from gorm's own schema parser: the columns, types, defaults and
// permissions of a model are those that gorm itself reads from its tags. A value takes the
// way that it takes in gorm, too: from the struct through gorm's accessor, serializer and
// [database/sql/driver.Valuer] to the value that a driver would get, and from there to the
// canonical text of a field. The way back ends in gorm's own setters.
//
//	struct ── gorm's ValueOf ── driver value ── canonical text ── Redis, database
//	struct ── gorm's Set ────── driver value ── canonical text ──┘
//
// A field that cannot be mapped exactly is refused. [Parse] returns one [Error] that names
// every such field with its reason and the way out.
//
// What gorm does and this package does not: gorm's hooks are not run ([Model.Hooks] lists
// them), associations are not written ([Model.Fields] refuses one that is not empty), and
// times keep microseconds, in UTC.
package model
