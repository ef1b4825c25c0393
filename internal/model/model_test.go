package model

import (
	"database/sql"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/schema"
)

func parse[T any]() (*Model, error) {
	return Parse(reflect.TypeFor[T](), gormschema.NamingStrategy{IdentifierMaxLength: 64})
}

type Base struct {
	ID        string `gorm:"primaryKey;size:64"`
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt `gorm:"index"`
}

type address struct {
	Street string `gorm:"size:100"`
	City   string
}

type company struct {
	ID   string `gorm:"primaryKey"`
	Name string
}

type person struct {
	Base
	Name      string  `gorm:"size:200;not null"`
	Email     *string `gorm:"size:320;uniqueIndex"`
	Age       int     `afterwrite:"min=0,max=150"`
	Small     int8
	Count     uint16
	Price     float64        `gorm:"precision:10;scale:2"`
	Total     string         `gorm:"type:numeric(20,4);default:0"`
	Plan      string         `gorm:"default:free"`
	Profile   map[string]any `gorm:"serializer:json"`
	Key       uuid.UUID
	Raw       [16]byte
	Nick      sql.NullString
	Home      address `gorm:"embedded;embeddedPrefix:home_"`
	Work      address `gorm:"embedded;embeddedPrefix:work_"`
	Secret    string  `afterwrite:"redact"`
	Limit     int     `afterwrite:"name=max_items"`
	Points    int64   `afterwrite:"rank"`
	SeenAt    int64   `gorm:"autoUpdateTime:milli"`
	CompanyID *string
	Company   *company
	Ignored   chan int `gorm:"-"`
}

func TestEntityOfAModel(t *testing.T) {
	m, err := parse[person]()
	require.NoError(t, err)
	e := m.Entity
	require.NoError(t, e.Init())
	require.Equal(t, "person", e.Name)
	require.Equal(t, "people", e.Table)
	require.Equal(t, schema.ID{Column: "id", Type: schema.String, Max: 64}, e.ID)
	require.Equal(t, "points", e.RankBy)
	_, ok := m.SoftDelete()
	require.True(t, ok)
	for _, want := range []schema.Field{
		{Name: "name", Type: schema.String, MaxLength: 200, Required: true},
		{Name: "email", Type: schema.String, MaxLength: 320, Unique: true},
		{Name: "age", Type: schema.Int, Min: "0", Max: "150"},
		{Name: "small", Type: schema.Int, Min: "-128", Max: "127"},
		{Name: "count", Type: schema.Int, Min: "0", Max: "65535"},
		{Name: "price", Type: schema.Decimal, Precision: 10, Scale: 2},
		{Name: "total", Type: schema.Decimal, Precision: 20, Scale: 4, Default: `"0.0000"`},
		{Name: "plan", Type: schema.Text, Default: `"free"`},
		{Name: "profile", Type: schema.JSON},
		{Name: "key", Type: schema.UUID},
		{Name: "raw", Type: schema.Bytes},
		{Name: "nick", Type: schema.Text},
		{Name: "home_street", Type: schema.String, MaxLength: 100},
		{Name: "work_city", Type: schema.Text},
		{Name: "secret", Type: schema.Text, Redact: true},
		{Name: "max_items", Column: "limit", Type: schema.Int},
		{Name: "seen_at", Type: schema.Int},
		{Name: "company_id", Type: schema.Text},
		{Name: "created_at", Type: schema.Time},
		{Name: "deleted_at", Type: schema.Time},
	} {
		i, ok := e.Field(want.Name)
		require.True(t, ok, want.Name)
		f := e.Fields[i]
		if want.Column == "" {
			want.Column = want.Name
		}
		got := schema.Field{Name: f.Name, Column: f.Column, Type: f.Type, Required: f.Required, Unique: f.Unique,
			Default: f.Default, MaxLength: f.MaxLength, Min: f.Min, Max: f.Max, Precision: f.Precision, Scale: f.Scale,
			Redact: f.Redact}
		require.Equal(t, want, got)
	}
	require.Len(t, e.Fields, 24)
	at, ok := m.Field("Work.City")
	require.True(t, ok)
	require.Equal(t, "work_city", e.Fields[at].Name)
	_, ok = m.Field("City")
	require.False(t, ok, "two fields are called so")
	at, _ = m.Field("CompanyID")
	require.Equal(t, map[int]reflect.Type{at: reflect.TypeFor[company]()}, m.References())
}

