package values

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// grant is the right to fill one value.
type grant struct {
	token string
	stamp int64 // of tags, before the load begins
}

// askLease asks for the right to fill a value. It returns the grant; or what was filled
// since the caller looked, if that is valid; or neither, where another has the right.
func (v *Values[T]) askLease(ctx context.Context, k valueKey, unusable string) (*grant, *entry, error) {
	for {
		token := newToken()
		reply, stamp, err := v.on.leaseAndStamp(ctx, k, token, v.p.Lease, unusable)
		if err != nil {
			return nil, nil, err
		}
		switch layout.Text(reply[0]) {
		case "granted":
			if err := v.on.Tags.Watch(ctx, v.p.Tags, v.longest()); err != nil {
				v.giveBack(ctx, k, token)
				return nil, nil, err
			}
			return &grant{token, stamp}, nil, nil
		case "refused":
			return nil, nil, nil
		}
		found, id, err := v.meanwhile(ctx, k, reply)
		if err != nil || found != nil {
			return nil, found, err
		}
		unusable = id
	}
}

// leaseAndStamp asks for a lease, and before a load may begin for the newest stamp, in
// one round trip though their slots differ.
func (s *store) leaseAndStamp(ctx context.Context, k valueKey, token string, lease time.Duration,
	unusable string) ([]any, int64, error) {
	leaseCall, stampCall := leaseScript.Call(k.names(), token, layout.MS(lease), unusable), s.Tags.NewestCall()
	s.Redis.Send(ctx, leaseCall, stampCall)
	if err := errors.Join(leaseCall.Err(), stampCall.Err()); err != nil {
		return nil, 0, rdb.Fault("load", err)
	}
	stamp, err := s.Tags.NewestOf(stampCall)
	if err != nil {
		return nil, 0, err
	}
	reply, err := leaseCall.Slice()
	if err != nil {
		return nil, 0, rdb.Fault("load", err)
	}
	return reply, stamp, nil
}

// meanwhile reads the entry that a request for a lease was answered, because another load
// has filled it since the caller looked, and its id. The entry is nil where a tag has
// invalidated it or it cannot be read.
func (v *Values[T]) meanwhile(ctx context.Context, k valueKey, reply []any) (*entry, string, error) {
	raw := layout.Text(reply[1])
	life, _ := reply[2].(int64)
	if len(raw) < 2+entryID {
		return nil, "", errEntry
	}
	found := []*entry{v.entry(ctx, k, []byte(raw), time.Duration(life)*time.Millisecond)}
	if err := v.dropInvalid(ctx, found, nil); err != nil {
		return nil, "", err
	}
	return found[0], raw[2 : 2+entryID], nil
}

// longest is the longest that an entry lives, unless its load says otherwise, from before
// the load begins.
func (v *Values[T]) longest() time.Duration {
	return v.p.LoadTimeout + v.p.Lease + max(v.p.TTL, v.p.NegativeTTL) + max(v.p.Stale, v.p.StaleOnError)
}

// loadUnder loads, and fills under the grant if there is one.
func (v *Values[T]) loadUnder(ctx context.Context, k valueKey, g *grant, load Loading[T]) (*entry, Source, error) {
	l := &loading{}
	if g != nil {
		stop := v.keepLease(ctx, k, g.token)
		defer stop()
	}
	e, kept, err := v.call(ctx, l, load)
	if err != nil || g == nil || !kept {
		if g != nil {
			v.giveBack(ctx, k, g.token)
		}
		return e, Missed, err
	}
	e.stamp = g.stamp
	mark := v.local.Mark()
	filled, err := v.fill(ctx, k, g.token, e)
	if err != nil {
		v.on.Log.DebugContext(ctx, "a value was not cached", "group", v.p.Group, "error", err)
		return e, Missed, nil
	}
	if !filled {
		return e, Missed, nil
	}
	v.put(k.key, e, mark)
	return e, Filled, nil
}

func (v *Values[T]) fill(ctx context.Context, k valueKey, token string, e *entry) (bool, error) {
	n, err := v.on.Redis.RunInt(ctx, fillScript, k.names(), token, layout.MS(e.total), e.encode())
	return n == 1, err
}

// giveBack ends a lease under which nothing will be filled, so that no caller waits for it.
func (v *Values[T]) giveBack(ctx context.Context, k valueKey, token string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.Lease)
	defer cancel()
	if _, err := v.on.Redis.RunInt(ctx, fillScript, k.names(), token, 0, ""); err != nil {
		v.on.Log.DebugContext(ctx, "a lease was left to expire", "group", v.p.Group, "error", err)
	}
}

// keepLease renews a lease while its load goes on, until stop.
func (v *Values[T]) keepLease(ctx context.Context, k valueKey, token string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var renew func()
	renew = func() {
		if ctx.Err() != nil {
			return
		}
		n, err := v.on.Redis.RunInt(ctx, renewScript, []string{k.lease}, token, layout.MS(v.p.Lease))
		if n == 1 || errors.Is(err, schema.ErrUnavailable) {
			time.AfterFunc(v.p.Lease/3, renew)
		}
	}
	timer := time.AfterFunc(v.p.Lease/3, renew)
	return func() {
		cancel()
		timer.Stop()
	}
}

// newToken returns a lease token, fresh for every load, so that a load that began before a lease was removed cannot be
// mistaken for one that began after the next lease was taken.
func newToken() string { return rand.Text() }
