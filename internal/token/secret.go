package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"hash/crc32"
	"strings"
)

// Prefix begins every token, so that people and scanners for leaked secrets recognise one.
const Prefix = "aw_"

const (
	secretBytes = 32
	checkBytes  = 3 // makes the text a whole number of digits: 35 bytes are 56 digits
	textLength  = len(Prefix) + (secretBytes+checkBytes)*8/5
)

// ErrMistyped reports a text that was never a token: its form or its checksum is wrong.
var ErrMistyped = errors.New("the token is mistyped: its form or its checksum is wrong")

// Hash is the SHA-256 of a token's secret, the only part of a token that is stored.
type Hash [sha256.Size]byte

var digits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// New creates a token: its text, to be shown once, and its hash, to be stored.
func New() (text string, h Hash) {
	var b [secretBytes + checkBytes]byte
	rand.Read(b[:secretBytes]) // never fails
	copy(b[secretBytes:], checksum(b[:secretBytes]))
	return Prefix + digits.EncodeToString(b[:]), sha256.Sum256(b[:secretBytes])
}

// Parse returns the hash of a token, or ErrMistyped. The checksum detects typing errors without a lookup of the token;
// it is not secret and proves nothing.
func Parse(text string) (Hash, error) {
	if len(text) != textLength || !strings.HasPrefix(text, Prefix) {
		return Hash{}, ErrMistyped
	}
	// The decoder skips line breaks, so a text that contains them decodes to fewer bytes.
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
