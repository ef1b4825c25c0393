package rdb

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrRights reports a Redis user without permission for everything that the scripts do. Redis ends a script at the
// first forbidden command: the write would be applied in part, be visible to every reader and never be flushed. Nothing
// may be written as this user.
var ErrRights = errors.New("the redis user lacks permissions")

//go:embed lua/rights.lua
var rightsText string

var rightsScript = Load("rights", rightsText)

// CheckRights returns ErrRights with the missing permissions if this user is not allowed to call every command of the
// loaded scripts on keys and channels like the given ones, or the error of a Redis that does not respond. Every key's
// name begins with prefix.
func (c *Client) CheckRights(ctx context.Context, prefix, key, channel string) error {
	args := []any{channel}
	for _, name := range scriptCommands() {
		args = append(args, name)
	}
	barred, err := c.Run(ctx, rightsScript, []string{key}, args...)
	switch {
	case err != nil && strings.Contains(err.Error(), "NOPERM"): // the check script itself, or its key
		return fmt.Errorf("%w: %w", ErrRights, err)
	case err != nil || len(barred) == 0:
		return err
	}
	names := make([]string, len(barred))
	for i := range barred {
		name, _ := barred[i].(string)
		names[i] = "+" + strings.ToLower(name)
	}
	return fmt.Errorf("%w: %s on %s:*", ErrRights, strings.Join(names, " "), prefix)
}

// called finds the commands in a script: the first word of a call, or of a list that becomes a call.
var called = regexp.MustCompile(`(?:call\(|chunked\(\w+, |[{(] ?)'([A-Z]{3,})'`)

// scriptCommands lists the commands that the loaded scripts call.
func scriptCommands() []string {
	var names []string
	for _, s := range Loaded() {
		for _, found := range called.FindAllStringSubmatch(s.text, -1) {
			names = append(names, found[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
