package afterwrite

import (
	"context"
	"fmt"
	"reflect"
)

// BeforeAccept runs fn on the whole record that a Put, Create, Patch or Update would make, before
// it is accepted; maybe several times. fn may change it, key and times aside, and its error
// refuses the write. Add, Delete and the HTTP API do not run it.
func BeforeAccept[T any](fn func(ctx context.Context, record *T) error) ModelOption {
	return func(r *registered) error {
		if typ := reflect.TypeFor[T](); typ != r.Schema.ModelType {
			return fmt.Errorf("BeforeAccept takes a %s", typ)
		}
		r.accept = append(r.accept, func(ctx context.Context, record any) error { return fn(ctx, record.(*T)) })
		return nil
	}
}

// before runs the hooks before acceptance.
func (r *registered) before(ctx context.Context, record any) error {
	for _, fn := range r.accept {
		if err := fn(ctx, record); err != nil {
			return err
		}
	}
	return nil
}
