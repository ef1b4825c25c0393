package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// policies answers the active policy of every entity.
func (a *Admin) policies(r *http.Request, _ ledger.Actor, _ http.Header) (int, any, error) {
	if err := queryOf(r).end(); err != nil {
		return 0, nil, err
	}
	list := make([]Policy, 0, len(a.entities))
	for _, e := range a.entities {
		p, err := a.operator.Policy(r.Context(), e.Name)
		if err != nil {
			return 0, nil, err
		}
		list = append(list, PolicyOf(p))
	}
	return http.StatusOK, map[string]any{"policies": list}, nil
}

func (a *Admin) policy(r *http.Request, _ ledger.Actor, h http.Header) (int, any, error) {
	p, err := a.operator.Policy(r.Context(), r.PathValue("entity"))
	return answerPolicy(h, p, err)
}

func answerPolicy(h http.Header, p ledger.Policy, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	h.Set("ETag", strconv.Quote(strconv.FormatInt(p.Version, 10)))
	return http.StatusOK, PolicyOf(p), nil
}

// setPolicy changes the named settings: a merge patch. If-Match names the version that
// the caller has seen.
func (a *Admin) setPolicy(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	var body struct {
		Policy map[string]jsontext.Value `json:"policy"`
		Note   string                    `json:"note"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	expected, err := expectedVersion(r)
	if err != nil {
		return 0, nil, err
	}
	change, err := changeOf(body.Policy)
	if err != nil {
		return 0, nil, err
	}
	if len(change) == 0 {
		return 0, nil, schema.Invalid("policy", "must name what to change")
	}
	if len(body.Note) > MaxNote {
		return 0, nil, schema.Invalid("note", "is longer than %d bytes", MaxNote)
	}
	p, err := a.operator.SetPolicy(r.Context(), r.PathValue("entity"), change, expected, by, body.Note)
	return answerPolicy(h, p, err)
}

// MaxNote bounds the bytes of a note.
const MaxNote = 1000

func expectedVersion(r *http.Request) (int64, error) {
	given := r.Header.Get("If-Match")
	if given == "" || given == "*" {
		return -1, nil
	}
	n, err := strconv.ParseInt(strings.Trim(given, `"`), 10, 64)
	if err != nil || n < 0 || strconv.Quote(strconv.FormatInt(n, 10)) != given {
		return 0, problem.BadHeader("If-Match", `must be "*" or one quoted version, such as "3"`)
	}
	return n, nil
}

func changeOf(members map[string]jsontext.Value) (operate.PolicyChange, error) {
	list, err := settings("", members)
	if err != nil {
		return nil, err
	}
	var change operate.PolicyChange
	for _, s := range list {
		change = append(change, operate.Setting{Name: s[0], Value: s[1]})
	}
	return change, nil
}

// preview answers the schedule of the active policy, with the changes of the body
// made, and what it would do to the records that wait.
func (a *Admin) preview(r *http.Request, _ ledger.Actor, _ http.Header) (int, any, error) {
	var body struct {
		Policy  map[string]jsontext.Value `json:"policy"`
		Kind    string                    `json:"kind"`
		Against string                    `json:"against"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	if body.Kind != "" && !slices.Contains(schema.Kinds, schema.Kind(body.Kind)) {
		return 0, nil, schema.Invalid("kind", "is not a kind of refusal; the kinds are %v", schema.Kinds)
	}
	change, err := changeOf(body.Policy)
	if err != nil {
		return 0, nil, err
	}
	entity := r.PathValue("entity")
	current, err := a.operator.Policy(r.Context(), entity)
	if err != nil {
		return 0, nil, err
	}
	policy, err := change.Apply(current.Policy)
	if err != nil {
		return 0, nil, err
	}
	preview := PreviewOf(policy, schema.Kind(body.Kind))
	if body.Against == "" {
		body.Against = entity
	}
	// The route's scope is of the entity in the path; what waits of another is that one's.
	if who, ok := token.FromContext(r.Context()); ok && body.Against != entity {
		if err := who.Allow(token.Admin, body.Against); err != nil {
			return 0, nil, err
		}
	}
	effect, err := a.operator.Effect(r.Context(), body.Against, policy)
	if err != nil {
		return 0, nil, err
	}
	preview.Effect = EffectOf(body.Against, effect)
	return http.StatusOK, preview, nil
}

// history answers the versions of a policy with what each has changed, the newest first.
func (a *Admin) history(r *http.Request, _ ledger.Actor, _ http.Header) (int, any, error) {
	q := queryOf(r)
	limit := int(q.number("limit", 1, MaxLimit, DefaultLimit))
	if err := q.end(); err != nil {
		return 0, nil, err
	}
	history, err := a.operator.PolicyHistory(r.Context(), r.PathValue("entity"), limit)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"versions": HistoryOf(history)}, nil
}

// rollback applies an earlier version again, as a new one.
func (a *Admin) rollback(r *http.Request, by ledger.Actor, h http.Header) (int, any, error) {
	var body struct {
		Version *int64 `json:"version"`
	}
	if err := readBody(r, &body); err != nil {
		return 0, nil, err
	}
	if body.Version == nil {
		return 0, nil, schema.Invalid("version", "must be one of the history; 0 is the configuration's")
	}
	expected, err := expectedVersion(r)
	if err != nil {
		return 0, nil, err
	}
	p, err := a.operator.Rollback(r.Context(), r.PathValue("entity"), *body.Version, expected, by)
	return answerPolicy(h, p, err)
}
