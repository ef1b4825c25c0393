package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/afterwrite/afterwrite"
)

// CompareUser is a record, a row of a table of each way.
type CompareUser struct {
	ID    int64  `json:"id" gorm:"primaryKey;autoIncrement:false"`
	Name  string `json:"name" gorm:"size:100"`
	Email string `json:"email" gorm:"size:100"`
	Age   int64  `json:"age"`
}

// ByHandUser is the same in a table of its own.
type ByHandUser CompareUser

func user(n int64) CompareUser {
	return CompareUser{ID: 1 + n%100_000, Name: "Ada Lovelace", Email: "ada@example.com", Age: n}
}

// compareByHand measures the library beside go-redis and gorm as a program uses them: a write upserts the row and
// deletes the key, a read takes the key, or the row and sets the key. What is by hand may leave an old value cached for
// good, where a read between the two steps of a write sets it: that is not measured.
func compareByHand(ctx context.Context, o options) error {
	db, err := openGORM(o.database)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	aw, err := afterwrite.Open(ctx, afterwrite.Config{Redis: redis.NewClient(o.redis), GORM: db, Prefix: "compare",
		Logger: quiet}, afterwrite.Model[CompareUser]())
	if err != nil {
		return err
	}
	defer aw.Close()
	if err := db.AutoMigrate(&ByHandUser{}); err != nil {
		return err
	}
	if err := aw.Migrate(ctx); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- aw.Work(working) }()
	defer func() { stop(); <-ended }()
	users, hand := afterwrite.Table[CompareUser](aw), byHand{redis.NewClient(o.redis), db}
	settle := func(ctx context.Context) error { return aw.Flush(ctx) }
	return measure(ctx, o, []figure{
		{"write, until the next read sees it", settle, []way{
			{"afterwrite", func(ctx context.Context, n int64) error {
				u := user(n)
				_, err := users.Put(ctx, &u)
				return err
			}},
			{"gorm and go-redis by hand", func(ctx context.Context, n int64) error { return hand.put(ctx, user(n)) }},
		}},
		{"read of a cached record", settle, []way{
			{"afterwrite", func(ctx context.Context, n int64) error {
				_, err := users.Get(ctx, 1+n%100)
				return ignore(err, afterwrite.ErrNotFound)
			}},
			{"gorm and go-redis by hand", func(ctx context.Context, n int64) error {
				_, err := hand.get(ctx, 1+n%100)
				return ignore(err, gorm.ErrRecordNotFound)
			}},
		}},
	})
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

type byHand struct {
	redis *redis.Client
	db    *gorm.DB
}

func (h byHand) put(ctx context.Context, u CompareUser) error {
	row := ByHandUser(u)
	err := h.db.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
	if err != nil {
		return err
	}
	return h.redis.Del(ctx, byHandKey(u.ID)).Err()
}

func (h byHand) get(ctx context.Context, id int64) (u CompareUser, err error) {
	text, err := h.redis.Get(ctx, byHandKey(id)).Bytes()
	if err == nil {
		return u, json.Unmarshal(text, &u)
	}
	if !errors.Is(err, redis.Nil) {
		return u, err
	}
	var row ByHandUser
	if err := h.db.WithContext(ctx).Take(&row, id).Error; err != nil {
		return u, err
	}
	u = CompareUser(row)
	if text, err = json.Marshal(u); err != nil {
		return u, err
	}
	return u, h.redis.Set(ctx, byHandKey(id), text, life).Err()
}

func byHandKey(id int64) string { return "compare:hand:" + strconv.FormatInt(id, 10) }

func openGORM(url string) (*gorm.DB, error) {
	config := &gorm.Config{Logger: logger.Discard, SkipDefaultTransaction: true, PrepareStmt: true}
	if file, ok := strings.CutPrefix(url, "sqlite://"); ok {
		return gorm.Open(sqlite.Open(file+"?_journal_mode=WAL&_busy_timeout=10000&_txlock=immediate"), config)
	}
	if !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://") {
		return nil, fmt.Errorf("--database: postgres:// or sqlite://, not %q", url)
	}
	return gorm.Open(postgres.Open(url), config)
}

// dialer lets rueidis connect to a socket, too.
func dialer(network string) func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
	return func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		d.Timeout = 5 * time.Second
		return d.DialContext(ctx, network, addr)
	}
}
