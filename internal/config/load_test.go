package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

const minimal = "entities:\n  user:\n    fields:\n      name: {type: string}\n"

func TestExampleLoads(t *testing.T) {
	t.Parallel()
	c, err := LoadBuiltin(nil)
	require.NoError(t, err)
	require.Len(t, c.Entities, 3)
	require.Equal(t, "user", c.Entities[0].Name)
	require.False(t, c.Named("redis.url"), "the built-in example names nothing")

	user, _ := c.Entity("user")
	require.Equal(t, "users", user.Table)
	require.Equal(t, 64, user.ID.Max)
	require.Equal(t, 200, user.Fields[0].MaxLength)
	require.Equal(t, "150", user.Fields[2].Max)
	require.InDelta(t, 0.1, user.Cache.Jitter, 1e-9)
	require.Equal(t, 20, *user.Retry.On[schema.KindForeignKey].MaxAttempts)

	product, _ := c.Entity("product")
	require.Equal(t, `"0.00"`, product.Fields[3].Default)
	player, _ := c.Entity("player")
	require.Equal(t, "score", player.RankBy)
	require.Equal(t, "owner_id", player.Fields[3].Column)
}

// A directive is no document, and nothing after a --- is none.
func TestOneDocument(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"%YAML 1.2\n---\n" + minimal, "\ufeff%YAML 1.2\n---\n" + minimal, "# what\n%YAML 1.1 # why\n---\n" + minimal +
			"...\n",
		"%TAG ! tag:example.com,2000:\n---\n" + minimal, "---\n" + minimal, minimal + "---\n# nothing\n",
	} {
		c, err := parse("f", []byte(text), nil)
		require.NoError(t, err, text)
		require.Len(t, c.Entities, 1, text)
	}
}

// The example documents the defaults, so it must not drift from them.
func TestExampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	c, err := LoadBuiltin(nil)
	require.NoError(t, err)
	d := Default()
	d.API.Hosts, d.Worker.Hosts, d.Dashboard.Hosts = c.API.Hosts, c.Worker.Hosts, c.Dashboard.Hosts
	d.API.CORS, d.API.TrustedProxies = c.API.CORS, c.API.TrustedProxies // empty or nil
	d.Dashboard.TrustedProxies = c.Dashboard.TrustedProxies
	require.Equal(t, d.Redis, c.Redis)
	require.Equal(t, d.Queue, c.Queue)
	require.Equal(t, d.Database, c.Database)
	require.Equal(t, d.API, c.API)
	require.Equal(t, d.Worker, c.Worker)
	require.Equal(t, d.Dashboard, c.Dashboard)
	text := string(Example())
	for _, s := range c.settings() {
		leaf := s.path[strings.LastIndexByte(s.path, '.')+1:]
		require.Contains(t, text, leaf+":", "the example does not show %s", s.path)
	}
}

func TestKeepsOrderAndForms(t *testing.T) {
	t.Parallel()
	c, err := parse("f", []byte(`
redis: {url: "rediss://u:p@h:1/2", timeout: 500ms}
api: {max_body: 512KiB, max_batch_body: 4096, cors: [https://a.example, "*"], trusted_proxies: [10.1.2.3/8, "::1"]}
worker: {queues: {slow: 3}}
entities:
  zebra:
    id: {type: int}
    fields:
      z: {type: decimal, scale: 0, min: -1.50, max: "99999999999999999999.5"}
      a: {type: json, default: {z: 1, a: [true, null, "x<y"]}, max: 50}
      m: {type: float, min: -1, default: 1.5}
      i: {type: int, default: 9223372036854775807}
    flush: {delay: 0, queue: zq}
  ape: {id: {type: uuid}, fields: {of: {type: int, references: zebra}}}
`), nil)
	require.NoError(t, err)
	require.Equal(t, 500*time.Millisecond, c.Redis.Timeout)
	require.EqualValues(t, 512<<10, c.API.MaxBody)
	require.EqualValues(t, 4096, c.API.MaxBatchBody)
	require.Equal(t, "10.0.0.0/8", c.API.TrustedProxies[0].String())
	require.Equal(t, "::1/128", c.API.TrustedProxies[1].String())
	require.Equal(t, map[string]int{"slow": 3, "zq": 1, "default": 1}, c.Worker.Queues)
	require.True(t, c.Named("redis.url"))
	require.False(t, c.Named("database.url"))

	zebra := c.Entities[0]
	require.Equal(t, []string{"zebra", "ape"}, []string{zebra.Name, c.Entities[1].Name})
	require.Equal(t, "z a m i", strings.Join([]string{zebra.Fields[0].Name, zebra.Fields[1].Name, zebra.Fields[2].Name,
		zebra.Fields[3].Name}, " "))
	require.Equal(t, 38, zebra.Fields[0].Precision)
	require.Equal(t, 0, zebra.Fields[0].Scale)
	require.Equal(t, `{"z":1,"a":[true,null,"x<y"]}`, zebra.Fields[1].Default)
	require.Equal(t, "9223372036854775807", zebra.Fields[3].Default)
}

