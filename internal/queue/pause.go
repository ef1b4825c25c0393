package queue

import (
	"context"
	"fmt"
)

// Pause stops a queue: its tasks wait until [Inspector.Resume]. Tasks that already run continue. Pausing a paused queue
// changes nothing.
func (i *Inspector) Pause(ctx context.Context, queue string) error {
	return i.turn(ctx, "pause", queue, true, i.asynq.PauseQueue)
}

// Resume lets workers take a queue's tasks again. Resuming a queue that is not paused changes nothing.
func (i *Inspector) Resume(ctx context.Context, queue string) error {
	return i.turn(ctx, "resume", queue, false, i.asynq.UnpauseQueue)
}

func (i *Inspector) turn(ctx context.Context, what, queue string, paused bool, do func(string) error) error {
	err := do(name(i.prefix, queue))
	if err == nil {
		return nil
	}
	// asynq has no named error for a queue that is already in the requested state.
	if s, sizeErr := i.size(ctx, queue); sizeErr == nil && s.Paused == paused {
		return nil
	}
	return fmt.Errorf("%s queue %s: %w", what, queue, err)
}
