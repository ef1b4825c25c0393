package producer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

const aUUID = "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"

// keyed is an entity whose key has a part of each of the types.
func keyed(t *testing.T, types ...schema.FieldType) *schema.Entity {
	e := &schema.Entity{Name: "item"}
	for i, typ := range types {
		name := string(rune('a' + i))
		e.Fields = append(e.Fields, schema.Field{Name: name, Type: typ})
		e.ID.Columns = append(e.ID.Columns, name)
	}
	e.Fields = append(e.Fields, schema.Field{Name: "n", Type: schema.Int})
	require.NoError(t, e.Init())
	return e
}

// TestKeysCannotBeChanged: the body may leave out the fields of the key, and may not differ from the id.
func TestKeysCannotBeChanged(t *testing.T) {
	e := keyed(t, schema.Int, schema.String)
	values, err := e.Whole(schema.Fields{"n": 1})
	require.NoError(t, err)
	require.NoError(t, fillKey(e, "7~x", values))
	require.Equal(t, schema.Values{"7", `"x"`, "1"}, values)

	values, err = e.Whole(schema.Fields{"a": 7, "b": "y"})
	require.NoError(t, err)
	err = fillKey(e, "7~x", values)
	require.ErrorIs(t, err, schema.ErrInvalid)
	require.ErrorContains(t, err, `b is "x" in the id`)
	_, err = e.Whole(schema.Fields{"a": nil})
	require.ErrorContains(t, err, "a is required")

	values, err = e.Partial(schema.Fields{"a": 7, "n": 2})
	require.NoError(t, err)
	require.NoError(t, dropKey(e, "7~x", values))
	require.Equal(t, schema.Values{"", "", "2"}, values)
	values, err = e.Partial(schema.Fields{"a": 8})
	require.NoError(t, err)
	require.ErrorContains(t, dropKey(e, "7~x", values), "a is 7 in the id")
	_, err = Deltas(e, schema.Fields{"a": 1})
	require.ErrorContains(t, err, "a is a part of the key")
}

// TestMadeKeys: a record that is created without an id has it from its fields; a part that is a UUID is made.
func TestMadeKeys(t *testing.T) {
	e := keyed(t, schema.Int, schema.UUID)
	made := func() (string, error) { return aUUID, nil }
	values, err := e.Whole(schema.Fields{"a": 7})
	require.NoError(t, err)
	id, err := madeKey(e, values, made)
	require.NoError(t, err)
	require.Equal(t, "7~"+aUUID, id)
	values, err = e.Whole(schema.Fields{"n": 7})
	require.NoError(t, err)
	_, err = madeKey(e, values, made)
	require.ErrorContains(t, err, "a is required: it is a part of the key a~b")
}
