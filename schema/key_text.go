package schema

import (
	"fmt"
	"strings"
)

const (
	keySeparator = "~"
	keyEscape    = '='
	keyPlain     = "-_.:@" // characters that stay, beside ASCII letters, digits and everything beyond ASCII
)

// KeyID returns the composite id of the canonical texts of its fields.
func (e *Entity) KeyID(texts []string) string {
	parts := make([]string, len(texts))
	for n, text := range texts {
		parts[n] = text
		if strings.HasPrefix(text, `"`) {
			parts[n], _ = unquote(text) // a canonical text is a JSON string
		}
	}
	return JoinKey(parts)
}

// JoinKey returns the composite id of parts without escapes.
func JoinKey(parts []string) string {
	var id []byte
	for n, part := range parts {
		if n > 0 {
			id = append(id, keySeparator...)
		}
		id = appendKey(id, part)
	}
	return string(id)
}

// appendKey appends a part of a key, escaped.
func appendKey(dst []byte, part string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(part) {
		if b := part[i]; keyByte(b) {
			dst = append(dst, b)
		} else {
			dst = append(dst, keyEscape, digits[b>>4], digits[b&15])
		}
	}
	return dst
}

func keyByte(b byte) bool {
	return b >= 0x80 || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' ||
		strings.IndexByte(keyPlain, b) >= 0
}

func unescapeKey(part string) (string, error) {
	if strings.IndexByte(part, keyEscape) < 0 {
		return part, nil
	}
	text := make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		if part[i] != keyEscape {
			text = append(text, part[i])
			continue
		}
		if i+2 >= len(part) || unhex(part[i+1]) < 0 || unhex(part[i+2]) < 0 {
			return "", fmt.Errorf("a = is followed by two hexadecimal digits; = itself is =3D")
		}
		text = append(text, byte(unhex(part[i+1])<<4|unhex(part[i+2])))
		i += 2
	}
	return string(text), nil
}

// KeyParts returns the unescaped parts of a composite id, spelled well or not.
func KeyParts(id string) []string {
	parts := strings.Split(id, keySeparator)
	for n, part := range parts {
		if text, err := unescapeKey(part); err == nil {
			parts[n] = text
		}
	}
	return parts
}

func unhex(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b|32 >= 'a' && b|32 <= 'f':
		return int(b|32-'a') + 10
	}
	return -1
}