// A number means the same however it is written, and an editor may mark the file as UTF-8.
func TestNumbersAndMarks(t *testing.T) {
	t.Parallel()
	c, err := parse("f", []byte("\ufeff"+`
entities:
  a:
    retry: {factor: 2e0}
    fields:
      f: {type: float, min: -1e3, default: 1e3}
      j: {type: json, default: [1e3, 99999999999999999999, "1e3", 1.5e-3]}
      s: {type: string, default: 1e3}
`), nil)
	require.NoError(t, err)
	require.InDelta(t, 2, c.Entities[0].Retry.Factor, 0)
	fields := c.Entities[0].Fields
	require.Equal(t, "1000", fields[0].Default)
	require.Equal(t, `[1e3,99999999999999999999,"1e3",1.5e-3]`, fields[1].Default)
	require.Equal(t, `"1e3"`, fields[2].Default)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	entity := func(body string) string { return "entities:\n  user:\n" + body }
	fields := "    fields:\n      name: {type: string}\n"
	for _, tt := range []struct {
		name, yaml, at, reason string
	}{
		{"unknown section", "redsi: {}\n" + minimal, "1:1", `did you mean "redis"`},
		{"unknown key", "api:\n  adr: x\n" + minimal, "2:3", `api.adr: is not a setting; did you mean "addr"`},
		{"far key", "api:\n  xylophone: x\n" + minimal, "2:3", "the settings here are addr, max_body"},
		{"duplicate", "api: {}\napi: {}\n" + minimal, "2:1", "already defined"},
		{"duplicate flow", "api: {addr: a, addr: b}\n" + minimal, "1:16", "addr"},
		{"not a mapping", "api: 5\n" + minimal, "1:6", "must be a mapping"},
		{"root list", "- a\n", "1:1", "must be a mapping"},
		{"syntax", "api: [\n", "1:6", "not valid YAML"},
		{"tab", "api:\n\taddr: x\n", "2:1", "not valid YAML"},
		{"second document", minimal + "---\na: 1\n", "6", "second document"},
		{"second document after a directive", "%YAML 1.2\n---\n" + minimal + "---\na: 1\n", "8", "second document"},
		{"second document with a directive", minimal + "...\n%YAML 1.2\n---\na: 1\n", "8", "second document"},
		{"unknown version of YAML", "%YAML 2.0\n---\n" + minimal, "1:7", "unknown YAML version"},
		{"directive without a document", "%YAML 1.2\n" + minimal, "1:1", "not valid YAML"},
		{"line after a directive", "%YAML 1.2\n---\napi:\n  adr: x\n" + minimal, "4:3", "api.adr"},
		{"anchor", "api: &x {}\n" + minimal, "1:6", "anchor"},
		{"tag", "redis: {prefix: !!str x}\n" + minimal, "1:17", "tagged"},
		{"quoted int", "worker: {concurrency: \"8\"}\n" + minimal, "1:23", "must be a number, not a quoted string"},
		{"word int", "worker: {concurrency: many}\n" + minimal, "1:23", "must be a number"},
		{"octal", "worker: {concurrency: 010}\n" + minimal, "1:23", "whole number"},
		{"zero", "worker: {concurrency: 0}\n" + minimal, "1:23", "from 1 to 1024"},
		{"yes", "api: {insecure: yes}\n" + minimal, "1:17", "must be true or false, not a string"},
		{"number for text", "redis: {prefix: 5}\n" + minimal, "1:17", "must be a string, not a number"},
		{"empty value", "redis:\n  prefix:\n" + minimal, "2", "not empty"},
		{"duration unit", "redis: {timeout: 5}\n" + minimal, "1:18", "duration with its unit"},
		{"duration bound", "database: {lock_timeout: 6s}\n" + minimal, "1:26", "from 10ms to 5s"},
		{"size", "api: {max_body: 1MB}\n" + minimal, "1:17", "must be a size"},
		{"size overflow", "api: {max_body: 99999999999GiB}\n" + minimal, "1:17", "bytes"},
		{"list", "api: {cors: x}\n" + minimal, "1:13", "must be a list"},
		{"origin", "api: {cors: [https://a/b]}\n" + minimal, "1:13", "origin"},
		{"proxy", "api: {trusted_proxies: [nope]}\n" + minimal, "1:24", "network"},
		{"address", "api: {addr: localhost}\n" + minimal, "1:13", "HOST:PORT"},
		{"port", "api: {addr: \"x:99999\"}\n" + minimal, "1:13", "port"},
		{"redis scheme", "redis: {url: http://x}\n" + minimal, "1:14", "redis://"},
		{"database scheme", "database: {url: oracle://x}\n" + minimal, "1:17", "sqlite:// or postgres://"},
		{"idle over open", "database:\n  max_open: 2\n  max_idle: 3\n" + minimal, "3:3", "more than max_open"},
		{"queue weight", "worker: {queues: {default: 0}}\n" + minimal, "1:18", "weight"},
		{"no entities", "api: {}\n", "", "names no entity"},
		{"empty", "", "", "names no entity"},
		{"entity name", "entities:\n  User: {fields: {a: {type: int}}}\n", "2:3", "a to z"},
		{"entity named as a route", "entities:\n  batch: {fields: {a: {type: int}}}\n", "2:3", "word of the HTTP API"},
		{"no fields", "entities:\n  user: {table: users}\n", "2:3", "fields: there must be from 1"},
		{"field type", entity("    fields:\n      name: {type: strnig}\n"), "4:20", `did you mean "string"`},
		{"no type", entity("    fields:\n      name: {max: 5}\n"), "4:7", "needs a type"},
		{"field key", entity("    fields:\n      name: {type: string, uniqe: true}\n"), "4:28",
			`did you mean "unique"`},
		{"reserved field", entity("    fields:\n      ids: {type: string}\n"), "4:7", "none of"},
		{"default type", entity("    fields:\n      age: {type: int, default: x}\n"), "4:24", "whole number"},
		{"default bound", entity("    fields:\n      age: {type: int, max: 5, default: 6}\n"), "4:32", "too large"},
		{"default mapping", entity("    fields:\n      age: {type: int, default: {}}\n"), "4:33", "single value"},
		{"min over max", entity("    fields:\n      age: {type: int, min: 9, max: 5}\n"), "4:24", "greater than max"},
		{"min of text", entity("    fields:\n      a: {type: text, min: 9}\n"), "4:28", "min: is for int"},
		{"max of bool", entity("    fields:\n      a: {type: bool, max: 9}\n"), "4:28", "does not bound"},
		{"scale of int", entity("    fields:\n      a: {type: int, scale: 9}\n"), "4:29", "for decimal fields"},
		{"digits of a second", entity("    fields:\n      a: {type: time, precision: 7}\n"), "4:34", "from 0 to 6"},
		{"scale", entity("    fields:\n      a: {type: decimal, precision: 2, scale: 3}\n"), "4:26",
			"scale from 0 to precision"},
		{"column twice", entity("    fields:\n      a: {type: int, column: c}\n      b: {type: int, column: c}\n"),
			"5:22", "also that of a"},
		{"column with a space", entity("    fields:\n      a: {type: int, column: \"a b\"}\n"), "4:30",
			"contains a space"},
		{"column with a quote", entity("    fields:\n      a: {type: int, column: a'b}\n"), "4:30", "contains a space"},
		{"column with a point", entity("    fields:\n      a: {type: int, column: a.b}\n"), "4:30", "contains a point"},
		{"id column with a point", entity("    id: {column: a.b}\n" + fields), "3:18", "contains a point"},
		{"one column of a key", entity("    id: {columns: [a]}\n" + fields), "3:19", "two columns or more"},
		{"columns and column", entity("    id: {columns: [a, b], column: c}\n" + fields), "3:10", "there is no id.column"},
		{"key column with a point", entity("    id: {columns: [a.b, c]}\n" + fields), "3:19", "contains a point"},
		{"key of json", entity("    id: {columns: [a, b]}\n    fields:\n      a: {type: json}\n"), "3:10", "of type json"},
		{"key with a default", entity("    id: {columns: [a, b]}\n    fields:\n      a: {type: int, default: 1}\n"), "5:22",
			"a part of the key has none"},
		{"field id of a key", entity("    id: {columns: [a, id]}\n    fields:\n      id: {type: int}\n"), "5:7",
			"user_id: {column: id"},
		{"reference to a key", "entities:\n  line:\n    id: {columns: [a, b]}\n    fields:\n      c: {type: string, references: line}\n",
			"5:25", "a key of 2 columns"},
		{"table with a semicolon", entity("    table: a;b\n" + fields), "3:12", "contains a space"},
		{"id type", entity("    id: {type: float}\n" + fields), "3:16", "not one of string, int, uuid"},
		{"partitions", entity("    partitions: 0\n" + fields), "3:17", "from 1 to 1024"},
		{"write", entity("    write: behnd\n" + fields), "3:12", `did you mean "behind"`},
		{"percentage", entity("    cache: {jitter: 110%}\n" + fields), "3:21", "percentage"},
		{"ttl", entity("    cache: {ttl: 0s}\n" + fields), "3:18", "from 1s"},
		{"factor", entity("    retry:\n      factor: 0.5\n" + fields), "4:7", "from 1 to 100"},
		{"cap under base", entity("    retry:\n      base: 10m\n      cap: 1s\n" + fields), "5:7", "from base"},
		{"kind", entity("    retry:\n      on: {uniqe: {max_attempts: 3}}\n" + fields), "4:12",
			`did you mean "unique"`},
		{"override", entity("    retry:\n      on:\n        unique: {max_attempt: 3}\n" + fields), "5:18",
			`did you mean "max_attempts"`},
		{"override cap", entity("    retry:\n      on:\n        unique: {cap: 1ms}\n" + fields), "5:18", "from base"},
		{"rank", entity("    rank: {by: name}\n" + fields), "3:12", "not an int or float"},
		{"queue name", entity("    flush: {queue: A}\n" + fields), "3:20", "a to z"},
		{"own table", entity("    table: afterwrite_x\n" + fields), "3:5", "reserved"},
		{"one table", "entities:\n  a:\n    table: t\n    fields: {x: {type: int}}\n  b:\n    table: T\n    fields: {x: {type: int}}\n", "6:5", "also the table of a"},
		{"one table by name",
			"entities:\n  a:\n    table: b\n    fields: {x: {type: int}}\n  b:\n    fields: {x: {type: int}}\n", "5:3",
			"also the table of a"},
		{"reference", "entities:\n  user:\n    fields:\n      a: {type: int, references: usr}\n", "4:22",
			`did you mean "user"`},
		{"one index", "entities:\n  x:\n    table: a\n    fields: {b_c: {type: int, unique: true}}\n  y:\n    table: A_b\n    fields: {c: {type: int, unique: true}}\n", "7:29", "name of that of x.b_c"},
		{"index named as a table",
			"entities:\n  x: {table: a, fields: {b: {type: int, unique: true}}}\n  y: {table: uq_a_b, fields: {c: {type: int}}}\n", "2:41", "table of y"},
		{"quoted exponent", entity("    flush: {batch: \"1e2\"}\n" + fields), "3:20", "not a quoted string"},
		{"exponent of a whole number", entity("    flush: {batch: 1e2}\n" + fields), "3:20", "whole number"},
		{"exponent of text", entity("    fields:\n      a: {type: int, default: \"1e3\"}\n"), "4:22", "whole number"},
		{"nested lists", strings.Repeat("- ", 200_000), "1:1001", "nests deeper"},
		{"nested brackets", "entities: " + strings.Repeat("{a: ", 100_000), "1:2011", "nests deeper"},
		{"nested lines", "entities: " + strings.Repeat("[\n", 300_000), "501:1", "nests deeper"},
		{"reference type", "entities:\n  user:\n    fields:\n      a: {type: int, references: user}\n", "4:22",
			"cannot hold the id"},
		{"long index", entity("    table: " + strings.Repeat("t", 60) +
			"\n    fields:\n      name: {type: string, unique: true}\n"), "5:28", "longer than 63"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse("f.yaml", []byte(tt.yaml), nil)
			require.ErrorIs(t, err, ErrInvalid)
			if tt.at != "" {
				require.True(t, strings.HasPrefix(err.Error(), "f.yaml:"+tt.at+":"), "%v", err)
			}
			require.Contains(t, err.Error(), tt.reason)
		})
	}
}

