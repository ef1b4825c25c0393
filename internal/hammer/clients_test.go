package hammer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// pace is the pause between two requests of a client: the load of a run is bounded, so
// that it is the faults that are tried and not the machine.
const pace = 4 * time.Millisecond

// answer is what an API said.
type answer struct {
	status  int
	bypass  bool // the database answered for a Redis that does not: it may be older
	fields  map[string]any
	version string
	text    string
}

// request asks an API, and fails where nobody answered. Headers are pairs of name and value.
func (w *world) request(api *process, method, path string, body []byte, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+api.addr+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := w.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: got.StatusCode, text: string(text), version: strings.Trim(got.Header.Get("ETag"), `"`),
		bypass: strings.Contains(got.Header.Get("Cache-Status"), "fwd=bypass")}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	_ = d.Decode(&a.fields) // a problem has fields, too
	return a, nil
}

// stateOf reads a record's fields.
func stateOf(fields map[string]any) state {
	n := func(name string) int64 {
		v, _ := fields[name].(json.Number)
		i, _ := v.Int64()
		return i
	}
	return state{exists: true, seq: n("seq"), a: n("a"), b: n("b")}
}

func path(r *register, rest string) string {
	return "/v1/" + r.entity + "/" + url.PathEscape(r.id) + rest
}

// write is one write of a client: how the state changes, and the request for it.
type write struct {
	method, rest string
	next         func(now state, seq int64) state
	body         func(state) string
}

func putBody(s state) string { return fmt.Sprintf(`{"seq":%d,"a":%d,"b":%d}`, s.seq, s.a, s.b) }

// writes are what a client may do to a record that is in that state.
func writes(entity string, now state, random *rand.Rand) write {
	put := write{method: http.MethodPut, body: putBody,
		next: func(_ state, seq int64) state { return state{exists: true, seq: seq, a: seq, b: seq} }}
	switch {
	case entity == "count" && !now.exists:
		return write{method: http.MethodPut, body: func(s state) string { return fmt.Sprintf(`{"seq":%d}`, s.seq) },
			next: func(_ state, seq int64) state { return state{exists: true, seq: seq} }}
	case entity == "count":
		return write{method: http.MethodPost, rest: "/increment", body: func(state) string { return `{"seq":1}` },
			next: func(_ state, seq int64) state { return state{exists: true, seq: seq} }}
	case !now.exists:
		return put
	case entity == "strict" && random.IntN(4) == 0: // the table refuses it
		put.next = func(_ state, seq int64) state { return state{exists: true, seq: seq, a: seq, b: -seq} }
		return put
	}
	switch at := random.IntN(8); {
	case at == 0 && !first(entity):
		return write{method: http.MethodDelete, body: func(state) string { return "" },
			next: func(state, int64) state { return state{} }}
	case at < 4:
		return write{method: http.MethodPatch, body: func(s state) string {
			return fmt.Sprintf(`{"seq":%d,"a":%d}`,
				s.seq, s.a)
		},
			next: func(now state, seq int64) state { now.seq, now.a = seq, seq; return now }}
	}
	return put
}

// first reports that the database has a write before its caller hears of it. Such a write
// takes no Idempotency-Key.
func first(entity string) bool { return entity == "through" || entity == "around" }

// write makes one write of a record and repeats it until its outcome is known: with the
// same Idempotency-Key, or, where there is none, on the condition that the record is as it
// was. Either way an attempt that somebody holds up for long comes too late.
func (w *world) write(ctx context.Context, r *register, random *rand.Rand) {
	op := writes(r.entity, r.now(), random)
	before := r.now()
	s := r.begin(op.next)
	headers := []string{"Idempotency-Key", fmt.Sprintf("%s/%s/%d/%d", r.entity, r.id, s.seq, random.Uint64())}
	for attempt := 0; ; attempt++ {
		api := w.apis[random.IntN(len(w.apis))]
		var err error
		var got answer
		sure := true
		if first(r.entity) {
			headers, got, sure = w.condition(api, r, before, s)
		}
		if sure && got.version == "" {
			got, err = w.request(api, op.method, path(r, op.rest), []byte(op.body(s)), headers...)
		}
		switch {
		case sure && err == nil && (got.status == http.StatusOK || got.status == http.StatusAccepted):
			w.tally.add("writes " + r.entity)
			w.tally.check(r.end(got.version))
			return
		case ctx.Err() != nil: // the run has ended, and all is well again: this is stuck
			w.tally.check(r.wrong("%s has no outcome: %v %v", op.method, err, got))
			return
		case !sure, err != nil, got.status >= 500, got.status == http.StatusTooManyRequests,
			got.status == http.StatusPreconditionFailed && first(r.entity):
		default:
			w.tally.check(r.wrong("%s, attempt %d of %v, was answered %d %s", op.method, attempt, s, got.status,
				got.text))
			r.undo()
			return
		}
		w.tally.add("repeats")
		time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond))))
	}
}

