package afterwrite

import (
	"context"
	"fmt"
	"reflect"
)

// BeforeAccept runs fn on a whole record before it is accepted, in the caller's goroutine: for
// Put and Create on the struct that was given, for Patch and Update on the record as it would
// be. fn may change the record, key and times aside; its error refuses the write and is
// returned as it is. For Update and Patch it may run several times. Add, Delete and writes by
// the HTTP API do not run it.
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