func TestEveryFaultIsReportedInOrder(t *testing.T) {
	t.Parallel()
	_, err := parse("f",
		[]byte("api:\n  adr: x\nworker:\n  concurrency: 0\nentities:\n  user:\n    fields:\n      a: {type: nope}\n"),
		nil)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 3)
	for i, at := range []string{"f:2:", "f:4:", "f:8:"} {
		require.True(t, strings.HasPrefix(lines[i], at), lines[i])
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "nope%d: 1\n", i)
	}
	_, err := parse("f", []byte(b.String()), nil)
	require.Len(t, strings.Split(err.Error(), "\n"), maxFaults+1)
	require.Contains(t, err.Error(), "and 80 more")
}

func TestCyclicReferencesAreFine(t *testing.T) {
	t.Parallel()
	_, err := parse("f",
		[]byte("entities:\n  a: {fields: {b: {type: string, references: b}}}\n  b: {fields: {a: {type: text, references: a}}}\n"), nil)
	require.NoError(t, err)
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://u:hunter2@h", "redis://u:hunter2%zz@h"} {
		_, err := parse("f", []byte(minimal), []string{"AFTERWRITE_REDIS_URL=" + url})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.yaml")
	require.NoError(t, os.WriteFile(path, []byte(minimal), 0o600))
	c, err := Load(path, nil)
	require.NoError(t, err)
	require.Equal(t, path, c.File)

	_, err = Load(path+"x", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NotErrorIs(t, err, ErrInvalid)

	require.NoError(t, os.WriteFile(path, make([]byte, MaxFile+1), 0o600))
	_, err = Load(path, nil)
	require.ErrorContains(t, err, "larger than")
}

func TestLocate(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := Locate("", nil)
	require.ErrorIs(t, err, ErrNoFile)
	path, _ := Locate("", []string{"AFTERWRITE_CONFIG=e.yaml"})
	require.Equal(t, "e.yaml", path)
	path, _ = Locate("f.yaml", []string{"AFTERWRITE_CONFIG=e.yaml"})
	require.Equal(t, "f.yaml", path)
	require.NoError(t, os.WriteFile(DefaultFile, nil, 0o600))
	path, err = Locate("", []string{"AFTERWRITE_CONFIG="})
	require.NoError(t, err)
	require.Equal(t, DefaultFile, path)
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	c, err := parse("f", []byte("api: {addr: 127.0.0.1:1}\n"+minimal), []string{
		"HOME=/", "AFTERWRITE_CONFIG=ignored",
		"AFTERWRITE_API_ADDR=127.0.0.1:2",
		"AFTERWRITE_API_RATE_LIMIT_LIMIT=7",
		"AFTERWRITE_API_CORS=https://a.example, https://b.example",
		"AFTERWRITE_API_TRUSTED_PROXIES=",
		"AFTERWRITE_API_INSECURE=true",
		"AFTERWRITE_DATABASE_URL=postgres://u:p=q@h/d",
		"AFTERWRITE_WORKER_QUEUES=default:2,slow:1",
		"AFTERWRITE_DATABASE_BATCH=100",
	})
	require.NoError(t, err)
	require.Equal(t, 100, c.Entities[0].Flush.Batch, "at most that of the database")
	require.Equal(t, "127.0.0.1:2", c.API.Addr)
	require.Equal(t, 7, c.API.RateLimit.Limit)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, c.API.CORS)
	require.Empty(t, c.API.TrustedProxies)
	require.True(t, c.API.Insecure)
	require.Equal(t, "postgres://u:p=q@h/d", c.Database.URL)
	require.Equal(t, map[string]int{"default": 2, "slow": 1}, c.Worker.Queues)
	require.True(t, c.Named("database.url"))
	require.False(t, c.Named("redis.url"))
}

