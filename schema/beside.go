package schema

// Beside are records whose rows the database changed beside those written, as ON DELETE CASCADE.
type Beside struct {
	Entity *Entity
	IDs    []string
	All    bool // there are too many to be listed
}
