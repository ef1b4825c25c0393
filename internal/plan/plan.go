// Package plan sizes a deployment from what it is to take: memory of Redis, processes,
// pools and disk. docs/CAPACITY.md has the formula, and a test holds the two together.
package plan

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/afterwrite/afterwrite/internal/text"
)

// sizes are the bytes of a record of six fields by the bytes of its values together, as scripts/measure-plan.sh
// measures them.
var sizes = []size{
	{60, 349, 289, 264},
	{198, 487, 429, 413},
	{396, 674, 627, 600},
	{996, 1444, 1235, 1365},
}

// size is what was measured of records of one size.
type size struct{ values, pending, file, cached float64 }

// use is the share of what was measured that a plan counts on.
const use = 0.6

// clusterCost is what the primaries of a Redis Cluster took together for a record, beside one Redis alone:
// scripts/measure-cluster.sh.
const clusterCost = 1.3

// Load is what a deployment is to take.
type Load struct {
	Writes   float64       // a second
	Hot      float64       // share of the writes that meet a record which is pending already: 0 to 1
	Size     int           // bytes of the values of a record together
	Entities int           // that share the writes evenly
	Cached   int           // persisted records that are to stay in Redis
	Outage   time.Duration // of the database, during which writes are still accepted
	Database string        // sqlite, postgres or mysql
}

// Line is one figure of a plan.
type Line struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	How   string  `json:"how"` // how it was computed, and from what
}

// Check reports a load that cannot be planned for.
func (l Load) Check() error {
	switch {
	// Not a number is neither less nor more.
	case !(l.Writes >= 1 && l.Writes <= 1e7):
		return errors.New("writes: from 1 to 10,000,000 a second")
	case !(l.Hot >= 0 && l.Hot < 1):
		return errors.New("hot: from 0% to below 100%")
	case l.Size < 1 || l.Size > 1<<20:
		return errors.New("size: from 1 byte to 1 MiB")
	case l.Entities < 1 || l.Entities > 1000:
		return errors.New("entities: from 1 to 1000")
	case l.Cached < 0 || l.Outage < time.Second || l.Outage > 7*24*time.Hour:
		return errors.New("cached: 0 or more; outage: from 1s to 168h")
	case l.Database != "sqlite" && l.Database != "postgres" && l.Database != "mysql":
		return errors.New("database: sqlite, postgres or mysql")
	}
	return nil
}

// Make plans for a load and by rates that their Check accepts.
func Make(l Load, f Rates) []Line {
	of := measured(float64(l.Size))
	persisted := l.Writes * (1 - l.Hot) // rows/s
	backlog := persisted * l.Outage.Seconds()
	dataset := backlog*of.pending + float64(l.Cached)*of.cached
	busy := (l.Writes*f.Accept + persisted*f.Flush) / 1e6
	nodes := math.Ceil(busy / use)
	if nodes > 1 {
		nodes = math.Ceil(busy * clusterCost / use)
	}
	workers, rate := l.workers(f, persisted)
	partitions := l.partitions(workers, nodes)
	apis := math.Max(2, math.Ceil(l.Writes/(use*f.Puts)))
	return []Line{
		{"rows persisted", persisted, "rows/s", "computed: writes × (1 − hot); at flush.delay 0 fewer may coalesce"},
		{"Redis processor", 100 * busy, "% of one", fmt.Sprintf("measured: %.0f µs to accept a write, %.0f µs to flush a record", f.Accept, f.Flush)},
		{"Redis primaries", nodes, "", fmt.Sprintf("computed: processor ÷ %.0f%%; above 1 a Redis or Valkey Cluster, "+
			"measured: %.1f times the processor", use*100, clusterCost)},
		{"Redis backlog", backlog * of.pending, "bytes",
			fmt.Sprintf("computed: rows/s × outage; measured: %.0f bytes a pending record", of.pending)},
		{"Redis cached", float64(l.Cached) * of.cached, "bytes",
			fmt.Sprintf("measured: %.0f bytes a persisted record", of.cached)},
		{"Redis maxmemory", dataset * 1.5 / nodes, "bytes a primary",
			"computed: backlog and cached × 1.5, ÷ primaries; the machine needs as much again while the file is rewritten"},
		{"Redis disk", dataset / of.pending * of.file * 3 / nodes, "bytes a primary",
			fmt.Sprintf("measured: %.0f bytes a record in the append-only file; computed: × 3, it doubles before it is rewritten beside the old one", of.file)},
		{"flush.max_pending", math.Ceil(backlog / float64(l.Entities)), "records an entity",
			"computed: rows/s × outage ÷ entities"},
		{"workers", workers, "", rate},
		{"partitions", partitions, "an entity",
			"computed: for eight flushes at once in every worker, four on every primary at least"},
		{"worker database.max_open", 12, "connections each", "computed: worker.concurrency 8 and four for other work"},
		{"apis", apis, "", fmt.Sprintf("measured: %s PUT/s; computed: of which %.0f%%, two at least", text.Number(int64(f.Puts)), use*100)},
		{"database connections", workers*12 + apis*16, "", "computed: workers × 12 and APIs × 16"},
		{"database growth", persisted * (float64(l.Size) + 60) * 86400, "bytes a day",
			"computed: were every row new, with 60 bytes for its head and key; indexes come on top"},
	}
}

// workers are those that persist the rows with a share of what one did.
func (l Load) workers(f Rates, persisted float64) (n float64, how string) {
	name := map[string]string{"sqlite": "SQLite", "postgres": "PostgreSQL", "mysql": "MySQL"}[l.Database]
	how = fmt.Sprintf("measured: %s rows/s, %s", text.Number(int64(f.Rows)), name)
	switch {
	case l.Database == "sqlite":
		how = fmt.Sprintf("%s, which has one writer; this is %.0f%% of it", how, 100*persisted/f.Rows)
		if persisted > use*f.Rows {
			how += fmt.Sprintf(": too much, of which %.0f%% can be counted on; take another database", use*100)
		}
		return 1, how
	case f.borrowed:
		how = fmt.Sprintf("not measured on MySQL: PostgreSQL's %s rows/s are taken", text.Number(int64(f.Rows)))
	}
	return math.Max(2, math.Ceil(persisted/(use*f.Rows))), fmt.Sprintf("%s; computed: of which %.0f%%, two at least",
		how, use*100)
}

// partitions of an entity, a power of two from 4 to 256.
func (l Load) partitions(workers, nodes float64) float64 {
	n := math.Max(workers*8/float64(l.Entities), 4*nodes)
	return math.Min(256, math.Max(4, math.Exp2(math.Ceil(math.Log2(math.Max(1, n))))))
}

// measured is a record of a size between or beyond those that were measured, on a line.
func measured(values float64) size {
	i := 1
	for i < len(sizes)-1 && sizes[i].values < values {
		i++
	}
	a, b := sizes[i-1], sizes[i]
	at := (values - a.values) / (b.values - a.values)
	line := func(from, to float64) float64 { return math.Max(from+(to-from)*at, 200) }
	return size{values, line(a.pending, b.pending), line(a.file, b.file), line(a.cached, b.cached)}
}
