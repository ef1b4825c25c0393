package afterwrite

import (
	"context"

	"github.com/afterwrite/afterwrite/producer"
)

// WithRequestID returns a context of a request with that id. If the request is traced, its writes keep the id with
// their records until they are persisted: the events of the HTTP API and dead letters name it. An id of more than 64
// bytes, or with other characters than those of a URL, is not kept.
func WithRequestID(ctx context.Context, id string) context.Context {
	return producer.WithRequestID(ctx, id)
}
