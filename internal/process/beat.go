package process

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/internal/fleet"
)

// beatLife is how much longer than the time to the next a process is believed to live.
const beatLife = 10 * time.Second

// beat reports until ctx ends that this process lives, and what it cannot use: doctor and the
// dashboard see the database with their own settings, and this process with its own.
func (p *Parts) beat(ctx context.Context, kind string) {
	id, started := fleet.NewID(), time.Now().UTC().Format(time.RFC3339)
	fields := fleet.Fields(p.Config.Entities)
	every := max(watchTick, p.Config.Worker.PollInterval)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		info := map[string]string{"started": started, "version": p.version, fleet.FieldsInfo: fields,
			fleet.MembersInfo: "1"}
		p.report(ctx, info)
		if err := p.Fleet.Beat(ctx, kind, id, info, every+beatLife); err != nil && ctx.Err() == nil {
			p.Log.Debug("beat failed", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTick)
			defer cancel()
			_ = p.Fleet.Leave(ctx, kind, id) // it is forgotten otherwise
			return
		}
	}
}

// report adds what this process cannot use.
func (p *Parts) report(ctx context.Context, info map[string]string) {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	if err := p.Store.Ping(ctx); err != nil {
		info[fleet.DatabaseInfo] = err.Error()
	}
	if err := p.Unpaired(); err != nil {
		info[fleet.PairingInfo] = err.Error()
	}
}
