package testkit

import (
	"testing"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Entities returns user, product and player as the built-in example has them, and
// everything, which has a field of each type. Each call returns new ones, ready for
// use. Their tables are named apart: users, products, players and everything.
func Entities(t testing.TB) []*schema.Entity {
	t.Helper()
	entities := []*schema.Entity{users(), products(), players(), everything()}
	for _, e := range entities {
		if err := e.Init(); err != nil {
			t.Fatal(err)
		}
	}
	return entities
}

// Entity returns the one of [Entities] that has the name.
func Entity(t testing.TB, name string) *schema.Entity {
	t.Helper()
	for _, e := range Entities(t) {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("testkit has no entity %q", name)
	return nil
}

func users() *schema.Entity {
	return &schema.Entity{
		Name: "user", Table: "users", ID: schema.ID{Type: schema.String, Max: 64},
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, MaxLength: 200, Required: true},
			{Name: "email", Type: schema.String, MaxLength: 320, Unique: true},
			{Name: "age", Type: schema.Int, Min: "0", Max: "150"},
			{Name: "login_count", Type: schema.Int, Default: "0"},
			{Name: "profile", Type: schema.JSON},
		},
	}
}

func products() *schema.Entity {
	return &schema.Entity{
		Name: "product", Table: "products", ID: schema.ID{Type: schema.Int},
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, MaxLength: 200, Required: true},
			{Name: "price", Type: schema.Decimal, Precision: 12, Scale: 2, Min: "0"},
			{Name: "stock", Type: schema.Int, Default: "0", Min: "0"},
		},
		Partitions: 4,
	}
}

func players() *schema.Entity {
	return &schema.Entity{
		Name: "player", Table: "players", ID: schema.ID{Type: schema.UUID},
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, MaxLength: 100},
			{Name: "score", Type: schema.Int, Default: "0"},
		},
		Partitions: 4, RankBy: "score",
	}
}

// everything has a field of each type, a column that is named apart from its field,
// words of SQL as names, and short times, so that expiry can be tested.
func everything() *schema.Entity {
	return &schema.Entity{
		Name: "everything", Table: "everything",
		ID: schema.ID{Column: "key", Type: schema.String, Max: 255},
		Fields: []schema.Field{
			{Name: "string", Type: schema.String, Column: "a_string"},
			{Name: "text", Type: schema.Text},
			{Name: "int", Type: schema.Int},
			{Name: "float", Type: schema.Float},
			{Name: "decimal", Type: schema.Decimal},
			{Name: "bool", Type: schema.Bool},
			{Name: "time", Type: schema.Time},
			{Name: "json", Type: schema.JSON},
			{Name: "bytes", Type: schema.Bytes},
			{Name: "uuid", Type: schema.UUID},
			{Name: "order", Type: schema.Int, Default: "7"},
			{Name: "secret", Type: schema.String, Redact: true},
		},
		Partitions: 3,
		Cache:      schema.CachePolicy{TTL: time.Minute, NegativeTTL: time.Second},
	}
}
