package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// handler answers one request. An error that it returns becomes a problem; in that case it must not have sent anything.
type handler func(ctx context.Context, c *call) error

// endpoint answers one form of path.
type endpoint struct {
	name    string // the route label of the metrics
	path    string // the form of its paths, for spans; "" for any
	allow   string // the Allow header
	methods map[string]handler
}

// routes holds the endpoints by the form of their path.
type routes struct {
	fixed      map[string]*endpoint // whole paths
	collection *endpoint            // /v1/{entity}
	record     *endpoint            // /v1/{entity}/{id}
	under      map[string]*endpoint // /v1/{entity}/{id}/…, by the last segment
}

// unknown stands for every path without an endpoint, and adminEnd for the paths of the admin API.
var (
	unknown  = &endpoint{name: "unknown"}
	adminEnd = &endpoint{name: "admin", path: "/v1/admin/"}
)

func (a *API) newRoutes(gatherer prometheus.Gatherer) routes {
	get := func(name string, h handler) *endpoint {
		return newEndpoint(name, map[string]handler{http.MethodGet: h})
	}
	post := func(name string, h handler) *endpoint {
		return newEndpoint(name, map[string]handler{http.MethodPost: h})
	}
	rs := routes{
		fixed: map[string]*endpoint{
			"/healthz":      get("healthz", a.healthz),
			"/readyz":       get("readyz", a.readyz),
			"/openapi.json": get("openapi", a.openapi),
			"/v1/batch":     post("batch", a.batch),
		},
		collection: newEndpoint("collection", map[string]handler{
			http.MethodGet:  a.collection,
			http.MethodPost: a.create,
		}),
		record: newEndpoint("record", map[string]handler{
			http.MethodGet:    a.get,
			http.MethodPut:    a.put,
			http.MethodPatch:  a.patch,
			http.MethodDelete: a.remove,
		}),
		under: map[string]*endpoint{
			"increment": post("increment", a.increment),
			"status":    get("status", a.status),
			"rank":      get("rank", a.rankOf),
		},
	}
	rs.collection.path, rs.record.path = "/v1/{entity}", "/v1/{entity}/{id}"
	for last, end := range rs.under {
		end.path = rs.record.path + "/" + last
	}
	if a.source != nil {
		rs.fixed["/v1/events"] = get("events", a.events)
	}
	if a.source != nil && a.tickets != nil {
		rs.fixed["/v1/events/ticket"] = post("ticket", a.newTicket)
	}
	if gatherer != nil {
		rs.fixed["/metrics"] = get("metrics", metricsPage(gatherer))
	}
	for path, end := range rs.fixed {
		end.path = path
	}
	return rs
}

func newEndpoint(name string, methods map[string]handler) *endpoint {
	if h, ok := methods[http.MethodGet]; ok {
		methods[http.MethodHead] = h
	}
	var allow []string
	for _, m := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost,
		http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		if _, ok := methods[m]; ok {
			allow = append(allow, m)
		}
	}
	allow = append(allow, http.MethodOptions)
	return &endpoint{name: name, allow: strings.Join(allow, ", "), methods: methods}
}

// route sets the endpoint of the request, and the entity and the id that its path names. It always sets c.end. The id
// is unescaped, not yet canonical.
func (a *API) route(c *call) error {
	c.end = unknown
	if err := request.Rewritten(c.r.Header); err != nil {
		return err
	}
	path := c.r.URL.EscapedPath()
	if end, ok := a.routes.fixed[path]; ok {
		c.end = end
		return nil
	}
	if a.isAdmin(path) {
		c.end = adminEnd
		return nil
	}
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return problem.UnknownRoute()
	}
	name, rest, hasID := strings.Cut(rest, "/")
	id, last, under := strings.Cut(rest, "/")
	switch {
	case !hasID && c.r.Method != http.MethodPost && request.HasID(c.r.URL.RawQuery):
		c.end, hasID, id = a.routes.record, true, request.ByQuery
	case !hasID:
		c.end = a.routes.collection
	case !under:
		c.end = a.routes.record
	case a.routes.under[last] != nil:
		c.end = a.routes.under[last]
	default:
		return problem.UnknownRoute()
	}
	if c.entity, ok = a.entities[name]; !ok {
		return problem.UnknownEntity(name)
	}
	if !hasID {
		return nil
	}
	return a.takeID(c, id)
}

// recordURL returns the path and query of a record, in the form that every proxy forwards unchanged.
func (a *API) recordURL(e *schema.Entity, id string) string {
	return request.RecordPath(e, id, !a.noIDs)
}

// takeID reads the id from a segment of the path, or from the query if the segment says so.
func (a *API) takeID(c *call, segment string) error {
	if segment == request.ByQuery {
		c.queryID = true
		var err error
		c.id, err = request.IDOf(c.r.URL.RawQuery)
		return err
	}
	id := segment
	if strings.IndexByte(segment, '%') >= 0 {
		var err error
		if id, err = url.PathUnescape(segment); err != nil {
			return invalid("id", "is not percent-encoded as a path segment must be")
		}
	}
	if a.noIDs || !request.PathSafe(id) {
		return a.errPathID(c.entity, id)
	}
	c.id = id
	return nil
}
