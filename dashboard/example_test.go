package dashboard_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/alicebob/miniredis/v2"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/dashboard"
)

// The pages below a program's own log-in, which names the person and the role of a request.
func ExampleRole() {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	dir, err := os.MkdirTemp("", "dashboard")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	type Order struct {
		ID    string `gorm:"primaryKey"`
		Total int64
	}
	aw, err := afterwrite.Open(context.Background(), afterwrite.Config{RedisURL: "redis://" + server.Addr(),
		DatabaseURL: "sqlite://" + filepath.Join(dir, "example.db"), Logger: slog.New(slog.DiscardHandler)},
		afterwrite.Model[Order]())
	if err != nil {
		panic(err)
	}
	defer aw.Close()
	who := func(r *http.Request) (string, dashboard.Role) {
		if name, _, ok := r.BasicAuth(); ok {
			return name, dashboard.Viewer
		}
		return "", ""
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/afterwrite/", aw.Dashboard(afterwrite.DashboardConfig{Who: who}))
	for _, name := range []string{"", "ada"} {
		r := httptest.NewRequest("GET", "/admin/afterwrite/", nil)
		if name != "" {
			r.SetBasicAuth(name, "secret")
		}
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, r)
		fmt.Printf("%q: %d\n", name, answer.Code)
	}
	// Output:
	// "": 403
	// "ada": 200
}
