package afterwrite

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/afterwrite/afterwrite/internal/model"
	"github.com/afterwrite/afterwrite/schema"
)

// Change is a part of a patch: [Set], [Assign], or any [WriteOption].
type Change interface{ change(*patch) }

// WriteOption is a condition or a key of one write. Each is a [Change] too.
type WriteOption interface {
	Change
	option(*write)
}

type write struct {
	match Version
	key   string
}

type patch struct {
	write
	model *registered
	sets  map[int]any // position of the field → value
	err   error
}

func writeOf(options []WriteOption) write {
	var w write
	for _, o := range options {
		o.option(&w)
	}
	return w
}

type optionFunc func(*write)

func (o optionFunc) option(w *write) { o(w) }
func (o optionFunc) change(p *patch) { o(&p.write) }
func (s changeFunc) change(p *patch) { s(p) }

type changeFunc func(*patch)

// IfMatch rejects a write with [ErrVersionMismatch] at any other version.
func IfMatch(v Version) WriteOption { return optionFunc(func(w *write) { w.match = v }) }

// IdempotencyKey makes a repeat of a write safe for a day. At most 255 bytes.
func IdempotencyKey(key string) WriteOption { return optionFunc(func(w *write) { w.key = key }) }

// Set sets a field by its Go name; Address.City is in an embedded struct.
func Set(field string, value any) Change {
	return changeFunc(func(p *patch) {
		i, ok := p.model.Field(field)
		if !ok {
			p.err = errors.Join(p.err, unknownField(p.model, field))
			return
		}
		p.sets[i] = value
	})
}

// Assign is a typed [Set]: Assign(func(u *User) *int { return &u.Age }, 37).
func Assign[T, V any](field func(*T) *V, value V) Change {
	return changeFunc(func(p *patch) {
		var zero T
		name, ok := model.NameAt(&zero, reflect.ValueOf(field(&zero)))
		if typ := reflect.TypeFor[T](); typ != p.model.Schema.ModelType {
			p.err = errors.Join(p.err, schema.Invalid(typ.String(), "is not the model %s", p.model.Schema.ModelType))
			return
		}
		i, known := p.model.Field(name)
		if !ok || !known {
			p.err = errors.Join(p.err, unknownField(p.model, fmt.Sprintf("the %T that Assign was given", value)))
			return
		}
		p.sets[i] = value
	})
}

func unknownField(m *registered, name string) error {
	reason := "is not a field of " + strings.TrimPrefix(m.Schema.ModelType.String(), "*")
	return schema.Invalid(name, "%s", reason)
}
