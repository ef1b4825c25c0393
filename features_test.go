package afterwrite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A feature is something that a gorm model may have: values of a struct type that is mapped,
// or the reason for which the type is refused.
type feature struct {
	name    string
	model   afterwrite.Registration
	check   func(t *testing.T, db *afterwrite.DB, g *gorm.DB) // nil where the model is refused
	migrate any
	refused string // part of the reason
}

// key is embedded in the models, so that a record of any type can be named.
type Key struct {
	ID string `gorm:"primaryKey;size:64"`
}

type keyed interface{ named() *string }

func (k *Key) named() *string { return &k.ID }

// mapped is a feature that is mapped: what gorm stores and reads of each value is what comes
// back through the cache and through the database, and is in the row.
func mapped[T any](name string, values ...T) feature {
	return feature{
		name: name, model: afterwrite.Model[T](afterwrite.Partitions(2)), migrate: new(T),
		check: func(t *testing.T, db *afterwrite.DB, g *gorm.DB) { exact(t, db, g, values) },
	}
}

// madeLater is a feature whose value the database makes: it is there once the record is persisted.
func madeLater[T any](name string, values ...T) feature {
	f := mapped(name, values...)
	f.check = func(t *testing.T, db *afterwrite.DB, g *gorm.DB) {
		var probe T
		*any(&probe).(keyed).named() = "probe"
		_, err := afterwrite.Table[T](db).Put(t.Context(), &probe)
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
		same := func() {
			var want T
			require.NoError(t, g.First(&want, "id = ?", "probe").Error)
			got, err := afterwrite.Table[T](db).Get(t.Context(), "probe")
			require.NoError(t, err)
			require.Equal(t, shown(want), shown(got.Value))
			require.NotContains(t, shown(got.Value), "V:0 ")
		}
		same() // the ack has brought the row's value
		for i, v := range values {
			id := fmt.Sprintf("later-%d", i)
			*any(&v).(keyed).named() = id
			_, err := afterwrite.Table[T](db).Put(t.Context(), &v)
			require.NoError(t, err)
			require.NoError(t, db.Flush(t.Context()))
			_, err = afterwrite.Table[T](db).Put(t.Context(), &v) // over the row
			require.NoError(t, err)
			require.NoError(t, db.Flush(t.Context()))
			require.Equal(t, row(t, g, new(T), "probe"), row(t, g, new(T), id), "left to the database")
			change := afterwrite.Set("V", reflect.ValueOf(v).FieldByName("V").Interface())
			_, err = afterwrite.Table[T](db).Patch(t.Context(), id, change)
			require.ErrorContains(t, err, "read-only (->)")
		}
		require.NoError(t, db.Drop(t.Context()))
		same()
	}
	return f
}

// counts is the check of a model whose ids the table's sequence makes.
func counts[T any](t *testing.T, db *afterwrite.DB, g *gorm.DB) {
	theirs := new(T)
	require.NoError(t, g.Create(theirs).Error)
	seen := map[any]bool{reflect.ValueOf(theirs).Elem().FieldByName("ID").Interface(): true}
	table := afterwrite.Table[T](db)
	for i := range 20 {
		ours := new(T)
		write := table.Create
		if i%2 == 0 {
			write = table.Put
		}
		written, err := write(t.Context(), ours, afterwrite.IdempotencyKey(fmt.Sprint(i)))
		require.NoError(t, err)
		id := reflect.ValueOf(ours).Elem().FieldByName("ID").Interface()
		require.False(t, seen[id], "%v was there before", id)
		seen[id] = true
		again := new(T)
		repeated, err := write(t.Context(), again, afterwrite.IdempotencyKey(fmt.Sprint(i)))
		require.NoError(t, err)
		require.Equal(t, written.ID, repeated.ID)
		require.True(t, repeated.Repeated)
		theirs := new(T)
		require.NoError(t, g.Create(theirs).Error)
		id = reflect.ValueOf(theirs).Elem().FieldByName("ID").Interface()
		require.False(t, seen[id], "%v was drawn", id)
		seen[id] = true
	}
	require.NoError(t, db.Flush(t.Context()))
	var n int64
	require.NoError(t, g.Model(new(T)).Count(&n).Error)
	require.EqualValues(t, len(seen), n)
}

