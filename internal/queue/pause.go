package queue

import (
	"context"
	"fmt"
)

// Pause stops the taking of a queue's tasks: they wait until [Inspector.Resume]. Those
// that run go on. To pause a paused queue changes nothing.
func (i *Inspector) Pause(ctx context.Context, queue string) error {
	return i.turn(ctx, "pause", queue, true, i.asynq.PauseQueue)
}

// Resume lets a queue's tasks be taken again. To resume one that is not paused changes
// nothing.
func (i *Inspector) Resume(ctx context.Context, queue string) error {
	return i.turn(ctx, "resume", queue, false, i.asynq.UnpauseQueue)
}

func (i *Inspector) turn(ctx context.Context, what, queue string, paused bool, do func(string) error) error {
	err := do(name(i.prefix, queue))
	if err == nil {
		return nil
	}
	// asynq has no name for the error that the queue is so already.
	if s, sizeErr := i.size(ctx, queue); sizeErr == nil && s.Paused == paused {
		return nil
	}
	return fmt.Errorf("%s queue %s: %w", what, queue, err)
}
