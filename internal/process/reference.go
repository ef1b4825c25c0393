package process

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/queue"
)

// Metric describes a metric that processes export.
type Metric struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"` // counter, gauge or histogram
	Labels []string `json:"labels"`
	In     []string `json:"in"` // the kinds of processes: api, worker, dashboard
	Help   string   `json:"help"`
}

// Metrics returns the metrics of all processes by name, but for those of the Go runtime and
// of the operating system. They are read off processes that are joined, over connections
// that fail, and never run.
func Metrics() ([]Metric, error) {
	byName := map[string]*Metric{}
	for _, kind := range []struct {
		name string
		join func(*Parts) error
	}{
		{"api", func(p *Parts) error { _, err := p.NewAPI(nil); return err }},
		{"worker", func(p *Parts) error { _, _, err := p.NewWorker(); return err }},
		{"dashboard", func(p *Parts) error { _, err := p.NewDashboard(context.Background(), nil); return err }},
	} {
		p, err := describable()
		if err == nil {
			err = errors.Join(kind.join(p), describe(p.Metrics, kind.name, byName))
			p.Close()
		}
		if err != nil {
			return nil, err
		}
	}
	var all []Metric
	for _, m := range byName {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// describable joins the parts of a process that reaches nothing.
func describable() (*Parts, error) {
	c, err := config.LoadBuiltin(nil)
	if err != nil {
		return nil, err
	}
	c.Database.URL = "postgres:///none?host=/nonexistent"
	c.API.RateLimit.Limit = 1
	return JoinOver(Over{
		Redis: redis.NewClient(&redis.Options{MaxRetries: -1, DialerRetries: 1,
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("nothing is connected")
			}}),
		Server: idle{},
	}, c, "", slog.New(slog.DiscardHandler))
}

// idle is a server that hands out nothing.
type idle struct{}

func (idle) Start(func(ctx context.Context, t queue.Task) error) error { return nil }
func (idle) Shutdown()                                                 {}

var descForm = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "(.*?)"(?:, unit: "[^"]*")?, constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// describe adds the metrics of a registry to those by name.
func describe(r *prometheus.Registry, kind string, byName map[string]*Metric) error {
	types := map[string]string{}
	families, err := r.Gather()
	for _, f := range families {
		types[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		r.Describe(descs)
		close(descs)
	}()
	for d := range descs {
		found := descForm.FindStringSubmatch(d.String())
		if found == nil {
			err = errors.Join(err, errors.New("a description is not understood: "+d.String()))
			continue
		}
		name := found[1]
		if !strings.HasPrefix(name, "afterwrite_") && !strings.HasPrefix(name, "go_sql_") {
			continue
		}
		m := byName[name]
		if m == nil {
			m = &Metric{Name: name, Labels: labels(found[3], found[4]), Help: strings.ReplaceAll(found[2], `\"`, `"`)}
			byName[name] = m
		}
		m.Type = cmp.Or(types[name], m.Type, conventional(name))
		if !slices.Contains(m.In, kind) {
			m.In = append(m.In, kind)
		}
	}
	return err
}

// labels are the names of labels with a fixed value, as name="value", and of the others.
func labels(fixed, variable string) []string {
	all := []string{}
	for _, list := range []string{fixed, variable} {
		for label := range strings.SplitSeq(list, ",") {
			if name, _, _ := strings.Cut(label, "="); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// conventional is the type that a metric without series has by its name.
func conventional(name string) string {
	switch {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case strings.HasSuffix(name, "_duration_seconds"):
		return "histogram"
	}
	return "gauge"
}