func refused[T any](name, reason string) feature {
	return feature{name: name, model: afterwrite.Model[T](), refused: reason}
}

func exact[T any](t *testing.T, db *afterwrite.DB, g *gorm.DB, values []T) {
	ctx, table := t.Context(), afterwrite.Table[T](db)
	var mine, its []string
	for i, v := range values {
		theirs, ours := v, v
		*any(&theirs).(keyed).named() = fmt.Sprintf("gorm-%d", i)
		*any(&ours).(keyed).named() = fmt.Sprintf("ours-%d", i)
		require.NoError(t, g.Create(&theirs).Error)
		_, err := table.Put(ctx, &ours)
		require.NoError(t, err)
		mine, its = append(mine, *any(&ours).(keyed).named()), append(its, *any(&theirs).(keyed).named())
	}
	compare := func(where string) {
		for i := range values {
			var want T
			require.NoError(t, g.First(&want, "id = ?", its[i]).Error)
			got, err := table.Get(ctx, mine[i])
			require.NoError(t, err, where)
			require.Equal(t, shown(want), shown(got.Value), where)
		}
	}
	compare("from the cache")
	require.NoError(t, db.Flush(ctx))
	require.NoError(t, db.Drop(ctx))
	compare("from the row")
	for i := range values {
		var want, got T
		require.NoError(t, g.First(&want, "id = ?", its[i]).Error)
		require.NoError(t, g.First(&got, "id = ?", mine[i]).Error)
		require.Equal(t, shown(want), shown(got), "read by gorm")
		require.Equal(t, row(t, g, new(T), its[i]), row(t, g, new(T), mine[i]), "in the table")
	}
}

// shown spells a value so that equal ones are spelled alike: instants in UTC, and times that
// were set by themselves by whether they are.
func shown(v any) string { return show(reflect.ValueOf(v), "") }

func show(v reflect.Value, name string) string {
	if !v.IsValid() {
		return "nil"
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return "nil"
		}
		return "&" + show(v.Elem(), name)
	}
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case time.Time:
			return instant(x, name)
		case decimal.Decimal:
			return x.String()
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "ID" || !f.IsExported() && !f.Anonymous {
				continue
			}
			parts = append(parts, f.Name+"="+show(v.Field(i), f.Name))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case reflect.Slice, reflect.Map:
		if v.IsNil() {
			return "nil"
		}
		text, err := json.Marshal(v.Interface())
		return string(text) + fmt.Sprint(err)
	case reflect.Int64:
		if strings.HasPrefix(name, "Auto") {
			return fmt.Sprintf("an int of %d digits", len(fmt.Sprint(v.Int())))
		}
	}
	return fmt.Sprintf("%#v", v)
}

func instant(x time.Time, name string) string {
	if slices.Contains([]string{"CreatedAt", "UpdatedAt", "AutoTime"}, name) {
		return fmt.Sprint("now: ", time.Since(x).Abs() < time.Minute)
	}
	return x.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

// row is what the table has, as text, but for the key and the times.
func row(t *testing.T, g *gorm.DB, model any, id string) string {
	rows, err := g.Model(model).Unscoped().Where("id = ?", id).Rows()
	require.NoError(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	values, at := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		at[i] = &values[i]
	}
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(at...))
	var parts []string
	for i, v := range values {
		switch x := v.(type) {
		case time.Time:
			v = instant(x, map[string]string{"created_at": "CreatedAt", "updated_at": "UpdatedAt",
				"auto_time": "AutoTime"}[names[i]])
		case int64:
			if strings.HasPrefix(names[i], "auto") {
				v = "auto"
			}
		}
		if names[i] != "id" {
			parts = append(parts, fmt.Sprintf("%s=%T:%v", names[i], v, v))
		}
	}
	return strings.Join(parts, " ")
}

// Types of the features.
type (
	Colour string
	Level  int8
	Flags  uint16
	Tags   []string // stored as one text, with commas
	Point  struct{ X, Y int }
	Street struct {
		Name string `gorm:"size:100"`
		No   int
	}
	Audit struct {
		CreatedAt time.Time
		UpdatedAt time.Time
	}
)

