// Command nosqlite opens a store on PostgreSQL or MySQL alone.
package main

import (
	"log"
	"os"

	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func main() {
	l, err := ledger.Open(store.Config{URL: os.Getenv("DATABASE_URL")}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
}
