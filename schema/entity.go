package schema

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cespare/xxhash/v2"
)

// Bounds that Init alone checks. maxRankScore bounds an int field that ranks its records: Redis orders
// by doubles, which are exact up to this value. It is the default of the field's min and max.
const (
	maxFields     = 500           // of one entity
	maxMaxPending = 1_000_000_000 // largest flush.max_pending
	maxRankScore  = 1<<53 - 1
)

// WriteMode says whether a write goes to Redis or to the database first.
type WriteMode string

// The write modes.
const (
	WriteBehind  WriteMode = "behind"  // Redis first, the database soon after
	WriteThrough WriteMode = "through" // the database first, then the cache
	WriteAround  WriteMode = "around"  // the database first; the record is dropped from the cache
)

// ID describes the ids of an entity's records.
type ID struct {
	Column  string
	Columns []string  // of a composite key, instead of Column, each that of a field
	Type    FieldType // String, Int or UUID; of a composite key that of columns without a field
	Max     int       // bytes of a String id
	Made    Made      // where a record is created without an id
}

// Made says how ids are made.
type Made string

// The ways to make an id.
const (
	MadeUUID     Made = ""         // a UUID of version 7; Int ids are not made
	MadeSequence Made = "sequence" // the next number of the column's own sequence; Int ids alone
)

// FlushPolicy bounds an entity's flushes and its backlog.
type FlushPolicy struct {
	Batch      int           // records of one flush
	Delay      time.Duration // of a flush, so that later writes of its rows coalesce
	MaxPending int           // pending, held and dead records of the entity
	Queue      string        // asynq queue of its sync tasks
}

// CachePolicy says how long persisted records stay in Redis.
type CachePolicy struct {
	TTL         time.Duration
	Jitter      float64       // share of TTL that is random, 0 to 1
	NegativeTTL time.Duration // of a deleted record, and of a cached absence
	Adaptive    []AgedTTL     // replaces TTL, oldest first
	ChangedBy   string        // time field of the last change; required by Adaptive
	L1          L1            // what a process keeps in its own memory
}

// Entity is a kind of record. After [Entity.Init] it is read-only and safe for concurrent use.
type Entity struct {
	Name       string
	Table      string
	ID         ID
	Fields     []Field
	Unique     [][]string // sets of fields, two or more, that are unique together
	Write      WriteMode
	Partitions int
	Flush      FlushPolicy
	Cache      CachePolicy
	Retry      RetryPolicy
	RankBy     string // int or float field that ranks the records, the greatest first; or ""

	index   map[string]int // field name → position in Fields
	key     []int          // positions in Fields of a composite key's parts
	renamed []int          // positions in Fields of those that have a former name
}

// Reserved lists names that a field cannot have: words of the HTTP API.
var Reserved = []string{"id", "ids", "limit", "after", "top", "around"}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// ValidName reports whether s can name an entity or a field.
func ValidName(s string) bool { return nameForm.MatchString(s) }

// sqlName reports whether every database accepts s as the name of a table or column.
func sqlName(s string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return s != "" && len(s) <= MaxNameBytes && !strings.ContainsFunc(s, unprintable)
}

var errNil = errors.New("an entity is nil")

// Ready returns an error unless Init has run successfully.
func (e *Entity) Ready() error {
	if e == nil {
		return errNil
	}
	if e.index == nil {
		return fmt.Errorf("entity %q is not complete: call its Init, once, before anything else is given it", e.Name)
	}
	return nil
}

// Init sets the defaults and checks the entity. Its error names settings of the YAML.
func (e *Entity) Init() error {
	if e == nil {
		return errNil
	}
	if !ValidName(e.Name) {
		return fmt.Errorf("entity %q: a name is a to z, then a to z, 0 to 9 and _", e.Name)
	}
	e.defaults()
	if err := e.addKey(); err != nil {
		return fmt.Errorf("entity %s: %w", e.Name, err)
	}
	if err := e.check(); err != nil {
		return fmt.Errorf("entity %s: %w", e.Name, err)
	}
	if err := e.initFields(); err != nil {
		return fmt.Errorf("entity %s: fields.%w", e.Name, err)
	}
	if err := e.initKey(); err != nil {
		return fmt.Errorf("entity %s: %w", e.Name, err)
	}
	if err := e.checkAdaptive(); err != nil {
		return fmt.Errorf("entity %s: cache.%w", e.Name, err)
	}
	if err := e.initRenamed(); err != nil {
		return fmt.Errorf("entity %s: fields.%w", e.Name, err)
	}
	if err := e.checkUnique(); err != nil {
		return fmt.Errorf("entity %s: %w", e.Name, err)
	}
	if err := e.checkRank(); err != nil {
		return fmt.Errorf("entity %s: %w", e.Name, err)
	}
	return nil
}

