package schema

// Pairing is stored by a Redis and a database that belong together.
type Pairing struct {
	Deployment string // random; "" before they are paired
	Life       string // random; an emptied, replaced or older Redis has another
}

// None reports whether the side was never paired.
func (p Pairing) None() bool { return p.Deployment == "" }
