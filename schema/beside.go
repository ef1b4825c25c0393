package schema

// Beside are records whose rows changed beside those written (a CASCADE).
type Beside struct {
	Entity *Entity
	IDs    []string
	All    bool // there are too many to be listed
}