// initFields checks the fields and fills the index. The error begins with the field's name.
func (e *Entity) initFields() error {
	e.index = make(map[string]int, len(e.Fields))
	columns := map[string]string{}
	if !e.ID.Composite() {
		columns[strings.ToLower(e.ID.Column)] = "id"
	}
	for i := range e.Fields {
		f := &e.Fields[i]
		if f.Name == e.RankBy && f.Type == Int {
			setDefault(&f.Min, strconv.Itoa(-maxRankScore))
			setDefault(&f.Max, strconv.Itoa(maxRankScore))
		}
		if err := f.init(); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if _, ok := e.index[f.Name]; ok {
			return fmt.Errorf("%s is there twice", f.Name)
		}
		column := strings.ToLower(f.Column) // SQLite does not distinguish a from A
		if other, ok := columns[column]; ok {
			return fmt.Errorf("%s: column %q is also that of %s", f.Name, f.Column, other)
		}
		if name := e.uniqueIndex(f); f.Unique && len(name) > MaxNameBytes {
			return fmt.Errorf("%s: unique: the index's name %q is longer than %d bytes", f.Name, name, MaxNameBytes)
		}
		e.index[f.Name] = i
		columns[column] = f.Name
	}
	return nil
}

func (e *Entity) checkRank() error {
	if e.RankBy == "" {
		return nil
	}
	i, ok := e.index[e.RankBy]
	if !ok || (e.Fields[i].Type != Int && e.Fields[i].Type != Float) {
		return fmt.Errorf("rank.by: %q is not an int or float field", e.RankBy)
	}
	low, high := e.Fields[i].IntBounds()
	if e.Fields[i].Type == Int && (low < -maxRankScore || high > maxRankScore) {
		return fmt.Errorf("fields.%s: min and max must be within ±%d, for it ranks the records", e.RankBy, maxRankScore)
	}
	return nil
}

func (e *Entity) defaults() {
	setDefault(&e.Table, e.Name)
	if e.ID.Made == MadeSequence {
		setDefault(&e.ID.Type, Int)
	}
	setDefault(&e.ID.Type, String)
	if e.ID.Composite() {
		setDefault(&e.ID.Max, MaxIDBytes)
	} else {
		setDefault(&e.ID.Column, "id")
		setDefault(&e.ID.Max, 255)
	}
	setDefault(&e.Write, WriteBehind)
	setDefault(&e.Partitions, 16)
	setDefault(&e.Flush.Batch, 500)
	setDefault(&e.Flush.MaxPending, 1_000_000)
	setDefault(&e.Flush.Queue, "default")
	setDefault(&e.Cache.TTL, time.Hour)
	setDefault(&e.Cache.NegativeTTL, 30*time.Second)
	r := DefaultRetryPolicy()
	setDefault(&e.Retry.MaxAttempts, r.MaxAttempts)
	setDefault(&e.Retry.Base, r.Base)
	setDefault(&e.Retry.Factor, r.Factor)
	setDefault(&e.Retry.Cap, max(r.Cap, e.Retry.Base))
	setDefault(&e.Retry.Jitter, r.Jitter)
	setDefault(&e.Retry.Timeout, r.Timeout)
}

func setDefault[T comparable](at *T, value T) {
	var zero T
	if *at == zero {
		*at = value
	}
}