func TestEnvironmentFaults(t *testing.T) {
	t.Parallel()
	for entry, reason := range map[string]string{
		"AFTERWRITE_REDSI_URL=x":           `AFTERWRITE_REDSI_URL: is not a setting; did you mean "AFTERWRITE_REDIS_URL"?`,
		"AFTERWRITE_WORKER_CONCURRENCY=no": "AFTERWRITE_WORKER_CONCURRENCY: must be a whole number",
		"AFTERWRITE_API_CORS=x":            "AFTERWRITE_API_CORS: ",
	} {
		_, err := parse("f", []byte(minimal), []string{entry})
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, reason)
	}
}

// Each variable must stand for one setting.
func TestVariablesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, s := range Default().settings() {
		require.Empty(t, seen[VariableOf(s.path)], s.path)
		seen[VariableOf(s.path)] = s.path
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(string(Example()))
	f.Add(minimal)
	f.Add("entities: {a: {fields: {b: {type: json, default: [[[{}]]]}}}}")
	f.Add("a: &x [*x]\n")
	f.Add("? a\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse("f", []byte(text), nil)
		if err == nil && len(c.Entities) == 0 {
			t.Fatal("a configuration without entities was accepted")
		}
		var fault *Fault
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("an error without a place: %v", err)
		}
	})
}

