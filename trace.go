package afterwrite

import (
	"context"

	"github.com/afterwrite/afterwrite/producer"
)

// WithRequestID gives the writes of a traced request its id (64 bytes).
func WithRequestID(ctx context.Context, id string) context.Context {
	return producer.WithRequestID(ctx, id)
}
