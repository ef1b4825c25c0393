package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// A record that was accepted before its entity got a field leaves the field's column as
// it is: it may have been in use long before.
func TestI3FieldAddedToTheEntity(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("a", email(1), "1"), put("b", email(2), "2"), put("odd", email(3), "3"))
		b.exec("ALTER TABLE accounts ADD COLUMN phone text")
		b.exec("ALTER TABLE accounts ADD COLUMN visits text")
		b.exec("UPDATE accounts SET phone = '555', visits = CASE id WHEN 'odd' THEN 'many' ELSE '7' END")

		later := account(t)
		later.Fields = append(later.Fields, schema.Field{Name: "phone", Type: schema.String},
			schema.Field{Name: "visits", Type: schema.Int, Default: "3"})
		require.NoError(t, later.Init())
		b = open(t, url, []*schema.Entity{later})
		flushed := b.flush(later, put("a", email(1), "10", "", ""), put("b", email(2), "20", `"556"`, ""),
			put("new", email(4), "40", "", ""), put("odd", email(3), "30", "", ""),
			put("whole", email(5), "50", `"1"`, "1"))
		require.Empty(t, flushed.Refused)
		require.Equal(t, []string{"many"}, b.column("SELECT visits FROM accounts WHERE id = 'odd'"),
			"what cannot be read is left alone")
		require.Equal(t, map[string]schema.Values{
			"a":     {email(1), "10", `"555"`, "7"},
			"b":     {email(2), "20", `"556"`, "7"},
			"new":   {email(4), "40", "null", "3"},
			"whole": {email(5), "50", `"1"`, "1"},
		}, b.load(later, "a", "b", "new", "whole"))
	})
}
