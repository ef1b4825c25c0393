// Command shop serves the shop: DATABASE_URL is postgres://… or a file of SQLite.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	shop "github.com/afterwrite/afterwrite/examples/shop/6-tested"
)

func main() {
	ctx := context.Background()
	db, err := gorm.Open(dialector(os.Getenv("DATABASE_URL")), &gorm.Config{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := shop.New(ctx, db, redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS_ADDR")}))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Print(s.Mail(ctx, func(product string) error { log.Print("mail about ", product); return nil }))
	}()
	log.Fatal(http.ListenAndServe(":8080", s.Handler()))
}

func dialector(url string) gorm.Dialector {
	if strings.HasPrefix(url, "postgres://") {
		return postgres.Open(url)
	}
	return sqlite.Open(url + "?_busy_timeout=5000&_journal_mode=WAL&_foreign_keys=on")
}