// TestThereAndBack takes values to canonical texts and back into another struct.
func TestThereAndBack(t *testing.T) {
	m, err := parse[person]()
	require.NoError(t, err)
	require.NoError(t, m.Entity.Init())
	email := "a@example.com"
	in := person{
		Name: "A", Email: &email, Age: 3, Small: -4, Price: 12.5, Total: "1.5", Profile: map[string]any{"a": "b"},
		Key: uuid.New(), Raw: [16]byte{1, 2, 3}, Nick: sql.NullString{String: "n", Valid: true},
		Home: address{City: "x"}, Work: address{Street: "y"},
	}
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC)
	require.NoError(t, m.Stamp(reflect.ValueOf(&in), at, false))
	require.Equal(t, at.Truncate(time.Microsecond), in.CreatedAt)
	require.Equal(t, at.UnixMilli(), in.SeenAt)
	fields, err := m.Fields(reflect.ValueOf(&in))
	require.NoError(t, err)
	values, err := m.Entity.Whole(fields)
	require.NoError(t, err)
	var out person
	require.NoError(t, m.Record(reflect.ValueOf(&out), "i1", values))
	in.ID, in.Plan, in.Total = "i1", "free", "1.5000"
	require.Equal(t, in, out)
}

func TestAssociationsAreNotDropped(t *testing.T) {
	m, err := parse[person]()
	require.NoError(t, err)
	_, err = m.Fields(reflect.ValueOf(&person{Company: &company{Name: "x"}}))
	require.ErrorIs(t, err, schema.ErrInvalid)
	require.ErrorContains(t, err, "Company is an association")
}

func TestValuesOfAPatch(t *testing.T) {
	m, err := parse[person]()
	require.NoError(t, err)
	require.NoError(t, m.Entity.Init())
	value := func(name string, v any) (any, error) {
		i, ok := m.Field(name)
		require.True(t, ok, name)
		return m.Value(i, v)
	}
	for name, v := range map[string][2]any{
		"Age": {37, int64(37)}, "Email": {"x", "x"}, "Nick": {"n", "n"}, "Total": {"7", "7"}, "Price": {1.25, "1.25"},
	} {
		got, err := value(name, v[0])
		require.NoError(t, err, name)
		require.Equal(t, v[1], got, name)
	}
	null, err := value("Email", nil)
	require.NoError(t, err)
	require.Nil(t, null)
	for name, v := range map[string]any{"Age": 1.5, "Small": 200, "Count": -1, "Name": struct{}{}} {
		_, err := value(name, v)
		require.ErrorIs(t, err, schema.ErrInvalid, name)
	}
}

// TestRefusals names every field at once, with its reason.
func TestRefusals(t *testing.T) {
	type bad struct {
		ID     string    `gorm:"autoIncrement"`
		Born   time.Time `gorm:"type:date"`
		Code   string    `gorm:"type:char(8)"`
		Net    string    `gorm:"type:inet"`
		Serial int       `gorm:"autoIncrement"`
		Later  int       `gorm:"<-:update"`
		Now    time.Time `gorm:"default:now()"`
		Blob   []int     `gorm:"serializer:gob"`
		Cost   float64   `gorm:"type:numeric"`
		Top    int
		Word   string `afterwrite:"colour"`
	}
	_, err := parse[bad]()
	var all *Error
	require.ErrorAs(t, err, &all)
	var names []string
	for _, f := range all.Fields {
		names = append(names, f.Field)
		require.NotEmpty(t, f.Reason)
	}
	require.Equal(t, []string{"ID", "Born", "Code", "Net", "Serial", "Later", "Now", "Blob", "Cost", "Top",
		"Word"}, names)
	require.ErrorContains(t, err, "the database counts in whole numbers")
}

// TestIDsThatTheDatabaseCounts are those that gorm would take from the database: of its sequence.
func TestIDsThatTheDatabaseCounts(t *testing.T) {
	type counted struct {
		ID uint
		N  int `gorm:"->"`
		W  int `gorm:"->:false"`
	}
	type serial struct {
		ID int64 `gorm:"type:bigserial;primaryKey"`
		N  int
	}
	type given struct {
		ID int64 `gorm:"autoIncrement:false"`
		N  int
	}
	m, err := parse[counted]()
	require.NoError(t, err)
	require.Equal(t, schema.ID{Column: "id", Type: schema.Int, Made: schema.MadeSequence}, m.Entity.ID)
	require.Len(t, m.Entity.Fields, 1)
	require.True(t, m.Entity.Fields[0].FromDatabase)
	require.Contains(t, m.Fixed(0), "read-only")
	m, err = parse[serial]()
	require.NoError(t, err)
	require.Equal(t, schema.MadeSequence, m.Entity.ID.Made)
	m, err = parse[given]()
	require.NoError(t, err)
	require.Equal(t, schema.MadeUUID, m.Entity.ID.Made)
}

