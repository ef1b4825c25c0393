package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

// Hook runs in the transaction that writes changes of an entity, after each statement and before COMMIT. Its error
// undoes what it and the statement have written and refuses the changes, which are tried again in halves: it may run
// several times for a change. What it writes is committed with the change's row, or not at all.
type Hook func(ctx context.Context, tx *gorm.DB, changes []schema.Change) error

// hookError is what a hook returned.
type hookError struct{ err error }

func (e *hookError) Error() string { return "hook: " + e.err.Error() }
func (e *hookError) Unwrap() error { return e.err }

// hooked is a statement with the entity's hook behind it.
func (b *batch) hooked(run statement) statement {
	hook := b.table.store.hooks[b.table.Entity.Name]
	if hook == nil {
		return run
	}
	return func(changes []schema.Change) error {
		if err := run(changes); err != nil {
			return err
		}
		if err := b.runHook(hook, changes); err != nil {
			return &hookError{err}
		}
		return nil
	}
}

// runHook takes a panic for an error: the record that provokes it is found and held.
func (b *batch) runHook(hook Hook, changes []schema.Change) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	ctx := b.tx.DB.Statement.Context
	tx := b.tx.DB.Session(&gorm.Session{NewDB: true, Context: ctx})
	return hook(ctx, tx, changes)
}

// hookRefusal is the refusal that a hook's error means. It means none where the database did
// not do its part for the hook.
func (b *batch) hookRefusal(err *hookError) (r schema.Refusal, refused bool) {
	d := b.tx.Database.Dialect
	if r, ok := d.Classify(err.err); ok {
		return fault.Refusal(r.Kind, "", "", "hook: "+r.Message), true // the column is of another table
	}
	var network net.Error
	switch {
	case b.tx.DB.Statement.Context.Err() != nil, d.Away(err.err), d.Conflict(err.err), d.ReadOnly(err.err),
		d.Hung(err.err), d.Missing(err.err),
		errors.Is(err.err, driver.ErrBadConn), errors.Is(err.err, sql.ErrConnDone), errors.Is(err.err, sql.ErrTxDone),
		errors.As(err.err, &network):
		return schema.Refusal{}, false
	}
	return fault.Refusal(schema.KindCheck, "", "", err.Error()), true
}
