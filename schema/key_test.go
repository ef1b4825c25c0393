package schema_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/afterwrite/afterwrite/schema"
)

const aUUID = "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"

// keyed is an entity whose key has a part of each of the types.
func keyed(t testing.TB, types ...schema.FieldType) *schema.Entity {
	t.Helper()
	e := &schema.Entity{Name: "item"}
	for _, typ := range types {
		name := string(rune('a' + len(e.Fields)))
		e.Fields = append(e.Fields, schema.Field{Name: name, Type: typ})
		e.ID.Columns = append(e.ID.Columns, name)
	}
	e.Fields = append(e.Fields, schema.Field{Name: "n", Type: schema.Int})
	require.NoError(t, e.Init())
	return e
}

func TestCompositeIDs(t *testing.T) {
	texts := []schema.FieldType{schema.String, schema.Text}
	for _, c := range []struct {
		types            []schema.FieldType
		in, want, reason string
	}{
		{texts, "acme~42", "acme~42", ""},
		{texts, "~", "~", ""},
		{texts, "~é", "~é", ""},
		{texts, "a/b~ c+d", "a=2Fb~=20c=2Bd", ""},
		{texts, "a=2fb~=63", "a=2Fb~c", ""},
		{texts, "=7E~=3D", "=7E~=3D", ""},
		{texts, "..~..", "..~..", ""},
		{texts, "%2F~?", "=252F~=3F", ""},
		{texts, "a,b;c~\n", "a=2Cb=3Bc~=0A", ""},
		{texts, "a", "", "has 1 parts, the key has 2: a~b"},
		{texts, "a~b~c", "", "has 3 parts"},
		{texts, "", "", "has 1 parts"},
		{texts, "a=~b", "", "two hexadecimal digits"}, {texts, "a=2~b", "", "two hexadecimal digits"},
		{texts, "a=2g~b", "", "two hexadecimal digits"},
		{texts, "a=00~b", "", "NUL"}, {texts, "a~=FF", "", "b, part 2 of a~b: is not valid UTF-8"},
		{texts, strings.Repeat("a", 1022) + "~a", strings.Repeat("a", 1022) + "~a", ""},
		{texts, strings.Repeat("a", 1023) + "~a", "", "1025 bytes, at most 1024"},
		{texts, strings.Repeat("/", 400) + "~a", "", "1202 bytes, at most 1024"},
		{texts, strings.Repeat("a", 1<<20) + "~a", "", "is too long"},
		{[]schema.FieldType{schema.Int, schema.UUID}, "007~" + strings.ToUpper(aUUID), "7~" + aUUID, ""},
		{[]schema.FieldType{schema.Int, schema.UUID}, "-0~" + aUUID, "0~" + aUUID, ""},
		{[]schema.FieldType{schema.Int, schema.UUID}, "7.0~" + aUUID, "", "a, part 1 of a~b: must be a whole number"},
		{[]schema.FieldType{schema.Int, schema.UUID}, "~" + aUUID, "", "whole number"},
		{[]schema.FieldType{schema.Int, schema.UUID}, "7~x", "", "UUID"},
		{[]schema.FieldType{schema.Int, schema.Time}, "7~2026-01-31T13:00:00.50=2B01:00", "7~2026-01-31T12:00:00.5Z", ""},
		{[]schema.FieldType{schema.Int, schema.Time}, "7~2026-01-31", "", "RFC 3339"},
	} {
		e := keyed(t, c.types...)
		got, err := e.CanonicalID(c.in)
		if c.reason != "" {
			require.ErrorIs(t, err, schema.ErrInvalid, "%.50q", c.in)
			require.ErrorContains(t, err, c.reason)
			continue
		}
		require.NoError(t, err, "%.50q", c.in)
		require.Equal(t, c.want, got)
		require.Equal(t, `"`+got+`"`, e.IDText(got))
	}
}