// Models whose ids or values the database makes.
type (
	Serial struct {
		ID uint
		V  string
	}
	GormModel struct {
		gorm.Model
		V string
	}
	ReadOnly struct {
		Key
		V int `gorm:"->;default:7"`
	}
	NoWrite struct {
		Key
		V int `gorm:"<-:false;not null;default:7"`
	}
	ReadOnlyDate struct {
		Key
		V time.Time `gorm:"->;type:date;default:'2026-01-31'"`
	}
	NoRead struct {
		Key
		V int `gorm:"->:false"`
		W int
	}
)

func (t Tags) Value() (driver.Value, error) {
	if t == nil {
		return nil, nil
	}
	return strings.Join(t, ","), nil
}

func (t *Tags) Scan(v any) error {
	switch x := v.(type) {
	case nil:
		*t = nil
	case string:
		*t = strings.Split(x, ",")
	case []byte:
		*t = strings.Split(string(x), ",")
	}
	return nil
}

func (p Point) Value() (driver.Value, error) { b, err := json.Marshal(p); return b, err }
func (p *Point) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("Point takes bytes, not %T", v)
	}
	return json.Unmarshal(b, p)
}
func (Point) GormDataType() string { return "bytes" }

var (
	instants = time.Date(2026, 1, 31, 12, 30, 0, 123456000, time.FixedZone("", 3600))
	someUUID = uuid.MustParse("018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f")
)

func ptr[T any](v T) *T { return &v }