func (e *Entity) check() error {
	switch {
	case !sqlName(e.Table):
		return fmt.Errorf("table: %q is not 1 to %d bytes of printable text", e.Table, MaxNameBytes)
	case !e.ID.Composite() && !sqlName(e.ID.Column):
		return fmt.Errorf("id.column: %q is not 1 to %d bytes of printable text", e.ID.Column, MaxNameBytes)
	case e.ID.Type != String && e.ID.Type != Int && e.ID.Type != UUID:
		return fmt.Errorf("id.type: %q is not string, int or uuid", e.ID.Type)
	case e.ID.Made != MadeUUID && e.ID.Made != MadeSequence:
		return fmt.Errorf("id.made: %q is not sequence", e.ID.Made)
	case e.ID.Made == MadeSequence && e.ID.Composite():
		return fmt.Errorf("id.made: a sequence makes an id of one column; give each record its key")
	case e.ID.Made == MadeSequence && e.ID.Type != Int:
		return fmt.Errorf("id.made: a sequence makes ids of type int, not %s", e.ID.Type)
	case e.ID.Max < 1 || e.ID.Max > MaxIDBytes:
		return fmt.Errorf("id.max must be from 1 to %d bytes", MaxIDBytes)
	case len(e.Fields) == 0 || len(e.Fields) > maxFields:
		return fmt.Errorf("fields: there must be from 1 to %d", maxFields)
	case !slices.Contains([]WriteMode{WriteBehind, WriteThrough, WriteAround}, e.Write):
		return fmt.Errorf("write: %q is not behind, through or around", e.Write)
	case e.Partitions < 1 || e.Partitions > MaxPartitions:
		return fmt.Errorf("partitions must be from 1 to %d", MaxPartitions)
	case e.Flush.Batch < 1 || e.Flush.Batch > MaxFlushBatch:
		return fmt.Errorf("flush.batch must be from 1 to %d records", MaxFlushBatch)
	case e.Flush.Delay < 0 || e.Flush.Delay > time.Hour:
		return fmt.Errorf("flush.delay must be from 0s to 1h")
	case e.Flush.MaxPending < 1 || e.Flush.MaxPending > maxMaxPending:
		return fmt.Errorf("flush.max_pending must be from 1 to %d", maxMaxPending)
	case !ValidName(e.Flush.Queue):
		return fmt.Errorf("flush.queue: a name is a to z, then a to z, 0 to 9 and _")
	case e.Cache.TTL < time.Second:
		return fmt.Errorf("cache.ttl must be at least 1s")
	case !(e.Cache.Jitter >= 0 && e.Cache.Jitter <= 1): // false for NaN too
		return fmt.Errorf("cache.jitter must be from 0%% to 100%%")
	case e.Cache.NegativeTTL < time.Millisecond:
		return fmt.Errorf("cache.negative_ttl must be at least 1ms")
	}
	if err := e.Cache.L1.Check(); err != nil {
		return fmt.Errorf("cache.%w", err)
	}
	if err := e.Retry.Check(); err != nil {
		return fmt.Errorf("retry.%w", err)
	}
	return nil
}

// Field returns the position of the field with this name.
func (e *Entity) Field(name string) (int, bool) {
	i, ok := e.index[name]
	return i, ok
}

// Renamed returns the positions of the fields that have a former name.
func (e *Entity) Renamed() []int { return e.renamed }

// FieldOf returns the position of the field that has or had that name.
func (e *Entity) FieldOf(name string) (int, bool) {
	if i, ok := e.index[name]; ok {
		return i, true
	}
	for _, i := range e.renamed {
		if e.Fields[i].RenamedFrom == name {
			return i, true
		}
	}
	return 0, false
}

// initRenamed lists the former names. The error begins with the field's name.
func (e *Entity) initRenamed() error {
	e.renamed = nil
	for i := range e.Fields {
		f := &e.Fields[i]
		if f.RenamedFrom == "" {
			continue
		}
		if _, ok := e.index[f.RenamedFrom]; ok {
			return fmt.Errorf("%s.renamed_from: %q is a field of its own", f.Name, f.RenamedFrom)
		}
		if slices.ContainsFunc(e.renamed, func(i int) bool { return e.Fields[i].RenamedFrom == f.RenamedFrom }) {
			return fmt.Errorf("%s.renamed_from: %q is the former name of two fields", f.Name, f.RenamedFrom)
		}
		e.renamed = append(e.renamed, i)
	}
	return nil
}

// Partition returns the partition of a canonical id. It panics without Init.
func (e *Entity) Partition(id string) int {
	if e.Partitions < 1 {
		panic(e.Ready())
	}
	return int(xxhash.Sum64String(id) % uint64(e.Partitions))
}

// PartitionLimit returns the records, a quarter above the share of MaxPending, at which a partition rejects new ids.
func (e *Entity) PartitionLimit() int {
	return (e.Flush.MaxPending*5 + e.Partitions*4 - 1) / (e.Partitions * 4)
}
