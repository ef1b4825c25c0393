package config

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// roles are the dashboard's roles, the weakest first.
var roles = []string{"viewer", "operator", "admin"}

// users parses a mapping of names to a role and a password hash.
func (r *reader) users(n ast.Node, path string) []User {
	var users []User
	for _, p := range r.mapping(n, path) {
		u := User{Name: p.key}
		at := join(path, p.key)
		r.section(p.value, at, []setting{
			{path: "role", text: oneOf(&u.Role, roles...)},
			{path: "hash", text: words(&u.Hash, nil)},
		}, nil)
		if u.Role == "" {
			r.fault(p.node, at, "needs a role: viewer, operator or admin")
		}
		users = append(users, u)
	}
	return users
}

// badge bounds the name of an environment.
func badge(s string) error {
	if len(s) > 40 || !utf8.ValidString(s) {
		return fmt.Errorf("must be at most 40 bytes of text")
	}
	return nil
}

var headerForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,100}$`)

func headerName(s string) error {
	if !headerForm.MatchString(s) {
		return fmt.Errorf("must be the name of an HTTP header, such as X-Forwarded-User")
	}
	return nil
}
