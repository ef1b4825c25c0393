// Package login keeps what a log-in rests on: hashes of passwords, how often a user may try, and where sessions are
// stored.
package login

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The cost of a new hash: 19 MiB and two passes, the least that OWASP's password
// storage cheat sheet asks of Argon2id.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonKey     = 32
)

// MaxPassword bounds the bytes of a password.
const MaxPassword = 1024

var errHash = errors.New("is neither an argon2id hash ($argon2id$v=19$m=…,t=…,p=…$salt$hash) nor a bcrypt hash ($2b$…)")

// HashPassword returns the Argon2id hash of a password for the configuration.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > MaxPassword {
		return "", fmt.Errorf("a password has 1 to %d bytes", MaxPassword)
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	h := argonHash{argonTime, argonMemory, argonThreads, salt, nil}
	h.key = h.of(password, argonKey)
	return h.String(), nil
}

// argonHash is an Argon2id hash in the PHC string format.
type argonHash struct {
	time, memory uint32
	threads      uint8
	salt, key    []byte
}

func (h argonHash) of(password string, n int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(n))
}

func (h argonHash) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64(h.salt),
		b64(h.key))
}

func parseArgon(text string) (argonHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return argonHash{}, errHash
	}
	var h argonHash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return argonHash{}, errHash
	}
	var saltErr, keyErr error
	h.salt, saltErr = base64.RawStdEncoding.DecodeString(parts[4])
	h.key, keyErr = base64.RawStdEncoding.DecodeString(parts[5])
	switch {
	case saltErr != nil || keyErr != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64:
		return argonHash{}, errHash
	case h.time < 1 || h.time > 20 || h.memory < 1<<10 || h.memory > 1<<20 || h.threads < 1:
		return argonHash{}, errors.New("asks for too little or too much work: m from 1024 to 1048576, t from 1 to 20")
	}
	return h, nil
}

// CheckHash reports why a password hash cannot be used.
func CheckHash(hash string) error {
	if !strings.HasPrefix(hash, "$2") {
		_, err := parseArgon(hash)
		return err
	}
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil:
		return errHash
	case cost < 10 || cost > 15:
		return errors.New("has a bcrypt cost that is not from 10 to 15")
	}
	return nil
}

// Matches reports whether a password, of which no more than [MaxPassword] bytes count, has the hash.
func Matches(hash, password string) bool {
	password = password[:min(len(password), MaxPassword)]
	if strings.HasPrefix(hash, "$2") {
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	}
	h, err := parseArgon(hash)
	return err == nil && subtle.ConstantTimeCompare(h.of(password, len(h.key)), h.key) == 1
}
