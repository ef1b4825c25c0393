package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Pace of the ranks that workers keep.
const (
	rankPage  = 1000             // rows of one page
	rankEvery = 5 * time.Second  // how often a worker looks whether a rank is complete
	rankLease = 30 * time.Second // of the worker that rebuilds, renewed with each page
)

// Rows pages through an entity's rows in the database.
func (p *Parts) Rows(e *schema.Entity) rank.Rows {
	return func(ctx context.Context, after string) ([]schema.Row, error) {
		return p.Store.List(ctx, e, store.Query{After: after, Limit: rankPage})
	}
}

// RankBy returns how ranks can order ids of equal scores now: by their values, unless a process of a build that orders
// their bytes is alive.
func (p *Parts) RankBy(ctx context.Context) (rank.By, error) {
	alive, err := p.Fleet.Alive(ctx)
	return rank.By(fleet.RankByValues(alive)), err
}

// KeepRanks rebuilds every rank that is not complete, or that an older build has left in the order of bytes, until ctx
// ends. One worker does it at a time; should two do it, the later one wins.
func (p *Parts) KeepRanks(ctx context.Context) error {
	var ranked []*schema.Entity
	for _, e := range p.Config.Entities {
		if e.RankBy != "" {
			ranked = append(ranked, e)
		}
	}
	host, _ := os.Hostname()
	holder := fmt.Sprintf("%s:%d", host, os.Getpid())
	look := time.NewTimer(0)
	defer look.Stop()
	for len(ranked) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		for _, e := range ranked {
			if err := p.keepRank(ctx, e, holder); err != nil && ctx.Err() == nil {
				p.Log.WarnContext(ctx, "rank not rebuilt; it is tried again", "entity", e.Name, "error", err)
			}
		}
		look.Reset(max(rankEvery, p.Config.Worker.SweepInterval))
	}
	return nil
}

func (p *Parts) keepRank(ctx context.Context, e *schema.Entity, holder string) error {
	ranks := rank.New(p.Cache)
	by := rank.ByValues
	if rank.Ordered(e) {
		var err error
		if by, err = p.RankBy(ctx); err != nil {
			return err
		}
	}
	complete, err := ranks.Complete(ctx, e, by)
	if err != nil || complete {
		return err
	}
	name := "rank:" + e.Name
	leads, err := p.Fleet.Lead(ctx, name, holder, rankLease)
	if err != nil || !leads {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = p.Fleet.Resign(end, name, holder) // else the lease ends by itself
	}()
	began, records := time.Now(), 0
	page := p.Rows(e)
	err = ranks.Rebuild(ctx, e, by, func(ctx context.Context, after string) ([]schema.Row, error) {
		if _, err := p.Fleet.Lead(ctx, name, holder, rankLease); err != nil {
			return nil, err
		}
		return page(ctx, after)
	}, func(n int) { records = n })
	if errors.Is(err, rank.ErrRebuildLost) {
		return nil // another one is at it
	}
	if err == nil {
		p.Log.InfoContext(ctx, "rank rebuilt", "entity", e.Name, "by", e.RankBy, "records", records, "elapsed",
			time.Since(began))
	}
	return err
}
