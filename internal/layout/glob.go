package layout

import (
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of a glob. Redis compares it with every key and is blocked meanwhile: the cost of a comparison grows with each
// star, and with each bracket that is not closed.
const (
	MaxPattern  = 200 // bytes
	maxStars    = 8
	maxBrackets = 8
)

// CheckPattern rejects a glob that is expensive to compare. The error is an [schema.InvalidError] of the field "match".
func CheckPattern(pattern string) error {
	stars, brackets := 0, 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '*':
			if i == 0 || pattern[i-1] != '*' {
				stars++
			}
		case '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 0 {
				return schema.Invalid("match", "has a [ without ]; write \\\\[ for the character")
			}
			brackets++
			i += end
		}
	}
	switch {
	case len(pattern) > MaxPattern:
		return schema.Invalid("match", "is too long: %d bytes, at most %d", len(pattern), MaxPattern)
	case stars > maxStars:
		return schema.Invalid("match", "has %d stars, at most %d", stars, maxStars)
	case brackets > maxBrackets:
		return schema.Invalid("match", "has %d bracketed sets, at most %d", brackets, maxBrackets)
	}
	return nil
}
