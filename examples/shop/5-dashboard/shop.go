// Package shop is the service of this step.
package shop

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/dashboard"
)

type Product struct {
	ID        string `gorm:"primaryKey;size:64"`
	Name      string `gorm:"size:200;not null"`
	Price     int64
	Views     int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

type Shop struct {
	rdb      redis.UniversalClient
	mail     *asynq.Client
	sessions *scs.SessionManager
	registry *prometheus.Registry
	sold     prometheus.Counter
	aw       *afterwrite.DB
	products *afterwrite.TableOf[Product]
}

func New(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (*Shop, error) {
	s := &Shop{
		rdb: rdb, mail: asynq.NewClientFromRedisClient(rdb), sessions: scs.New(), registry: prometheus.NewRegistry(),
		sold: prometheus.NewCounter(prometheus.CounterOpts{Name: "shop_sold_total", Help: "Products sold."}),
	}
	s.registry.MustRegister(s.sold)
	if err := db.WithContext(ctx).AutoMigrate(&Product{}); err != nil {
		return nil, err
	}
	var err error
	s.aw, err = afterwrite.Open(ctx, afterwrite.Config{Redis: rdb, GORM: db, Registerer: s.registry},
		afterwrite.Model[Product]())
	if err != nil {
		return nil, err
	}
	s.products = afterwrite.Table[Product](s.aw)
	return s, s.aw.Migrate(ctx)
}

func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", s.product)
	mux.HandleFunc("PUT /products/{id}", s.save)
	mux.HandleFunc("POST /products/{id}/buy", s.buy)
	mux.HandleFunc("POST /login", s.login)
	mux.Handle("/admin/afterwrite/", s.aw.Dashboard(afterwrite.DashboardConfig{Who: s.who}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return s.sessions.LoadAndSave(mux)
}

func (s *Shop) product(w http.ResponseWriter, r *http.Request) {
	if _, _, err := s.products.Add(r.Context(), r.PathValue("id"), "Views", 1); err != nil {
		fail(w, err)
		return
	}
	got, err := s.products.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	p := got.Value
	_ = json.NewEncoder(w).Encode(p)
}

func (s *Shop) save(w http.ResponseWriter, r *http.Request) {
	p := Product{ID: r.PathValue("id")}
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if _, err := s.products.Put(r.Context(), &p); err != nil {
		fail(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(p)
}

func (s *Shop) buy(w http.ResponseWriter, r *http.Request) {
	task := asynq.NewTask("email:send", []byte(r.PathValue("id")), asynq.Queue("mail"))
	if _, err := s.mail.EnqueueContext(r.Context(), task); err != nil {
		fail(w, err)
		return
	}
	s.sold.Inc()
	w.WriteHeader(http.StatusAccepted)
}

func (s *Shop) login(w http.ResponseWriter, r *http.Request) {
	s.sessions.Put(r.Context(), "name", r.FormValue("name"))
	w.WriteHeader(http.StatusNoContent)
}

func (s *Shop) who(r *http.Request) (name string, role dashboard.Role) {
	return s.sessions.GetString(r.Context(), "name"), dashboard.Admin
}

// Work persists what was accepted until ctx ends.
func (s *Shop) Work(ctx context.Context) error { return s.aw.Work(ctx) }

// Mail sends the e-mails until ctx ends.
func (s *Shop) Mail(ctx context.Context, send func(product string) error) error {
	server := asynq.NewServerFromRedisClient(s.rdb, asynq.Config{Queues: map[string]int{"mail": 1}})
	mux := asynq.NewServeMux()
	mux.HandleFunc("email:send", func(_ context.Context, t *asynq.Task) error { return send(string(t.Payload())) })
	if err := server.Start(mux); err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if errors.Is(err, afterwrite.ErrNotFound) {
		code = http.StatusNotFound
	}
	http.Error(w, err.Error(), code)
}
