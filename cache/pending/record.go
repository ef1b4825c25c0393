package pending

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Due is a record that is due to be flushed.
type Due struct {
	schema.Change
	Held         bool              // refused before; otherwise it is pending
	Attempts     int               // refusals so far
	History      []schema.Attempt  // the last of them, oldest first
	PendingSince time.Time         // when it first waited, by Redis's clock
	Unknown      []string          // fields that were changed and that the entity, as this process has it, has not
	Left         int               // how often it was left for such fields; see [Refused]
	Unread       map[string]string // the JSON texts of fields that the entity has not, changed or not

	isolated bool   // held and isolated: to be flushed alone
	changed  string // the record's field _c
}

// Between is d with those fields alone that were last changed after one version and up to another, at the newest
// version of these writes. ok is false if there are none, or if d does not tell.
func (d *Due) Between(e *schema.Entity, after, upTo schema.Version) (part Due, ok bool) {
	part = *d
	var names, later []string
	for _, c := range layout.Changes(d.changed, d.Version) {
		switch {
		case c.Version > upTo:
			later = append(later, c.Names...)
		case c.Version > after:
			names, part.Version = append(names, c.Names...), c.Version
		}
	}
	if slices.Contains(names, "*") { // all but what was changed later
		all := slices.Collect(maps.Keys(d.Unread))
		for _, f := range e.Fields {
			all = append(all, f.Name)
		}
		names = slices.DeleteFunc(all, func(name string) bool {
			return !isChanged(names, name) || slices.Contains(later, name)
		})
	}
	part.Only, part.Unknown = positions(e, names), nil
	for _, name := range names {
		if _, unread := d.Unread[name]; unread {
			part.Unknown = append(part.Unknown, name)
		}
	}
	return part, len(part.Only)+len(part.Unknown) > 0
}

// read fills d from the texts of its record, and returns whether there is one: without a version it is a lease, a
// barrier, or absent; and whether it lists changed fields. A record that was listed as held and written since is no
// longer the refused one.
func (d *Due) read(e *schema.Entity, state []string, listed time.Time) (found, partly bool) {
	values := make(schema.Values, len(e.Fields))
	var former map[int]string // of fields that had another name
	changed, next := "", 0    // a record mostly has its fields in the entity's order
	stamp, request := "", ""
	for i := 0; i+1 < len(state); i += 2 {
		name, text := state[i], state[i+1]
		switch {
		case name == "_v":
			d.Version = layout.Version(text)
		case name == "_d":
			d.Deleted = true
		case name == "_c":
			changed = text
		case name == "_t":
			stamp = text
		case name == "_q":
			request = text
		case name == "_s" && text == "p" && d.Held:
			d.Held, d.Attempts, d.History, d.PendingSince, d.Left = false, 0, nil, listed, 0
		case next < len(values) && e.Fields[next].Name == name:
			values[next] = text
			next++
		default:
			if at, ok := e.Field(name); ok {
				values[at], next = text, at+1
			} else if at, ok := e.FieldOf(name); ok {
				if former == nil {
					former = map[int]string{}
				}
				former[at] = text
			} else if !strings.HasPrefix(name, "_") {
				d.Unknown = append(d.Unknown, name)
				if d.Unread == nil {
					d.Unread = map[string]string{}
				}
				d.Unread[name] = text
			}
		}
	}
	if d.Version != 0 && !d.Deleted {
		for at, text := range former {
			own := &e.Fields[at]
			if values[at] == "" || !layout.WrittenLater(changed, d.Version, own.Name, own.RenamedFrom) {
				values[at] = text
			}
		}
		d.Values, d.changed = values, changed // "" where the entity got the field later
		names, all := changedNames(changed, d.Version)
		if !all {
			d.Only = positions(e, names)
		}
		if len(names) > 0 { // what was not changed came with the row
			d.Unknown = slices.DeleteFunc(d.Unknown, func(name string) bool { return !isChanged(names, name) })
		}
	} else {
		d.Unknown = nil
	}
	if stamp != "" {
		d.Origin = d.origin(stamp, request)
	}
	return d.Version != 0, changed != ""
}

// origin returns the origin of the newest traced write that the record contains. One from before the record became
// pending was persisted, by a worker that does not know origins: it is void.
func (d *Due) origin(stamp, request string) *schema.Origin {
	o := layout.Origin(stamp, request)
	if o != nil && o.Version != d.Version &&
		(d.PendingSince.IsZero() || int64(o.Version) < d.PendingSince.UnixMicro()) {
		return nil
	}
	return o
}

// changedNames are the fields that a record's field _c names, or all where it says nothing
// of that version. See doc.go.
func changedNames(changed string, version schema.Version) (names []string, all bool) {
	changes := layout.Changes(changed, version)
	for _, c := range changes {
		names = append(names, c.Names...)
	}
	return names, changes == nil || slices.Contains(names, "*")
}

// isChanged reports whether these names of the field _c say that a field was changed: they have it, or "*" and not the
// field with a "!", which repeats another one under its former name.
func isChanged(names []string, name string) bool {
	return slices.Contains(names, name) || slices.Contains(names, "*") && !slices.Contains(names, "!"+name)
}

// positions are those of the fields that have or had the names.
func positions(e *schema.Entity, names []string) []int {
	only := []int{}
	for _, name := range names {
		if i, ok := e.FieldOf(name); ok {
			only = append(only, i)
		}
	}
	return only
}
