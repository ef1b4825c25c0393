package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// A writer that waited learns which field the database refuses, by the name it knows.
func TestRefusalNamesTheField(t *testing.T) {
	t.Parallel()
	e := &schema.Entity{Name: "order", Fields: []schema.Field{{Name: "customer", Type: schema.String,
		Column: "customer_id"}}}
	require.NoError(t, e.Init())
	for _, c := range []struct {
		kind          schema.Kind
		column, field string
		name          string
		code          int
	}{
		{schema.KindUnique, "customer_id", "customer", "refused-unique", http.StatusConflict},
		{schema.KindForeignKey, "customer_id", "customer", "refused-foreign-key", http.StatusConflict},
		{schema.KindMissing, "", "", "refused-missing", http.StatusConflict},
		{schema.KindNotNull, "theirs", "theirs", "refused", http.StatusUnprocessableEntity},
		{schema.KindRange, "id", "id", "refused", http.StatusUnprocessableEntity},
		{schema.KindPoison, "", "", "refused", http.StatusUnprocessableEntity},
	} {
		p := problem.Of(errRefused(e, problem.Refused{Refusal: schema.Refusal{Kind: c.kind, Column: c.column},
			Version: 1, Status: schema.Held}))
		require.Equal(t, c.name, p.Name)
		require.Equal(t, c.code, p.Code)
		if c.field == "" {
			require.Empty(t, p.Fields)
			continue
		}
		require.Equal(t, c.field, p.Fields[0].Field)
	}
}

// A refusal of a write that goes to the database first is of no accepted version.
func TestARefusalOfNoVersionNamesNone(t *testing.T) {
	t.Parallel()
	refused := problem.Refused{Refusal: schema.Refusal{Kind: schema.KindUnique}}
	p := problem.Problem{Refused: &refused}
	require.NotContains(t, string(p.AppendTo(nil, "")), "version")
	require.NotContains(t, string(p.AppendTo(nil, "")), "record_status")
	refused.Version, refused.Status = 7, schema.Held
	require.Contains(t, string(p.AppendTo(nil, "")), `"version":7,"record_status":"held","refusal":`)
}
