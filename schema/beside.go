package schema

// Beside are records of an entity whose rows the database changed beside those that were
// written, as ON DELETE CASCADE does.
type Beside struct {
	Entity *Entity
	IDs    []string
	All    bool // there are too many to be listed
}
