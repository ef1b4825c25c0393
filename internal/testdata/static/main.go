// Command static is a program on write-behind that is built without a C compiler, as a test
// builds it: it opens PostgreSQL and MySQL, and no SQLite.
package main

import (
	"context"
	"log"
	"os"

	"github.com/afterwrite/afterwrite"
)

type user struct {
	ID   string `gorm:"primaryKey"`
	Name string
}

func main() {
	db, err := afterwrite.Open(context.Background(), afterwrite.Config{
		RedisURL: os.Getenv("REDIS_URL"), DatabaseURL: os.Getenv("DATABASE_URL"),
	}, afterwrite.Model[user]())
	if err != nil {
		log.Fatal(err)
	}
	log.Print(db.Work(context.Background()))
}