// condition looks at a record that is to change from one state to another. It returns the
// condition that it is in the first, or the answer that tells that it is in the second; or
// nothing that is sure, where no one tells.
func (w *world) condition(api *process, r *register, before, after state) (headers []string, done answer, sure bool) {
	oldest := r.reading()
	got, err := w.request(api, http.MethodGet, path(r, ""), nil)
	switch {
	case err != nil || got.bypass:
		return nil, answer{}, false
	case got.status == http.StatusNotFound && !before.exists:
		return []string{"If-None-Match", "*"}, answer{}, true
	case got.status != http.StatusOK:
		return nil, answer{}, false
	}
	now := stateOf(got.fields)
	w.tally.add("reads checked")
	w.tally.check(r.read(oldest, now))
	if now == after {
		return nil, got, true
	}
	return []string{"If-Match", `"` + got.version + `"`}, answer{}, true
}

// read checks a read against the register.
func (w *world) read(r *register, random *rand.Rand) {
	oldest := r.reading()
	got, err := w.request(w.apis[random.IntN(len(w.apis))], http.MethodGet, path(r, ""), nil)
	switch {
	case err != nil || got.status >= 500 || got.status == http.StatusTooManyRequests:
		w.tally.add("reads unanswered")
	case got.bypass:
		w.tally.add("reads past Redis")
	case got.status == http.StatusNotFound:
		w.tally.add("reads checked")
		w.tally.check(r.read(oldest, state{}))
	case got.status == http.StatusOK:
		w.tally.add("reads checked")
		w.tally.check(r.read(oldest, stateOf(got.fields)))
	default:
		w.tally.check(r.wrong("a read was answered %d %s", got.status, got.text))
	}
}

// readMany checks a multi-get.
func (w *world) readMany(rs []*register, random *rand.Rand) {
	oldest := make([]int, len(rs))
	ids := make([]string, len(rs))
	for i, r := range rs {
		oldest[i], ids[i] = r.reading(), url.QueryEscape(r.id)
	}
	got, err := w.request(w.apis[random.IntN(len(w.apis))], http.MethodGet,
		"/v1/"+rs[0].entity+"?ids="+strings.Join(ids, ","), nil)
	if err != nil || got.status != http.StatusOK || got.bypass {
		w.tally.add("multi-gets unanswered")
		return
	}
	found := map[string]state{}
	records, _ := got.fields["records"].([]any)
	for _, record := range records {
		fields, _ := record.(map[string]any)
		found[fmt.Sprint(fields["id"])] = stateOf(fields)
	}
	for i, r := range rs {
		w.tally.add("reads checked")
		w.tally.check(r.read(oldest[i], found[r.id]))
	}
}

// watch checks the rows of all tables as another program sees them.
func (w *world) watch(ctx context.Context, registers map[string]map[string]*register) {
	for entity, of := range registers {
		columns := "seq, a, b"
		if entity == "count" {
			columns = "seq, 0, 0"
		}
		rows, err := w.sql.QueryContext(ctx, "SELECT id, "+columns+" FROM hammer_"+entity)
		if err != nil {
			continue // the database is being tried as well
		}
		for rows.Next() {
			var id string
			s := state{exists: true}
			if rows.Scan(&id, &s.seq, &s.a, &s.b) != nil {
				break
			}
			w.tally.add("rows checked")
			w.tally.check(of[id].seen(s))
		}
		_ = rows.Close()
	}
}