func features() []feature {
	type Text struct {
		Key
		V string
	}
	type Sized struct {
		Key
		V string `gorm:"size:8"`
	}
	type NotNull struct {
		Key
		V string `gorm:"not null"`
	}
	type PtrText struct {
		Key
		V *string
	}
	type Named struct {
		Key
		V Colour
	}
	type Varchar struct {
		Key
		V string `gorm:"type:varchar(32)"`
	}
	type TypeText struct {
		Key
		V string `gorm:"type:text"`
	}
	type Column struct {
		Key
		V string `gorm:"column:other_name"`
	}
	type Int struct {
		Key
		V int
	}
	type Int8 struct {
		Key
		V Level
	}
	type Int16 struct {
		Key
		V int16
	}
	type Int32 struct {
		Key
		V int32
	}
	type Int64 struct {
		Key
		V int64
	}
	type Uint16 struct {
		Key
		V Flags
	}
	type Uint32 struct {
		Key
		V uint32
	}
	type Uint64 struct {
		Key
		V uint64
	}
	type PtrInt struct {
		Key
		V *int
	}
	type TypeBigint struct {
		Key
		V int `gorm:"type:bigint"`
	}
	type Bool struct {
		Key
		V bool
	}
	type PtrBool struct {
		Key
		V *bool
	}
	type DefaultBool struct {
		Key
		V bool `gorm:"default:true"`
	}
	type Float64 struct {
		Key
		V float64 `gorm:"type:double precision"`
	}
	type Float32 struct {
		Key
		V float32 `gorm:"type:double precision"`
	}
	type DecimalText struct {
		Key
		V decimal.Decimal
	}
	type DecimalColumn struct {
		Key
		V decimal.Decimal `gorm:"type:varchar(64)"`
	}
	type NullDecimal struct {
		Key
		V decimal.NullDecimal `gorm:"type:text"`
	}
	type Time struct {
		Key
		V time.Time
	}
	type PtrTime struct {
		Key
		V *time.Time
	}
	type NullString struct {
		Key
		V sql.NullString
	}
	type NullInt64 struct {
		Key
		V sql.NullInt64
	}
	type NullInt32 struct {
		Key
		V sql.NullInt32
	}
	type NullBool struct {
		Key
		V sql.NullBool
	}
	type NullTime struct {
		Key
		V sql.NullTime
	}
	type NullFloat struct {
		Key
		V sql.NullFloat64 `gorm:"type:double precision"`
	}
	type NullOf struct {
		Key
		V sql.Null[string]
	}
	type Bytes struct {
		Key
		V []byte
	}
	type RawJSON struct {
		Key
		V json.RawMessage
	}
	type UUID struct {
		Key
		V uuid.UUID `gorm:"type:uuid"`
	}
	type UUIDText struct {
		Key
		V uuid.UUID
	}
	type PtrUUID struct {
		Key
		V *uuid.UUID
	}
	type NullUUID struct {
		Key
		V uuid.NullUUID `gorm:"type:uuid"`
	}
	type SerializedMap struct {
		Key
		V map[string]any `gorm:"serializer:json"`
	}
	type SerializedSlice struct {
		Key
		V []string `gorm:"serializer:json"`
	}
	type SerializedStruct struct {
		Key
		V Street `gorm:"serializer:json"`
	}
	type SerializedPtr struct {
		Key
		V *Street `gorm:"serializer:json"`
	}
	type SerializedNotNull struct {
		Key
		V map[string]any `gorm:"serializer:json;not null"`
	}
	type SerializedJSON struct {
		Key
		V map[string]any `gorm:"type:json;serializer:json"`
	}
	type Gob struct {
		Key
		V []int `gorm:"type:bytes;serializer:gob"`
	}
	type UnixTime struct {
		Key
		V int64 `gorm:"type:timestamp;serializer:unixtime"`
	}
	type Valuer struct {
		Key
		V Tags `gorm:"type:text"`
	}
	type BytesValuer struct {
		Key
		V Point
	}
	type Embedded struct {
		Key
		V Street `gorm:"embedded"`
	}
	type EmbeddedPrefix struct {
		Key
		Home Street `gorm:"embedded;embeddedPrefix:home_"`
		Work Street `gorm:"embedded;embeddedPrefix:work_"`
	}
	type EmbeddedPtr struct {
		Key
		V *Street `gorm:"embedded"`
	}
	type Anonymous struct {
		Key
		Audit
		V string
	}
	type SoftDelete struct {
		Key
		V         string
		DeletedAt gorm.DeletedAt `gorm:"index"`
	}
	type AutoTimes struct {
		Key
		AutoSec  int64     `gorm:"autoCreateTime"`
		AutoMs   int64     `gorm:"autoCreateTime:milli"`
		AutoNs   int64     `gorm:"autoUpdateTime:nano"`
		AutoTime time.Time `gorm:"autoUpdateTime"`
	}
	type DefaultText struct {
		Key
		V string `gorm:"default:free"`
	}
	type DefaultInt struct {
		Key
		V int `gorm:"default:18"`
	}
	type DefaultQuoted struct {
		Key
		V string `gorm:"default:'a b'"`
	}
	type DefaultNull struct {
		Key
		V string `gorm:"default:null"`
	}
	type DefaultPtr struct {
		Key
		V *int `gorm:"default:7"`
	}
	type CreateOnly struct {
		Key
		V string `gorm:"<-:create"`
	}
	type Ignored struct {
		Key
		V string
		W chan int `gorm:"-"`
		X func()   `gorm:"-:all"`
	}
	type WriteOnly struct {
		Key
		V string `gorm:"->:false;<-"`
	}
	type Unique struct {
		Key
		V *string `gorm:"unique"`
	}
	type UniqueIndex struct {
		Key
		V *string `gorm:"uniqueIndex"`
	}
	type CompositeIndex struct {
		Key
		V *string `gorm:"uniqueIndex:tenant_no"`
		W int     `gorm:"uniqueIndex:tenant_no"`
	}
	type PartialIndex struct {
		Key
		V string `gorm:"uniqueIndex:idx_live,where:w = 0"`
		W int
	}
	type Index struct {
		Key
		V string `gorm:"index:,sort:desc"`
	}
	type Check struct {
		Key
		V int `gorm:"check:v >= 0"`
	}
	type Comment struct {
		Key
		V string `gorm:"comment:what it is"`
	}
	type Owner struct {
		Key
		Name string
	}
	type BelongsTo struct {
		Key
		OwnerID *string
		Owner   *Owner
	}
	type Pets struct {
		ID      string `gorm:"primaryKey"`
		HouseID string
	}
	type House struct {
		Key
		V    string
		Pets []Pets `gorm:"foreignKey:HouseID"`
	}
	type Redacted struct {
		Key
		V string `afterwrite:"redact,max=20"`
	}
	type Ranked struct {
		Key
		V int64 `afterwrite:"rank,min=0"`
	}
	type Reserved struct {
		Key
		Limit int `afterwrite:"name=max_items"`
	}
	type Enum struct {
		Key
		V string `gorm:"type:varchar(10)" afterwrite:"text"`
	}

	type identity struct {
		ID string `gorm:"primaryKey"`
		N  int    `gorm:"autoIncrement"`
	}
	type date struct {
		Key
		V time.Time `gorm:"type:date"`
	}
	type char struct {
		Key
		V string `gorm:"type:char(8)"`
	}
	type inet struct {
		Key
		V string `gorm:"type:inet"`
	}
	type array struct {
		Key
		V []string `gorm:"type:text[]"`
	}
	type updateOnly struct {
		Key
		V int `gorm:"<-:update"`
	}
	type defaultNow struct {
		Key
		V time.Time `gorm:"default:now()"`
	}
	type plainMap struct {
		Key
		V map[string]any
	}
	type plainSlice struct {
		Key
		V []string
	}
	type complexNumber struct {
		Key
		V complex128
	}
	type noKey struct{ V string }
	type floatPart struct {
		A string  `gorm:"primaryKey"`
		B float64 `gorm:"primaryKey"`
	}
	type gobText struct {
		Key
		V []int `gorm:"serializer:gob"`
	}
	type numeric struct {
		Key
		V float64 `gorm:"type:numeric"`
	}
	type floatKey struct {
		ID float64 `gorm:"primaryKey"`
		V  string
	}
	type reservedWord struct {
		Key
		Limit int
	}
	return []feature{
		mapped("string", Text{}, Text{V: "Grüße \"'\\ 🙂"}, Text{V: " a "}),
		mapped("string with a size", Sized{V: "12345678"}, Sized{V: "ÄÖÜäöüßé"}),
		mapped("string not null", NotNull{V: ""}, NotNull{V: "x"}),
		mapped("pointer to a string", PtrText{}, PtrText{V: ptr("")}, PtrText{V: ptr("x")}),
		mapped("named string", Named{V: "red"}),
		mapped("type:varchar", Varchar{V: "x"}),
		mapped("type:text", TypeText{V: "x"}),
		mapped("column name", Column{V: "x"}),
		mapped("int", Int{}, Int{V: -1}),
		mapped("named int8", Int8{V: -128}, Int8{V: 127}),
		mapped("int16", Int16{V: -32768}),
		mapped("int32", Int32{V: 1<<31 - 1}),
		mapped("int64", Int64{V: 1<<63 - 1}, Int64{V: -1 << 63}, Int64{V: 1<<53 + 1}),
		mapped("named uint16", Uint16{V: 65535}),
		mapped("uint32", Uint32{V: 1<<31 - 1}),
		mapped("uint64", Uint64{V: 1<<63 - 1}),
		mapped("pointer to an int", PtrInt{}, PtrInt{V: ptr(0)}),
		mapped("type:bigint", TypeBigint{V: 7}),
		mapped("bool", Bool{}, Bool{V: true}),
		mapped("pointer to a bool", PtrBool{}, PtrBool{V: ptr(false)}),
		mapped("default of a bool", DefaultBool{}, DefaultBool{V: true}),
		mapped("float64", Float64{V: 0.1}, Float64{V: 1e300}, Float64{V: -2.5e-8}),
		mapped("float32", Float32{V: 0.1}),
		mapped("decimal type as text", DecimalText{V: decimal.RequireFromString("12.50")}, DecimalText{}),
		mapped("decimal type in a varchar",
			DecimalColumn{V: decimal.RequireFromString("79228162514264337593543950335.123456789")}),
		mapped("null decimal", NullDecimal{}, NullDecimal{V: decimal.NewNullDecimal(decimal.New(5, 2))}),
		mapped("time", Time{V: instants}, Time{V: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}),
		mapped("pointer to a time", PtrTime{}, PtrTime{V: &instants}),
		mapped("sql.NullString", NullString{}, NullString{V: sql.NullString{String: "x", Valid: true}}),
		mapped("sql.NullInt64", NullInt64{}, NullInt64{V: sql.NullInt64{Int64: 1 << 60, Valid: true}}),
		mapped("sql.NullInt32", NullInt32{}, NullInt32{V: sql.NullInt32{Int32: 5, Valid: true}}),
		mapped("sql.NullBool", NullBool{}, NullBool{V: sql.NullBool{Valid: true}}),
		mapped("sql.NullTime", NullTime{}, NullTime{V: sql.NullTime{Time: instants, Valid: true}}),
		mapped("sql.NullFloat64", NullFloat{}, NullFloat{V: sql.NullFloat64{Float64: 0.3, Valid: true}}),
		mapped("sql.Null", NullOf{}, NullOf{V: sql.Null[string]{V: "x", Valid: true}}),
		mapped("bytes", Bytes{}, Bytes{V: []byte{0, 1, 255}}),
		mapped("json.RawMessage", RawJSON{V: json.RawMessage(`{"a": 1}`)}),
		mapped("uuid in a uuid column", UUID{V: someUUID}),
		mapped("uuid as text", UUIDText{V: someUUID}, UUIDText{}),
		mapped("pointer to a uuid", PtrUUID{}, PtrUUID{V: &someUUID}),
		mapped("uuid.NullUUID", NullUUID{}, NullUUID{V: uuid.NullUUID{UUID: someUUID, Valid: true}}),
		mapped("serializer:json of a map", SerializedMap{}, SerializedMap{V: map[string]any{"a": []any{1.5, nil}}}),
		mapped("serializer:json of a slice", SerializedSlice{}, SerializedSlice{V: []string{"a", ""}}),
		mapped("serializer:json of a struct", SerializedStruct{V: Street{Name: "x", No: 1}}),
		mapped("serializer:json of a pointer", SerializedPtr{}, SerializedPtr{V: &Street{No: 2}}),
		mapped("serializer:json not null", SerializedNotNull{}, SerializedNotNull{V: map[string]any{"a": "b"}}),
		mapped("serializer:json in a json column", SerializedJSON{}, SerializedJSON{V: map[string]any{"a": "b"}}),
		mapped("serializer:gob in bytes", Gob{V: []int{1, 2}}),
		mapped("serializer:unixtime", UnixTime{V: 1769853600}),
		mapped("Valuer and Scanner of a text", Valuer{}, Valuer{V: Tags{"a", "b"}}),
		mapped("Valuer and Scanner of bytes", BytesValuer{V: Point{1, 2}}),
		mapped("embedded", Embedded{V: Street{Name: "x", No: 1}}),
		mapped("embedded twice with prefixes", EmbeddedPrefix{Home: Street{Name: "x"}, Work: Street{No: 9}}),
		mapped("embedded pointer", EmbeddedPtr{V: &Street{Name: "x"}}),
		mapped("anonymous struct with times", Anonymous{V: "x"}),
		mapped("gorm.DeletedAt", SoftDelete{V: "x"}),
		mapped("times set by themselves", AutoTimes{}),
		mapped("default of a text", DefaultText{}, DefaultText{V: "paid"}),
		mapped("default of an int", DefaultInt{}, DefaultInt{V: 3}),
		mapped("quoted default", DefaultQuoted{}),
		mapped("default:null", DefaultNull{}, DefaultNull{V: "x"}),
		mapped("default of a pointer", DefaultPtr{}, DefaultPtr{V: ptr(0)}),
		mapped("<-:create", CreateOnly{V: "x"}),
		mapped("ignored fields", Ignored{V: "x"}),
		mapped("write-only", WriteOnly{V: "x"}),
		mapped("unique", Unique{}, Unique{}),
		mapped("uniqueIndex", UniqueIndex{}, UniqueIndex{}),
		mapped("uniqueIndex of several columns", CompositeIndex{W: 1}),
		mapped(partial, PartialIndex{V: "a", W: 1}, PartialIndex{V: "a", W: 2}),
		mapped("index", Index{V: "x"}),
		mapped("check", Check{V: 1}),
		mapped("comment", Comment{V: "x"}),
		mapped("belongs to", BelongsTo{}),
		mapped("has many", House{V: "x"}),
		mapped("afterwrite: redact and max", Redacted{V: "x"}),
		mapped("afterwrite: rank and min", Ranked{V: 5}),
		mapped("afterwrite: name", Reserved{Limit: 5}),
		mapped("afterwrite: text", Enum{V: "x"}),

		{name: "id that the database counts", model: afterwrite.Model[Serial](), migrate: new(Serial), check: counts[Serial]},
		{name: "gorm.Model", model: afterwrite.Model[GormModel](), migrate: new(GormModel), check: counts[GormModel]},
		madeLater("read-only", ReadOnly{V: 5}),
		madeLater("<-:false", NoWrite{V: 5}),
		madeLater("read-only date", ReadOnlyDate{V: instants}),
		mapped("->:false", NoRead{V: 5}),
		refused[identity]("autoIncrement", "the database makes its value"),
		refused[date]("type:date", "no time of day"),
		refused[char]("type:char", "pads"),
		refused[inet]("type:inet", `"inet"`),
		refused[array]("type:text[]", "text[]"),
		refused[updateOnly]("<-:update", "when a record is created"),
		refused[defaultNow]("default:now()", "made by the database"),
		refused[plainMap]("map without a serializer", "no column for a map"),
		refused[plainSlice]("slice without a serializer", "no column for a []string"),
		refused[complexNumber]("complex number", "no column for a complex128"),
		refused[noKey]("no key", "no primary key"),
		refused[floatPart]("part of a key of a float", "cannot be a part of a key"),
		refused[gobText]("serializer:gob in a text", "type:bytes"),
		refused[numeric]("numeric without digits", "without digits"),
		refused[floatKey]("key of a float", "cannot be a key"),
		refused[reservedWord]("name that the API has", "word of the HTTP API"),
	}
}

