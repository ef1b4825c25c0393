package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// ErrRights reports a user of Redis who may not do all that the scripts do. Redis ends a
// script where it comes to what is barred: the write would be applied by halves, read by
// everybody and never flushed. Nothing may be written as this user.
var ErrRights = errors.New("the user of redis lacks rights")

var rightsScript = load("rights")

// checkRights is ErrRights, with what is lacking, or that of a Redis that does not answer.
func (c *Cache) checkRights(ctx context.Context) error {
	args := []any{c.channel("~")}
	for _, name := range scriptCommands() {
		args = append(args, name)
	}
	barred, err := c.run(ctx, rightsScript, []string{c.probeKey()}, args...)
	switch {
	case err != nil && strings.Contains(err.Error(), "NOPERM"): // the script itself, or its key
		return fmt.Errorf("%w: %w", ErrRights, err)
	case err != nil || len(barred) == 0:
		return err
	}
	names := make([]string, len(barred))
	for i := range barred {
		names[i] = "+" + strings.ToLower(text(barred[i]))
	}
	return fmt.Errorf("%w: %s on %s:*", ErrRights, strings.Join(names, " "), c.prefix)
}

// called finds the commands in a script: the first word of a call, or of a list that
// becomes one.
var called = regexp.MustCompile(`(?:call\(|send\(\w+, |[{(] ?)'([A-Z]{3,})'`)

// scriptCommands are the commands that the scripts of this package call.
var scriptCommands = sync.OnceValue(func() []string {
	files, _ := fs.Glob(sources, "lua/*.lua") // the pattern is none that fails
	var names []string
	for _, file := range files {
		for _, found := range called.FindAllStringSubmatch(source(file), -1) {
			names = append(names, found[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
})
