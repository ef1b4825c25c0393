package schema

import (
	"strconv"
	"time"
)

// Order asks for a sync task of one partition. The zero Order asks for none.
type Order struct {
	Entity     *Entity
	Partition  int
	Generation int64         // 0: a wake-up for a held record
	Delay      time.Duration // from now
	At         int64         // of a wake-up: its time, ms
}

// None reports whether o asks for nothing.
func (o Order) None() bool { return o.Entity == nil }

// TaskID names the order: two orders of one id are one order.
func (o Order) TaskID() string {
	base := o.Entity.Name + "/" + strconv.Itoa(o.Partition)
	if o.Generation == 0 {
		return base + "/held/" + strconv.FormatInt(o.At, 10)
	}
	return base + "/" + strconv.FormatInt(o.Generation, 10)
}