// partial is the feature that MySQL lacks.
const partial = "uniqueIndex with a condition"

func TestFeaturesOfModels(t *testing.T) {
	all := features()
	require.GreaterOrEqual(t, len(all), 60)
	testkit.Databases(t, func(t *testing.T, url string) {
		var models []afterwrite.Registration
		var tables []any
		for _, f := range all {
			if f.refused == "" {
				models, tables = append(models, f.model), append(tables, f.migrate)
			}
		}
		g := gormOf(t, url)
		require.NoError(t, g.AutoMigrate(tables...))
		cfg := afterwrite.Config{DatabaseURL: url}
		if g.Name() == "mysql" { // here alone a pool of the program's goes another way than one of a URL
			cfg = afterwrite.Config{GORM: g}
		}
		db := openOn(t, cfg, models...)
		for _, f := range all {
			if f.name == partial && g.Name() == "mysql" {
				continue // it has no such indexes, nor has gorm there
			}
			t.Run(f.name, func(t *testing.T) {
				if f.refused == "" {
					f.check(t, db, g)
					return
				}
				_, err := afterwrite.Open(t.Context(), afterwrite.Config{RedisURL: testkit.SharedRedis(t).URL(),
					DatabaseURL: url}, f.model)
				require.ErrorContains(t, err, f.refused)
			})
		}
	})
}

