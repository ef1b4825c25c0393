package queue

import "strings"

// name returns a queue's name in asynq.
func name(prefix, queue string) string { return prefix + ":" + queue }

// unprefixed is the inverse of name; ok is false for a queue of another prefix.
func unprefixed(prefix, full string) (queue string, ok bool) {
	queue, ok = strings.CutPrefix(full, prefix+":")
	return queue, ok && !strings.Contains(queue, ":")
}