// TestCompositeIDsAreInjective: two different keys have different ids, an id gives back its key, and no id means
// something else behind a proxy that decodes, normalises or cuts a path.
func TestCompositeIDsAreInjective(t *testing.T) {
	e := keyed(t, schema.String, schema.Text, schema.Int, schema.Time, schema.UUID)
	hard := rapid.StringOf(rapid.SampledFrom([]rune("~=%/\\.?#;,+& \n\x7f7E3DéA-")))
	text := rapid.OneOf(hard, rapid.String()).Filter(func(s string) bool {
		return utf8.ValidString(s) && !strings.Contains(s, "\x00") && len(s) < 100
	})
	key := rapid.Custom(func(t *rapid.T) []string {
		values := make([]string, len(e.Key()))
		for n, i := range e.Key() {
			f := &e.Fields[i]
			v := goValue(f.Type)
			if f.Type == schema.String || f.Type == schema.Text {
				v = text.AsAny()
			}
			var err error
			values[n], err = f.Canonical(v.Draw(t, f.Name))
			require.NoError(t, err)
		}
		return values
	})
	rapid.Check(t, func(t *rapid.T) {
		one, other := key.Draw(t, "one"), key.Draw(t, "other")
		if rapid.Bool().Draw(t, "moved") { // a character from the end of one part to the start of the next
			copy(other, one)
			a, b := one[0], one[1]
			if inner := strings.Trim(a, `"`); inner != "" && !strings.Contains(inner, `\`) {
				_, size := utf8.DecodeLastRuneInString(inner)
				other[0] = `"` + inner[:len(inner)-size] + `"`
				other[1] = `"` + inner[len(inner)-size:] + b[1:]
			}
		}
		id := e.KeyID(one)
		canonical, err := e.CanonicalID(id)
		require.NoError(t, err)
		require.Equal(t, id, canonical)
		back, err := e.KeyValues(id)
		require.NoError(t, err)
		require.Equal(t, one, back)
		require.Equal(t, strings.Join(one, "\x00") == strings.Join(other, "\x00"), id == e.KeyID(other))
		require.False(t, strings.ContainsAny(id, "/\\%?#;,+&\"' \n\x7f"), id)
	})
}

// FuzzCompositeID: what is taken is its own canonical id, and names one key.
func FuzzCompositeID(f *testing.F) {
	entities := []*schema.Entity{keyed(f, schema.String, schema.Text), keyed(f, schema.Int, schema.UUID),
		keyed(f, schema.Time, schema.Int)}
	for _, s := range []string{"~", "a~b", "=7E~=3d", "7~" + aUUID, "2026-01-31T12:00:00Z~007", "a=00~", "=~", "~~", "\xff~"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, e := range entities {
			id, err := e.CanonicalID(in)
			if err != nil {
				require.ErrorIs(t, err, schema.ErrInvalid)
				continue
			}
			again, err := e.CanonicalID(id)
			require.NoError(t, err)
			require.Equal(t, id, again)
			texts, err := e.KeyValues(id)
			require.NoError(t, err)
			require.Equal(t, id, e.KeyID(texts))
		}
	})
}

// TestKeysAreFields: a column of a key has its field, by its column or its name, or gets one.
func TestKeysAreFields(t *testing.T) {
	e := &schema.Entity{Name: "item", ID: schema.ID{Columns: []string{"tenant_id", "id"}, Type: schema.Int},
		Fields: []schema.Field{{Name: "title", Type: schema.String}}}
	require.NoError(t, e.Init())
	require.Equal(t, []int{0, 1}, e.Key())
	require.Equal(t, "tenant_id", e.Fields[0].Name)
	require.Equal(t, "item_id", e.Fields[1].Name, "the member id is the whole key")
	require.Equal(t, "id", e.Fields[1].Column)
	require.Equal(t, schema.Int, e.Fields[1].Type)
	require.Equal(t, "tenant_id~item_id", e.KeyForm())
	id, err := e.CanonicalID("07~42")
	require.NoError(t, err)
	require.Equal(t, "7~42", id)

	e = &schema.Entity{Name: "line", ID: schema.ID{Columns: []string{"product", "ORDER_NO"}}, Fields: []schema.Field{
		{Name: "no", Column: "ORDER_NO", Type: schema.Int}, {Name: "n", Type: schema.Int},
		{Name: "product", Column: "product_id", Type: schema.UUID}}}
	require.NoError(t, e.Init())
	require.Equal(t, []int{2, 0}, e.Key())
	require.Equal(t, []string{"product_id", "ORDER_NO"}, e.KeyColumns())
	require.True(t, e.Fields[0].Required && e.Fields[2].Required)

	for reason, change := range map[string]func(e *schema.Entity){
		"2 to 8 columns":         func(e *schema.Entity) { e.ID.Columns = []string{"a"} },
		"there is no id.column":  func(e *schema.Entity) { e.ID.Column = "a" },
		`"a" is there twice`:     func(e *schema.Entity) { e.ID.Columns = []string{"a", "a"} },
		"is of type json":        func(e *schema.Entity) { e.Fields[0].Type = schema.JSON },
		"default: a part":        func(e *schema.Entity) { e.Fields[0].Default = `"x"` },
		"from: a part":           func(e *schema.Entity) { e.Fields[0].FromDatabase = true },
		"redact: the id shows":   func(e *schema.Entity) { e.Fields[0].Redact = true },
		`has the column "a b"`:   func(e *schema.Entity) { e.ID.Columns = []string{"a", "a b"} },
		"item_id: {column: id,":  func(e *schema.Entity) { e.Fields[0].Name = "id" },
		"item_id is there twice": func(e *schema.Entity) { e.ID.Columns = []string{"item_id", "id"} },
	} {
		e := &schema.Entity{Name: "item", ID: schema.ID{Columns: []string{"a", "b"}},
			Fields: []schema.Field{{Name: "a", Type: schema.String}}}
		change(e)
		require.ErrorContains(t, e.Init(), reason)
	}
}
