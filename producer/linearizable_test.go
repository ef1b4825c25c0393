package producer_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// step is one operation of a history: a write of a name ("" deletes), an increment, or a read.
type step struct {
	op   string // "put", "delete", "increment", "read"
	name string
}

// seen is what an operation answered, and the state of the register.
type seen struct {
	name  string // "" absent
	count string
}

// register is one record under put, delete, increment and read.
var register = porcupine.Model{
	Init: func() any { return seen{} },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(seen), input.(step), output.(seen)
		switch in.op {
		case "put":
			return true, seen{in.name, "0"}
		case "delete":
			return (now.name == "") == (out.name == "absent"), seen{}
		case "increment":
			if now.name == "" {
				return out.name == "absent", now
			}
			var n int
			_, _ = fmt.Sscan(now.count, &n)
			next := fmt.Sprint(n + 1)
			return out.count == next, seen{now.name, next}
		}
		return now == out, now
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " → ", output) },
}

// I4 fresh, I3 ordered: whatever callers see of a record, with flushes and evictions all
// the while, one order of their operations explains it.
func TestI4ReadsAndWritesAreLinearizable(t *testing.T) {
	b := setup(t)
	const ids, callers, each = 4, 8, 150
	var mu sync.Mutex
	history := make([][]porcupine.Operation, ids)
	start := time.Now()
	stop := make(chan struct{})
	var disturb, work sync.WaitGroup
	disturb.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				b.flush(t)
				b.evict(t)
			}
		}
	})
	var names atomic.Int64
	for caller := range callers {
		random := testkit.Random(t)
		work.Go(func() {
			for range each {
				id := random.IntN(ids)
				in := step{op: []string{"put", "put", "delete", "increment", "read", "read", "read"}[random.IntN(7)]}
				if in.op == "put" {
					in.name = fmt.Sprint("n", names.Add(1))
				}
				call := time.Since(start).Nanoseconds()
				out := b.perform(t, fmt.Sprint(id), in)
				end := time.Since(start).Nanoseconds()
				mu.Lock()
				history[id] = append(history[id], porcupine.Operation{ClientId: caller, Input: in, Call: call,
					Output: out, Return: end})
				mu.Unlock()
			}
		})
	}
	work.Wait()
	close(stop)
	disturb.Wait()
	for id, h := range history {
		result := porcupine.CheckOperationsTimeout(register, h, time.Minute)
		assert.Equal(t, porcupine.Ok, result, "record %d: no order explains its %d operations", id, len(h))
	}
	b.flush(t)
	b.conserved(t)
}

func (b *bundle) perform(t *testing.T, id string, in step) seen {
	ctx := context.WithoutCancel(t.Context())
	var err error
	out := seen{}
	switch in.op {
	case "put":
		_, err = b.Put(ctx, "user", id, schema.Fields{"name": in.name})
	case "delete":
		_, err = b.Delete(ctx, "user", id)
	case "increment":
		got, e := b.Increment(ctx, "user", id, schema.Fields{"login_count": 1})
		if err = e; err == nil {
			out.count = got.Values[3]
		}
	default:
		fields := b.fields(t, id)
		if fields == nil {
			return seen{}
		}
		name := fields["name"]
		return seen{name[1 : len(name)-1], fields["login_count"]}
	}
	if in.op != "put" && err != nil {
		require.ErrorIs(t, err, schema.ErrNotFound)
		return seen{name: "absent"}
	}
	require.NoError(t, err)
	return out
}
