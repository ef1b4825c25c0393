package store_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/store"
)

// exact are canonical texts of each type that a lossy path would change.
var exact = map[afterwrite.FieldType][]string{
	afterwrite.String:  {`""`, `"a"`, `"null"`, `"é 日本 🜁"`, `"e\u0301"`, `"a\"b\\c\nd\te'f` + "`" + `;--"`, `"trailing "`, `"\\u0000"`, `"007"`, `"1e5"`, `"2026-01-31 12:00:00"`},
	afterwrite.Text:    {`""`, `"` + strings.Repeat("日本", 50_000) + `"`},
	afterwrite.Int:     {"0", "-1", "9223372036854775807", "-9223372036854775808", "9007199254740993"},
	afterwrite.Float:   {"0", "0.1", "1.7976931348623157e+308", "5e-324", "-2.2250738585072014e-308", "0.30000000000000004", "123456789.12345679", "1e+21", "9007199254740993"},
	afterwrite.Decimal: {`"0.0000"`, `"-0.0001"`, `"99999999999999999999999999999999.9999"`, `"12.5000"`, `"9007199254740993.1234"`},
	afterwrite.Bool:    {"true", "false"},
	afterwrite.Time:    {`"2026-01-31T12:00:00Z"`, `"2026-01-31T12:00:00.000001Z"`, `"2026-01-31T12:00:00.9Z"`, `"0001-01-01T00:00:00Z"`, `"9999-12-31T23:59:59.999999Z"`, `"1969-12-31T23:59:59.123456Z"`},
	afterwrite.JSON:    {`{"a":[]}`, `{ "b" : 1.0,  "a": 1e400, "é":"\u00e9" }`, `1e5`, `12345678901234567890.10`, `"text"`, `true`, `[]`},
	afterwrite.Bytes:   {`""`, `"AA=="`, `"AAECAwT/"`, `"` + strings.Repeat("AAAA", 10_000) + `"`},
	afterwrite.UUID:    {`"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"`, `"00000000-0000-0000-0000-000000000000"`},
}

// everything has a field of each type, named by it.
func everything(t testing.TB) *afterwrite.Entity {
	var fields []afterwrite.Field
	for _, typ := range afterwrite.FieldTypes {
		f := afterwrite.Field{Name: "f_" + string(typ), Type: typ}
		if typ == afterwrite.Decimal {
			f.Precision, f.Scale = 36, 4
		}
		fields = append(fields, f)
	}
	return entity(t, "everything", afterwrite.String, fields...)
}

// TestI8Exact writes every awkward value of every type and reads it back.
func TestI8Exact(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := everything(t)
		b := setup(t, url, []*afterwrite.Entity{e})
		want := map[string]afterwrite.Values{}
		var changes []afterwrite.Change
		for i, f := range e.Fields {
			for n, text := range append(exact[f.Type], afterwrite.Null) {
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
		b := setup(t, url, []*afterwrite.Entity{e})
		values := nulls(e)
		for i, f := range e.Fields {
			text := exact[f.Type][0]
			if f.Type == afterwrite.Decimal {
				text = `"12.50"`
			}
			var err error
			values[i], err = f.Canonical(rawJSON(text))
			require.NoError(t, err)
		}
		b.flush(e, put("a", values...), put("b", nulls(e)...))
		require.Equal(t, map[string]afterwrite.Values{"a": values, "b": nulls(e)}, b.load(e, "a", "b"))
		i, _ := e.Field("order")
		rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{i: values[i]}})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		b.flush(e, del("a"), del("b"))
	})
}

func nulls(e *afterwrite.Entity) afterwrite.Values {
	values := make(afterwrite.Values, len(e.Fields))
	for i := range values {
		values[i] = afterwrite.Null
	}
	return values
}