func gormOf(t *testing.T, url string) *gorm.DB {
	dialect := postgres.Open(url)
	if file, ok := strings.CutPrefix(url, "sqlite://"); ok {
		dialect = sqlite.Open("file:" + file + "?_busy_timeout=30000")
	}
	if strings.HasPrefix(url, "mysql://") {
		dialect = gormmysql.Open(mysqlDSN(url, "parseTime=true&clientFoundRows=true&time_zone=%27%2B00%3A00%27"))
	}
	g, err := gorm.Open(dialect, &gorm.Config{Logger: logger.Discard,
		NamingStrategy: gormschema.NamingStrategy{IdentifierMaxLength: 64}})
	require.NoError(t, err)
	if dialect.Name() == "mysql" { // ids that differ in case are different ids
		g = g.Set("gorm:table_options", "CHARACTER SET utf8mb4 COLLATE "+testkit.ExactCollation).Session(&gorm.Session{})
	}
	t.Cleanup(func() {
		if pool, err := g.DB(); err == nil {
			_ = pool.Close()
		}
	})
	return g
}

// mysqlDSN is the driver's name for the database of a URL of the test servers.
func mysqlDSN(url, options string) string {
	address := strings.TrimPrefix(url, "mysql://root@")
	host, name, _ := strings.Cut(address, "/")
	return "root@tcp(" + host + ")/" + name + "?" + options
}

// open opens models on a real Redis and works until the test ends.
func open(t *testing.T, url string, models ...afterwrite.Registration) *afterwrite.DB {
	t.Helper()
	return openOn(t, afterwrite.Config{DatabaseURL: url}, models...)
}

// openOn does so on the database of cfg.
func openOn(t *testing.T, cfg afterwrite.Config, models ...afterwrite.Registration) *afterwrite.DB {
	t.Helper()
	cfg.RedisURL, cfg.Prefix = testkit.SharedRedis(t).URL(), testkit.Prefix(t)
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	db, err := afterwrite.Open(t.Context(), cfg, models...)
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context()))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- db.Work(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, db.Close())
	})
	return db
}
