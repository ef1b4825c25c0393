package store_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// exact are canonical texts of each type that a lossy path would change.
var exact = map[schema.FieldType][]string{
	schema.String: {`""`, `"a"`, `"null"`, `"é 日本 🜁"`, `"e\u0301"`, `"a\"b\\c\nd\te'f` + "`" + `;--"`, `"trailing "`,
		`"\\u0000"`, `"007"`, `"1e5"`, `"2026-01-31 12:00:00"`},
	schema.Text: {`""`, `"` + strings.Repeat("日本", 50_000) + `"`},
	schema.Int:  {"0", "-1", "9223372036854775807", "-9223372036854775808", "9007199254740993"},
	schema.Float: {"0", "0.1", "1.7976931348623157e+308", "5e-324", "-2.2250738585072014e-308", "0.30000000000000004",
		"123456789.12345679", "1e+21", "9007199254740993"},
	schema.Decimal: {`"0.0000"`, `"-0.0001"`, `"99999999999999999999999999999999.9999"`, `"12.5000"`,
		`"9007199254740993.1234"`},
	schema.Bool: {"true", "false"},
	schema.Time: {`"2026-01-31T12:00:00Z"`, `"2026-01-31T12:00:00.000001Z"`, `"2026-01-31T12:00:00.9Z"`,
		`"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.999999Z"`, `"1969-12-31T23:59:59.123456Z"`},
	schema.JSON: {`{"a":[]}`, `{ "b" : 1.0,  "a": 1e400, "é":"\u00e9" }`, `1e5`, `12345678901234567890.10`, `"text"`,
		`true`, `[]`},
	schema.Bytes: {`""`, `"AA=="`, `"AAECAwT/"`, `"` + strings.Repeat("AAAA", 10_000) + `"`},
	schema.UUID:  {`"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"`, `"00000000-0000-0000-0000-000000000000"`},
}

// everything has a field of each type, named by it.
func everything(t testing.TB) *schema.Entity {
	var fields []schema.Field
	for _, typ := range schema.FieldTypes {
		f := schema.Field{Name: "f_" + string(typ), Type: typ}
		if typ == schema.Decimal {
			f.Precision, f.Scale = 36, 4
		}
		fields = append(fields, f)
	}
	return entity(t, "everything", schema.String, fields...)
}

// TestI8Exact writes every awkward value of every type and reads it back.
func TestI8Exact(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := everything(t)
		b := setup(t, url, []*schema.Entity{e})
		want := map[string]schema.Values{}
		var changes []schema.Change
		for i, f := range e.Fields {
			for n, text := range append(exact[f.Type], schema.Null) {
				canonical, err := f.Canonical(rawJSON(text))
				require.NoError(t, err, "%s %s", f.Name, text)
				values := nulls(e)
				values[i] = canonical
				id := f.Name + strconv.Itoa(n)
				want[id] = values
				changes = append(changes, put(id, values...))
			}
		}
		require.Empty(t, b.flush(e, changes...).Refused)
		require.Equal(t, want, b.load(e, ids(changes)...))
		require.Empty(t, b.flush(e, changes...).Refused, "a second time")
		require.Equal(t, want, b.load(e, ids(changes)...))

		rows, err := b.List(t.Context(), e, listAll)
		require.NoError(t, err)
		require.Len(t, rows, len(want))
		for i, row := range rows {
			require.Equal(t, want[row.ID], row.Values)
			if i > 0 {
				require.Less(t, rows[i-1].ID, row.ID)
			}
		}
	})
}

// TestI8WordsOfSQL: columns may be named like words of SQL, and apart from fields.
func TestI8WordsOfSQL(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := testkit.Entity(t, "everything")
		b := setup(t, url, []*schema.Entity{e})
		values := nulls(e)
		for i, f := range e.Fields {
			text := exact[f.Type][0]
			if f.Type == schema.Decimal {
				text = `"12.50"`
			}
			var err error
			values[i], err = f.Canonical(rawJSON(text))
			require.NoError(t, err)
		}
		b.flush(e, put("a", values...), put("b", nulls(e)...))
		require.Equal(t, map[string]schema.Values{"a": values, "b": nulls(e)}, b.load(e, "a", "b"))
		i, _ := e.Field("order")
		rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{i: values[i]}})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		b.flush(e, del("a"), del("b"))
	})
}

func nulls(e *schema.Entity) schema.Values {
	values := make(schema.Values, len(e.Fields))
	for i := range values {
		values[i] = schema.Null
	}
	return values
}
