package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

func user() *schema.Entity {
	e := &schema.Entity{
		Name:  "user",
		Table: "users",
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, MaxLength: 200, Required: true},
			{Name: "age", Type: schema.Int, Min: "0", Max: "150"},
			{Name: "login_count", Type: schema.Int, Default: "0"},
			{Name: "profile", Type: schema.JSON},
		},
	}
	if err := e.Init(); err != nil {
		panic(err)
	}
	return e
}

// A whole record has every field: what is absent is the default, else null.
func ExampleEntity_Whole() {
	e := user()
	values, err := e.Whole(schema.Fields{"name": "John", "age": json.RawMessage("25")})
	fmt.Println(string(e.AppendRecord(nil, "1", values)), err)
	// Output: {"id":"1","name":"John","age":25,"login_count":0,"profile":null} <nil>
}

// The error names every field at fault.
func ExampleInvalidError() {
	_, err := user().Whole(schema.Fields{"age": 200, "nmae": "John"})
	var invalid *schema.InvalidError
	if errors.As(err, &invalid) {
		for _, f := range invalid.Fields {
			fmt.Printf("%s %s\n", f.Field, f.Reason)
		}
	}
	// Output:
	// age is too large: 200, at most 150
	// name is required
	// nmae is not a field of user
}

// Every value has one canonical text, whichever way it was spelt.
func ExampleField_Canonical() {
	for _, c := range []struct {
		field schema.Field
		value string
	}{
		{schema.Field{Type: schema.String}, `"caf\u00e9"`},
		{schema.Field{Type: schema.Int}, `9223372036854775807`},
		{schema.Field{Type: schema.Decimal, Precision: 10, Scale: 2}, `"007.5"`},
		{schema.Field{Type: schema.Time}, `"2026-01-31T12:00:00+01:00"`},
		{schema.Field{Type: schema.JSON}, `{"b": 1.00, "a": []}`},
		{schema.Field{Type: schema.Int}, `1.0`},
	} {
		fmt.Println(c.field.Canonical(json.RawMessage(c.value)))
	}
	// Output:
	// "café" <nil>
	// 9223372036854775807 <nil>
	// "7.50" <nil>
	// "2026-01-31T11:00:00Z" <nil>
	// {"b": 1.00, "a": []} <nil>
	//  must be a whole number
}

// An id that is a number has one form, however it is spelt in a path.
func ExampleEntity_CanonicalID() {
	e := &schema.Entity{
		Name:   "order",
		ID:     schema.ID{Type: schema.Int},
		Fields: []schema.Field{{Name: "total", Type: schema.Decimal}},
	}
	if err := e.Init(); err != nil {
		panic(err)
	}
	fmt.Println(e.CanonicalID("007"))
	fmt.Println(e.CanonicalID("seven"))
	// Output:
	// 7 <nil>
	//  id must be a whole number
}

// A policy can be previewed before it is trusted.
func ExampleRetryPolicy_Range() {
	p := schema.DefaultRetryPolicy()
	p.MaxAttempts, p.Cap, p.Jitter = 6, 10*time.Second, schema.JitterEqual
	for attempt := 1; attempt < p.MaxAttempts; attempt++ {
		low, high := p.Range(schema.KindUnique, attempt)
		fmt.Printf("after attempt %d: %s to %s\n", attempt, low, high)
	}
	// Output:
	// after attempt 1: 500ms to 1s
	// after attempt 2: 1s to 2s
	// after attempt 3: 2s to 4s
	// after attempt 4: 4s to 8s
	// after attempt 5: 5s to 10s
}
