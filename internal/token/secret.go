package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"hash/crc32"
	"strings"
)

// Prefix begins every token, so that people and scanners of leaked secrets know one.
const Prefix = "aw_"

const (
	secretBytes = 32
	checkBytes  = 3 // so that the text is a whole number of digits: 35 bytes, 56 of them
	textLength  = len(Prefix) + (secretBytes+checkBytes)*8/5
)

// ErrMistyped reports a text that was never a token: its form or its checksum is wrong.
var ErrMistyped = errors.New("the token is mistyped: its form or its checksum is wrong")

// Hash is the SHA-256 of a token's secret. It is all that is kept of a token.
type Hash [sha256.Size]byte

var digits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// New makes a token: its text, to be shown once, and its hash, to be kept.
func New() (text string, h Hash) {
	var b [secretBytes + checkBytes]byte
	rand.Read(b[:secretBytes]) // never fails
	copy(b[secretBytes:], checksum(b[:secretBytes]))
	return Prefix + digits.EncodeToString(b[:]), sha256.Sum256(b[:secretBytes])
}

// Parse returns the hash of a token, or ErrMistyped. The checksum finds a slip of the
// finger without a look at the tokens; it is no secret and proves nothing.
func Parse(text string) (Hash, error) {
	if len(text) != textLength || !strings.HasPrefix(text, Prefix) {
		return Hash{}, ErrMistyped
	}
	// The decoder skips line breaks, which leaves fewer bytes.
	b, err := digits.DecodeString(text[len(Prefix):])
	if err != nil || len(b) != secretBytes+checkBytes || string(checksum(b[:secretBytes])) != string(b[secretBytes:]) {
		return Hash{}, ErrMistyped
	}
	return sha256.Sum256(b[:secretBytes]), nil
}

func checksum(secret []byte) []byte {
	c := crc32.ChecksumIEEE(secret)
	return []byte{byte(c >> 24), byte(c >> 16), byte(c >> 8)}
}
