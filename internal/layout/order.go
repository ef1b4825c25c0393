package layout

import (
	"fmt"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Order decodes {generation, wait in ms}.
func Order(e *schema.Entity, partition int, reply []any) (schema.Order, error) {
	if len(reply) != 2 {
		return schema.Order{}, fmt.Errorf("order of %s/%d: %d values", e.Name, partition, len(reply))
	}
	generation, err := strconv.ParseInt(Text(reply[0]), 10, 64)
	if err != nil {
		return schema.Order{}, fmt.Errorf("order of %s/%d: generation %q", e.Name, partition, Text(reply[0]))
	}
	wait, err := strconv.ParseInt(Text(reply[1]), 10, 64)
	if err != nil {
		return schema.Order{}, fmt.Errorf("order of %s/%d: wait %q", e.Name, partition, Text(reply[1]))
	}
	return schema.Order{Entity: e, Partition: partition, Generation: generation,
		Delay: time.Duration(wait) * time.Millisecond}, nil
}
