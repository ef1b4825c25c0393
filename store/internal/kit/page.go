package kit

// Rows of a page, where its reader does not say, and at most.
const (
	defaultRows = 100
	MaxRows     = 10_000
)

// Rows bounds the rows of a page; 0 is the default.
func Rows(n int) int {
	if n <= 0 {
		n = defaultRows
	}
	return min(n, MaxRows)
}