// TestWhatGormRefuses is named by each field, though gorm names the first alone.
func TestWhatGormRefuses(t *testing.T) {
	type bad struct {
		ID    string `gorm:"primaryKey"`
		Tags  []string
		Extra map[string]any
		Name  string
		Top   int
		Of    *company
	}
	_, err := parse[bad]()
	var all *Error
	require.ErrorAs(t, err, &all)
	require.Len(t, all.Fields, 3)
	require.Equal(t, "Top", all.Fields[2].Field)
	require.Equal(t, "Tags", all.Fields[0].Field)
	require.Equal(t, "Extra", all.Fields[1].Field)
}

func TestKeys(t *testing.T) {
	type none struct{ Name string }
	_, err := parse[none]()
	require.ErrorContains(t, err, "no primary key")
	type counted struct {
		Tenant string `gorm:"primaryKey"`
		ID     int    `gorm:"primaryKey"`
	}
	_, err = parse[counted]()
	require.ErrorContains(t, err, "ID: the database makes this id")
	type odd struct {
		A string  `gorm:"primaryKey"`
		B float64 `gorm:"primaryKey"`
	}
	_, err = parse[odd]()
	require.ErrorContains(t, err, "B: a float cannot be a part of a key")
	type own struct {
		ID   int64 `gorm:"primaryKey;autoIncrement:false"`
		Name string
	}
	m, err := parse[own]()
	require.NoError(t, err)
	require.Equal(t, schema.Int, m.Entity.ID.Type)
	require.NoError(t, m.Entity.Init())
	id, err := m.ID(reflect.ValueOf(&own{ID: 7}))
	require.NoError(t, err)
	require.Equal(t, "7", id)
	_, err = m.NewID()
	require.ErrorIs(t, err, schema.ErrInvalid)
	type byUUID struct {
		ID   uuid.UUID `gorm:"type:uuid;default:gen_random_uuid()"`
		Name string
	}
	m, err = parse[byUUID]()
	require.NoError(t, err)
	require.NoError(t, m.Entity.Init())
	made, err := m.NewID()
	require.NoError(t, err)
	var r byUUID
	require.NoError(t, m.SetID(reflect.ValueOf(&r), made))
	require.Equal(t, made, r.ID.String())
	got, err := m.CanonicalID(r.ID)
	require.NoError(t, err)
	require.Equal(t, made, got)
	_, err = m.CanonicalID(12)
	require.ErrorIs(t, err, schema.ErrInvalid)
}

// TestIndexes: each index and check of a model is mapped, or named as left to the program.
func TestIndexes(t *testing.T) {
	type indexed struct {
		ID     string `gorm:"primaryKey"`
		Tenant string `gorm:"uniqueIndex:one"`
		No     int    `gorm:"uniqueIndex:one;check:positive,no > 0"`
		Email  string `gorm:"uniqueIndex:mail,where:deleted_at IS NULL"`
		Name   string `gorm:"index:by_name"`
		Lower  string `gorm:"uniqueIndex:lower,expression:lower(lower)"`
		Some   string `gorm:"uniqueIndex:some,where:no = 1"`
		Other  int    `gorm:"uniqueIndex:some"`
		Alone  string `gorm:"unique"`
	}
	m, err := Parse(reflect.TypeFor[indexed](), gormschema.NamingStrategy{})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"tenant", "no"}}, m.Entity.Unique)
	unique := map[string]string{}
	for _, f := range m.Entity.Fields {
		if f.Unique {
			unique[f.Name] = f.UniqueWhere
		}
	}
	require.Equal(t, map[string]string{"email": "deleted_at IS NULL", "alone": ""}, unique)
	require.ElementsMatch(t, []string{"by_name", "lower", "some", "positive"}, m.Unmade)
	m.On("mysql")
	require.Len(t, m.Unmade, 5)
	i, _ := m.Field("Email")
	require.False(t, m.Entity.Fields[i].Unique)
}

// TestDigitsOfTimes: a time keeps the digits of a second that gorm gives its column.
func TestDigitsOfTimes(t *testing.T) {
	type timed struct {
		ID    string
		Plain time.Time
		Four  time.Time    `gorm:"precision:4"`
		Typed sql.NullTime `gorm:"type:datetime"`
		Two   time.Time    `gorm:"type:timestamp(2)"`
	}
	for dialect, want := range map[string][]int{"sqlite": {6, 6, 6, 6}, "postgres": {6, 4, 6, 2}, "mysql": {3, 4, 0, 2}} {
		m, err := Parse(reflect.TypeFor[timed](), gormschema.NamingStrategy{})
		require.NoError(t, err)
		m.On(dialect)
		var got []int
		for i := range m.Entity.Fields {
			got = append(got, m.Entity.Fields[i].SecondDigits())
		}
		require.Equal(t, want, got, dialect)
	}
}
