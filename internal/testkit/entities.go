package testkit

import (
	"testing"
	"time"

	"github.com/afterwrite/afterwrite"
)

// Entities returns user, product and player as the built-in example has them, and
// everything, which has a field of each type. Each call returns new ones, ready for
// use. Their tables are named apart: users, products, players and everything.
func Entities(t testing.TB) []*afterwrite.Entity {
	t.Helper()
	entities := []*afterwrite.Entity{users(), products(), players(), everything()}
	for _, e := range entities {
		if err := e.Init(); err != nil {
			t.Fatal(err)
		}
	}
	return entities
}

// Entity returns the one of [Entities] that has the name.
func Entity(t testing.TB, name string) *afterwrite.Entity {
	t.Helper()
	for _, e := range Entities(t) {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("testkit has no entity %q", name)
	return nil
}

func users() *afterwrite.Entity {
	return &afterwrite.Entity{
		Name: "user", Table: "users", ID: afterwrite.ID{Type: afterwrite.String, Max: 64},
		Fields: []afterwrite.Field{
			{Name: "name", Type: afterwrite.String, MaxLength: 200, Required: true},
			{Name: "email", Type: afterwrite.String, MaxLength: 320, Unique: true},
			{Name: "age", Type: afterwrite.Int, Min: "0", Max: "150"},
			{Name: "login_count", Type: afterwrite.Int, Default: "0"},
			{Name: "profile", Type: afterwrite.JSON},
		},
	}
}

func products() *afterwrite.Entity {
	return &afterwrite.Entity{
		Name: "product", Table: "products", ID: afterwrite.ID{Type: afterwrite.Int},
		Fields: []afterwrite.Field{
			{Name: "name", Type: afterwrite.String, MaxLength: 200, Required: true},
			{Name: "price", Type: afterwrite.Decimal, Precision: 12, Scale: 2, Min: "0"},
			{Name: "stock", Type: afterwrite.Int, Default: "0", Min: "0"},
		},
		Partitions: 4,
	}
}

func players() *afterwrite.Entity {
	return &afterwrite.Entity{
		Name: "player", Table: "players", ID: afterwrite.ID{Type: afterwrite.UUID},
		Fields: []afterwrite.Field{
			{Name: "name", Type: afterwrite.String, MaxLength: 100},
			{Name: "score", Type: afterwrite.Int, Default: "0"},
		},
		Partitions: 4, RankBy: "score",
	}
}

// everything has a field of each type, a column that is named apart from its field,
// words of SQL as names, and short times, so that expiry can be tested.
func everything() *afterwrite.Entity {
	return &afterwrite.Entity{
		Name: "everything", Table: "everything",
		ID: afterwrite.ID{Column: "key", Type: afterwrite.String, Max: 255},
		Fields: []afterwrite.Field{
			{Name: "string", Type: afterwrite.String, Column: "a_string"},
			{Name: "text", Type: afterwrite.Text},
			{Name: "int", Type: afterwrite.Int},
			{Name: "float", Type: afterwrite.Float},
			{Name: "decimal", Type: afterwrite.Decimal},
			{Name: "bool", Type: afterwrite.Bool},
			{Name: "time", Type: afterwrite.Time},
			{Name: "json", Type: afterwrite.JSON},
			{Name: "bytes", Type: afterwrite.Bytes},
			{Name: "uuid", Type: afterwrite.UUID},
			{Name: "order", Type: afterwrite.Int, Default: "7"},
			{Name: "secret", Type: afterwrite.String, Redact: true},
		},
		Partitions: 3,
		Cache:      afterwrite.CachePolicy{TTL: time.Minute, NegativeTTL: time.Second},
	}
}
