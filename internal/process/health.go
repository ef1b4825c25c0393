package process

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/store/survey"
)

// depths is what a deep reading of the state asks of the parts.
type depths struct{ *Parts }

func (d depths) RedisWritable(ctx context.Context) error           { return d.Inspect.Writable(ctx) }
func (d depths) Outstanding(ctx context.Context) ([]string, error) { return d.Store.Outstanding(ctx) }
func (d depths) Watches(ctx context.Context) ([]survey.Watch, error) {
	return survey.Of(d.Store.Store).Watches(ctx)
}
func (d depths) Weaknesses(ctx context.Context) ([]survey.Weakness, error) {
	return survey.Of(d.Store.Store).Weaknesses(ctx)
}
func (d depths) DatabaseWritable(ctx context.Context) error { return d.Store.Writable(ctx) }

// Health returns what the state of the deployment is read from.
func (p *Parts) Health() (health.Sources, error) {
	inspector, err := p.Inspector()
	if err != nil {
		return health.Sources{}, err
	}
	return health.Sources{
		Entities: p.Config.Entities, Redis: p.redis(), Database: p.Store, Queues: inspector, Depths: depths{p},
	}, nil
}