// Partial and composite uniques, and a column of which the database has the last word.
func TestUniqueAndFromDatabase(t *testing.T) {
	c, err := parse("f",
		[]byte("entities:\n  member:\n"+
			"    unique: [[tenant, no]]\n    fields:\n      email: {type: string, unique: {where: deleted_at IS NULL}}\n"+
			"      tenant: {type: int}\n      no: {type: int}\n      seen: {type: time, from: database}\n"), nil)
	require.NoError(t, err)
	e := c.Entities[0]
	keys := e.UniqueKeys()
	require.Len(t, keys, 2)
	require.Equal(t, "deleted_at IS NULL", keys[0].Where)
	require.Equal(t, []int{1, 2}, keys[1].Fields)
	i, _ := e.Field("seen")
	require.True(t, e.Fields[i].FromDatabase)
}

func TestNoPartialIndexesOnMySQL(t *testing.T) {
	text := func(url string) []byte {
		return []byte("database: {url: \"" + url +
			"\"}\nentities:\n  member:\n    fields:\n      email: {type: string, unique: {where: gone IS NULL}}\n")
	}
	_, err := parse("f", text("mysql://root@localhost/x"), nil)
	require.ErrorContains(t, err, "f:5")
	require.ErrorContains(t, err,
		"entities.member.fields.email.unique.where: MySQL and MariaDB have no partial indexes")
	_, err = parse("f", text("postgres://localhost/x"), nil)
	require.NoError(t, err)
}

// A default follows what is set; what is set is not bent.
func TestIdleConnectionsFollowTheOpenOnes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text       string
		open, idle int
	}{
		{"", 16, 16},
		{"database: {max_open: 6}\n", 6, 6},
		{"database: {max_open: 60}\n", 60, 16},
		{"database: {max_open: 6, max_idle: 2}\n", 6, 2},
	} {
		got, err := Parse([]byte(c.text + minimal))
		require.NoError(t, err, c.text)
		require.Equal(t, c.open, got.Database.MaxOpen, c.text)
		require.Equal(t, c.idle, got.Database.MaxIdle, c.text)
	}
	got, err := LoadBuiltin([]string{"AFTERWRITE_DATABASE_MAX_OPEN=6"})
	require.NoError(t, err)
	require.Equal(t, 6, got.Database.MaxIdle)
}
