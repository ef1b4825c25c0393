package afterwrite

import (
	"context"

	"github.com/afterwrite/afterwrite/internal/fsck"
	inner "github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/operate"
	"github.com/afterwrite/afterwrite/schema"
)

// Operate is what operators do, under a name that the audit keeps.
func (db *DB) Operate(by operate.Actor) *operate.Operator { return operate.Of(source{db}, by) }

// source is a DB as package operate sees it.
type source struct{ db *DB }

func (s source) Operator() *inner.Operator { return s.db.operator }

func (s source) Entity(name string) (*schema.Entity, error) { return s.db.producer.Entity(name) }

func (s source) Fsck(ctx context.Context, names []string) (fsck.Report, error) {
	entities := s.db.entities
	if len(names) > 0 {
		entities = nil
	}
	for _, name := range names {
		e, err := s.Entity(name)
		if err != nil {
			return fsck.Report{}, err
		}
		entities = append(entities, e)
	}
	return fsck.Run(ctx, s.db.parts.Cache, s.db.parts.Pending, s.db.parts.Store, entities,
		fsck.Options{Letters: s.db.parts.Store})
}

func (s source) Doctor(ctx context.Context) ([]operate.Finding, error) {
	if s.db.closed.Load() {
		return nil, ErrClosed
	}
	return s.db.parts.Doctor(ctx)
}
