package shop

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/alexedwards/scs/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/afterwritetest"
)

// TestViewsCount needs no server: Redis is in memory, the database a temporary file.
func TestViewsCount(t *testing.T) {
	aw := afterwritetest.New(t, afterwrite.Model[Product]())
	s := (&Shop{sessions: scs.New(), registry: prometheus.NewRegistry()}).on(aw)
	if _, err := s.products.Put(t.Context(), &Product{ID: "tea", Name: "Tea"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		answer := httptest.NewRecorder()
		s.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/products/tea", nil))
		if answer.Code != http.StatusOK {
			t.Fatal(answer.Body)
		}
	}
	afterwritetest.Flush(t, aw)
	var views int
	if err := afterwritetest.SQL(t,
		aw).QueryRow("SELECT views FROM products WHERE id = 'tea'").Scan(&views); err != nil || views != 3 {
		t.Fatal(views, err)
	}
}
