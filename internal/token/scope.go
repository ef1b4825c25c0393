package token

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Action is what a request does. No action includes another.
type Action uint8

// The actions.
const (
	Read  Action = 1 << iota // get, list, status, events
	Write                    // put, create, patch, increment, delete
	Admin                    // what operators do, under /v1/admin/
)

// Every means all entities, including future ones.
const Every = "*"

var actionNames = []struct {
	action Action
	name   string
}{{Read, "read"}, {Write, "write"}, {Admin, "admin"}}

// String returns the actions' names, separated by commas.
func (a Action) String() string {
	var names []string
	for _, n := range actionNames {
		if a&n.action != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// Scopes say what a token is allowed to do: actions by entity, or by [Every]. The zero value allows nothing. Scopes do
// not change once they are made.
type Scopes struct{ grants map[string]Action }

// ErrScope reports a text that is not a scope.
var ErrScope = errors.New("is not a scope such as user:read,write or *:read")

var entityName = regexp.MustCompile(`^(\*|[a-z][a-z0-9_]*)$`)

// ParseScopes parses scopes such as "user:read,write" and "*:read". Without any text it returns scopes that allow
// nothing.
func ParseScopes(texts ...string) (Scopes, error) {
	s := Scopes{grants: map[string]Action{}}
	for _, text := range texts {
		entity, list, ok := strings.Cut(text, ":")
		if !ok || !entityName.MatchString(entity) {
			return Scopes{}, fmt.Errorf("%q %w", text, ErrScope)
		}
		for name := range strings.SplitSeq(list, ",") {
			action, ok := actionOf(name)
			if !ok {
				return Scopes{}, fmt.Errorf("%q %w: %q is not read, write or admin", text, ErrScope, name)
			}
			s.grants[entity] |= action
		}
	}
	return s, nil
}

func actionOf(name string) (Action, bool) {
	for _, n := range actionNames {
		if n.name == name {
			return n.action, true
		}
	}
	return 0, false
}

// String returns the scopes in the form that ParseScopes parses, separated by spaces.
func (s Scopes) String() string { return strings.Join(s.List(), " ") }

// List returns the scopes, one text per entity.
func (s Scopes) List() []string {
	list := make([]string, 0, len(s.grants))
	for _, entity := range slices.Sorted(maps.Keys(s.grants)) {
		list = append(list, entity+":"+s.grants[entity].String())
	}
	return list
}

// Entities returns the entities that the scopes name, without [Every].
func (s Scopes) Entities() []string {
	var names []string
	for _, entity := range slices.Sorted(maps.Keys(s.grants)) {
		if entity != Every {
			names = append(names, entity)
		}
	}
	return names
}

// Allow reports whether the scopes include an action on an entity. For a request about several entities, or about none,
// the entity is [Every].
func (s Scopes) Allow(a Action, entity string) bool {
	return (s.grants[entity]|s.grants[Every])&a == a
}

// Somewhere reports whether the scopes have the action for any entity at all.
func (s Scopes) Somewhere(a Action) bool {
	for _, granted := range s.grants {
		if granted&a == a {
			return true
		}
	}
	return false
}

// ScopeError reports a request beyond the scopes of its token.
type ScopeError struct {
	Token string // its name
	Needs string // the scope, such as user:write
}

func (e *ScopeError) Error() string {
	return fmt.Sprintf("the token %q does not have the scope %s", e.Token, e.Needs)
}
