package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// What a process tells of its configuration among the info of a [Process].
const (
	FieldsInfo  = "fields"  // the fields of its entities, see [Fields]
	UnknownInfo = "unknown" // fields of records that it left to others, as JSON: entity → fields
)

// UnknownFieldsHint says what to do about fields that a worker does not know.
const UnknownFieldsHint = "restart the workers with the configuration that has the field; of a field that was renamed give " +
	"its new one renamed_from, and give one that was removed back until its writes are persisted"

// maxFields bounds what a process tells of its fields with each heartbeat, in bytes. One that
// has more tells nothing: others then do not see what it knows, and records come to it late.
const maxFields = 64 << 10

// shape is the fields of entities and the columns that hold them.
type shape map[string]map[string]string

// Fields is what a process tells of its entities: their fields, and the columns of these.
func Fields(entities []*schema.Entity) string {
	s := shape{}
	for _, e := range entities {
		s[e.Name] = map[string]string{}
		for i := range e.Fields {
			s[e.Name][e.Fields[i].Name] = e.Fields[i].Column
		}
		for _, i := range e.Renamed() {
			s[e.Name][e.Fields[i].RenamedFrom] = e.Fields[i].Column
		}
	}
	text, err := json.Marshal(s)
	if err != nil || len(text) > maxFields {
		return ""
	}
	return string(text)
}

func (p Process) shape() shape {
	var s shape
	_ = json.Unmarshal([]byte(p.Info[FieldsInfo]), &s) // one that cannot be read tells nothing
	return s
}

// Know counts the living workers that know all of those fields of an entity.
func Know(alive []Process, entity string, fields []string) int {
	n := 0
	for _, p := range alive {
		if p.Kind != "worker" {
			continue
		}
		known, ok := p.shape()[entity]
		if ok && !slices.ContainsFunc(fields, func(f string) bool { _, ok := known[f]; return !ok }) {
			n++
		}
	}
	return n
}

// Unknown is the fields of an entity that some living workers do not know and that were
// written.
type Unknown struct {
	Entity  string
	Fields  []string
	Workers []string // that do not know them
	Know    int      // living workers that do
}

// String says it for people.
func (u Unknown) String() string {
	who := "no living worker has it, so its writes are held"
	if u.Know > 0 {
		who = fmt.Sprintf("the %d that have it flush its writes", u.Know)
	}
	return fmt.Sprintf("the configuration of worker %s lacks %s of %s, which was written: %s",
		strings.Join(u.Workers, ", "), strings.Join(u.Fields, ", "), u.Entity, who)
}

// Unknowns are what living workers tell of fields that they do not know, by entity.
func Unknowns(alive []Process) []Unknown {
	all := map[string]*Unknown{}
	for _, p := range alive {
		var told map[string][]string
		if json.Unmarshal([]byte(p.Info[UnknownInfo]), &told) != nil {
			continue
		}
		for entity, fields := range told {
			u := all[entity]
			if u == nil {
				u = &Unknown{Entity: entity}
				all[entity] = u
			}
			u.Workers = append(u.Workers, p.ID)
			for _, f := range fields {
				if !slices.Contains(u.Fields, f) {
					u.Fields = append(u.Fields, f)
				}
			}
		}
	}
	var list []Unknown
	for _, entity := range slices.Sorted(maps.Keys(all)) {
		u := all[entity]
		slices.Sort(u.Fields)
		u.Know = Know(alive, entity, u.Fields)
		list = append(list, *u)
	}
	return list
}

// Differences say where the fields of living processes differ: one line an entity.
func Differences(alive []Process) []string {
	fields := map[string]map[string]bool{} // entity → field and column
	of := map[string][]Process{}           // entity → processes that have it
	shapes := map[string]shape{}
	for _, p := range alive {
		s := p.shape()
		shapes[p.Kind+p.ID] = s
		for entity, some := range s {
			of[entity] = append(of[entity], p)
			if fields[entity] == nil {
				fields[entity] = map[string]bool{}
			}
			for field, column := range some {
				fields[entity][field+"\x00"+column] = true
			}
		}
	}
	var lines []string
	for _, entity := range slices.Sorted(maps.Keys(fields)) {
		var lacking []string
		for _, one := range slices.Sorted(maps.Keys(fields[entity])) {
			field, column, _ := strings.Cut(one, "\x00")
			for _, p := range of[entity] {
				if has, ok := shapes[p.Kind+p.ID][entity][field]; !ok || has != column {
					lacking = append(lacking, fmt.Sprintf("%s %s has no %s in column %s", p.Kind, p.ID, field, column))
				}
			}
		}
		if n := len(lacking); n > maxDifferences {
			lacking = append(lacking[:maxDifferences], fmt.Sprintf("and %d more", n-maxDifferences))
		}
		if len(lacking) > 0 {
			lines = append(lines, entity+": "+strings.Join(lacking, "; "))
		}
	}
	return lines
}

// maxDifferences bounds what one line of [Differences] names.
const maxDifferences = 5
