// Package inside lets the public test kit change what programs cannot: the clock, the checks
// of Redis, and the way to the database. The options travel with the context of Open, so that
// the front door has no words for them.
package inside

import (
	"context"
	"database/sql/driver"
	"time"
)

// Options are of one DB.
type Options struct {
	Clock     func() time.Time                        // nil: time.Now
	InProcess bool                                    // Redis is in this process, and knows nothing of persistence
	Wrap      func(driver.Connector) driver.Connector // wraps every connection to the database
}

type key struct{}

// With returns a context that carries options to Open.
func With(ctx context.Context, o Options) context.Context { return context.WithValue(ctx, key{}, o) }

// Of returns the options that a context carries, or none.
func Of(ctx context.Context) Options {
	o, _ := ctx.Value(key{}).(Options)
	return o
}
