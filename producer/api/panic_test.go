package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// faulty panics in the middle of a write.
type faulty struct{ instant }

func (faulty) Do(context.Context, producer.Request) (producer.Accepted, error) { panic("fault") }

func TestPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	e := testEntity(t)
	handler, err := New(Config{
		Producer: faulty{}, Cache: struct{ Reads }{}, Store: struct{ Lists }{}, Entities: []*schema.Entity{e},
		Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	r := httptest.NewRequest("PUT", "/v1/user/u", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), "urn:afterwrite:problem:internal")
	require.NotContains(t, w.Body.String(), "fault\"")
}
