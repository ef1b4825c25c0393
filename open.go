package afterwrite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/internal/inside"
	"github.com/afterwrite/afterwrite/internal/logs"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// DB keeps records in a Redis and a database. It is safe for concurrent use.
type DB struct {
	log      *slog.Logger
	models   map[reflect.Type]*registered
	entities []*schema.Entity
	parts    *process.Parts
	producer *producer.Producer
	queue    *queue.Client
	clock    func() time.Time
	metrics  *series
	guest    *queue.Guest
	operator *operate.Operator
	gorm     *gorm.DB // of the program; may be nil

	closed  atomic.Bool
	ctx     context.Context // of what runs beside the calls; ends at Close
	cancel  context.CancelFunc
	working sync.WaitGroup // calls of Work
}

// Open joins models to a Redis, which it checks, and a database, which may
// come later. An error leaves nothing open, and names every field at fault.
func Open(ctx context.Context, cfg Config, models ...Registration) (*DB, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(models) == 0 {
		return nil, errors.New("afterwrite: Open needs at least one Model")
	}
	settings, over, err := cfg.settings()
	if err != nil {
		return nil, err
	}
	own := inside.Of(ctx)
	over.InProcess, over.Wrap = own.InProcess, own.Wrap
	log := slog.New(logs.Bounded(cmp.Or(cfg.Logger, slog.Default()).Handler()))
	db := &DB{log: log, clock: own.Clock, gorm: cfg.GORM}
	if db.clock == nil {
		db.clock = time.Now
	}
	if db.models, db.entities, err = register(models, cfg.naming(), cmp.Or(over.Dialect,
		store.DialectOf(cfg.DatabaseURL))); err != nil {
		return nil, err
	}
	settings.Entities = db.entities
	if err := db.hooks(&over); err != nil {
		return nil, fmt.Errorf("afterwrite: %w", err)
	}
	for _, e := range db.entities {
		if settings.Worker.Queues[e.Flush.Queue] == 0 {
			settings.Worker.Queues[e.Flush.Queue] = 1
		}
	}
	if db.parts, err = process.JoinOver(over, settings, cfg.Version, db.log); err != nil {
		return nil, fmt.Errorf("afterwrite: %w", err)
	}
	if err := db.start(ctx, cfg); err != nil {
		db.parts.Close()
		return nil, fmt.Errorf("afterwrite: %w", err)
	}
	return db, nil
}

func (db *DB) start(ctx context.Context, cfg Config) error {
	if err := db.parts.CheckRedis(ctx); err != nil {
		return err
	}
	err := db.parts.CheckDatabase(ctx)
	if err == nil {
		err = db.parts.CheckPairing(ctx)
	}
	if err != nil {
		if !later(err) {
			return err
		}
		level := slog.LevelWarn
		if errors.Is(err, process.ErrNotMigrated) {
			level = slog.LevelInfo // as each time before the first Migrate
		}
		db.log.Log(ctx, level, "the database is not ready", "error", err, "hint", "run Migrate; Work waits until it is")
	}
	if db.producer, err = db.parts.NewProducer(); err != nil {
		return err
	}
	if db.queue, err = db.parts.QueueClient(); err != nil {
		return err
	}
	if db.operator, err = db.parts.Operators(); err != nil {
		return err
	}
	if db.metrics, err = export(cfg.Registerer, db.parts.Metrics, db.parts.Config.Redis.Prefix); err != nil {
		return err
	}
	db.tell(ctx)
	db.guest = queue.NewGuest(db.log)
	db.ctx, db.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return nil
}

// tell logs what the models say and is not done here.
func (db *DB) tell(ctx context.Context) {
	for _, m := range db.models {
		if len(m.Hooks) > 0 {
			db.log.WarnContext(ctx, "gorm's hooks of a model are not run", "model", m.Schema.ModelType.String(),
				"hooks", strings.Join(m.Hooks, " "), "hint", "validate and change records in BeforeAccept")
		}
		if len(m.Unmade) > 0 {
			db.log.InfoContext(ctx, "Migrate does not make some indexes and checks of a model", "model",
				m.Schema.ModelType.String(),
				"names", strings.Join(m.Unmade, " "), "hint",
				"make them in your own migrations, or by gorm's AutoMigrate")
		}
	}
}

// later reports an error of the database that a migration or time fixes.
func later(err error) bool {
	return errors.Is(err, process.ErrNotMigrated) || process.Unreachable(err)
}

// Close ends Work, waits for it, and closes what Open opened, never a client that it was given.
// Writes that wait for the database are safe in Redis.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	db.cancel()
	db.working.Wait()
	db.metrics.end()
	db.parts.Close()
	return nil
}

// Entity is what the type of a model was mapped to, else nil.
func (db *DB) Entity(model any) *schema.Entity {
	if v := reflect.Indirect(reflect.ValueOf(model)); v.IsValid() && db.models[v.Type()] != nil {
		return db.models[v.Type()].entity
	}
	return nil
}
