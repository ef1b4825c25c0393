package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// object is a JSON object of the OpenAPI document.
type object = map[string]any

// openapi answers the description of the API, generated from the entities.
func (a *API) openapi(_ context.Context, c *call) error {
	c.send(http.StatusOK, a.document)
	return nil
}

// document returns the OpenAPI 3.1 document of an API that serves the entities.
func document(cfg Config) ([]byte, error) {
	paths := systemPaths()
	schemas := systemSchemas()
	tags := []object{
		{"name": "batch", "description": "Many writes in one request."},
		{"name": "system", "description": "Health, metrics and this document."},
	}
	if cfg.Events != nil {
		paths["/v1/events"] = eventPath()
	}
	if cfg.Events != nil && cfg.Tickets != nil {
		paths["/v1/events/ticket"] = ticketPath()
	}
	if cfg.Admin != nil {
		more, theirs := cfg.Admin.OpenAPI()
		maps.Copy(paths, more)
		maps.Copy(schemas, theirs)
		tags = append(tags,
			object{"name": "admin", "description": "What operators do: dead letters, retry policies, invalidation."})
	}
	for _, e := range cfg.Entities {
		maps.Copy(paths, entityPaths(e))
		describeRank(e, paths)
		describeByQuery(e, paths)
		maps.Copy(schemas, entitySchemas(e))
		tags = append(tags, object{"name": e.Name, "description": "Records of the table " + e.Table + "."})
	}
	components := object{
		"schemas":    schemas,
		"parameters": sharedParameters(),
		"headers":    sharedHeaders(),
		"responses":  sharedResponses(),
	}
	if cfg.Tokens != nil {
		components["securitySchemes"] = securitySchemes()
		secure(paths, cfg.Tokens.Required())
	}
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{
			"title":   "Afterwrite",
			"version": cmp.Or(cfg.Version, "unknown"),
			"license": object{"name": "MIT", "identifier": "MIT"},
			"description": "Writes are accepted immediately and persisted to the database soon after; reads return the newest accepted state. " +
				"202 means accepted: every later read sees the write. With Prefer: wait=N the answer is 200 once it is persisted. " +
				"What Redis itself can lose, with appendfsync everysec up to a second at a power failure, an accepted write can lose too.",
		},
		"servers":    []object{{"url": "/"}},
		"tags":       tags,
		"paths":      paths,
		"components": components,
	})
}

func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

func content(mediaType string, schema any) object {
	return object{mediaType: object{"schema": schema}}
}

// response describes an answer with a JSON body; its headers are named.
func response(description string, schema any, headers ...string) object {
	r := object{"description": description, "headers": headerRefs(append(headers, "X-Request-Id"))}
	if schema != nil {
		r["content"] = content(typeJSON, schema)
	}
	return r
}

func headerRefs(names []string) object {
	refs := make(object, len(names))
	for _, name := range names {
		refs[name] = ref("headers", name)
	}
	return refs
}

// answers joins the responses of an operation with the problems that it can return.
func answers(own object, problems ...string) object {
	for _, code := range append(problems, "400", "404", "405", "429", "500", "503") {
		if _, ok := own[code]; !ok {
			own[code] = ref("responses", "Problem"+code)
		}
	}
	return own
}

func operation(tag, id, summary string, rest object) object {
	op := object{"tags": []string{tag}, "operationId": id, "summary": summary}
	maps.Copy(op, rest)
	return op
}

func body(schema any, mediaTypes ...string) object {
	types := make(object, len(mediaTypes))
	for _, t := range mediaTypes {
		types[t] = object{"schema": schema}
	}
	return object{"required": true, "content": types}
}

func parameterRefs(names ...string) []object {
	refs := make([]object, len(names))
	for i, name := range names {
		refs[i] = ref("parameters", name)
	}
	return refs
}

// entityPaths describes the routes of one entity.
func entityPaths(e *schema.Entity) object {
	n, id := e.Name, []object{idParameter(e)}
	return object{
		"/v1/" + n:           collectionPath(e),
		"/v1/" + n + "/{id}": recordPath(e),
		"/v1/" + n + "/{id}/increment": object{
			"parameters": id,
			"post": operation(n, "increment_"+n, "Add to int fields, all or nothing.", object{
				"parameters":  writeParameters(e, "If-Match", "Idempotency-Key", "Prefer"),
				"requestBody": body(ref("schemas", n+"_increment"), typeJSON),
				"responses":   answers(acceptedAnswers(), "409", "412", "413", "415", "422"),
			}),
		},
		"/v1/" + n + "/{id}/status": object{
			"parameters": id,
			"get": operation(n, "status_"+n, "Where a record stands on its way to the database.", object{
				"responses": answers(object{"200": response("The state.", ref("schemas", "State"), "ETag")}, "422"),
			}),
		},
	}
}

func idParameter(e *schema.Entity) object {
	return object{
		"name": "id", "in": "path", "required": true, "schema": idSchema(e),
		"description": "The record's id, percent-encoded as one path segment. An id with / \\ ? # ; a control character or % and two hex digits, and the ids - . and .., " +
			"are named by the parameter id instead: proxies rewrite such paths.",
	}
}

// describeByQuery adds, for each path with an id, the path whose query names the id.
func describeByQuery(e *schema.Entity, paths object) {
	prefix := "/v1/" + e.Name + "/{id}"
	for path, item := range maps.Clone(paths) {
		rest, ok := strings.CutPrefix(path, prefix)
		if !ok {
			continue
		}
		by := maps.Clone(item.(object))
		parameter := idParameter(e)
		parameter["in"], parameter["description"] = "query", "The record's id, whatever it has in it."
		by["parameters"] = []object{parameter}
		for method, op := range by {
			if op, ok := op.(object); ok {
				op = maps.Clone(op)
				op["operationId"] = op["operationId"].(string) + "_by_query"
				op["responses"] = maps.Clone(op["responses"].(object))
				by[method] = op
			}
		}
		paths["/v1/"+e.Name+"/"+byQuery+rest] = by
	}
}

// writeParameters returns the parameters of a write that its entity supports.
func writeParameters(e *schema.Entity, names ...string) []object {
	if e.Write != schema.WriteBehind {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "Idempotency-Key" })
	}
	return parameterRefs(names...)
}

// acceptedAnswers returns the answers to an accepted write, with more headers.
func acceptedAnswers(headers ...string) object {
	headers = append([]string{"ETag", "Preference-Applied", "Idempotency-Replayed"}, headers...)
	return object{
		"200": response("Persisted, after a wait.", ref("schemas", "Accepted"), headers...),
		"202": response("Accepted.", ref("schemas", "Accepted"), headers...),
	}
}

func collectionPath(e *schema.Entity) object {
	n := e.Name
	return object{
		"get": operation(n, "find_"+n, "Get records by ids, or a page of persisted rows.", object{
			"parameters": append(parameterRefs("limit", "after"), collectionParameters(e)...),
			"responses": answers(object{
				"200": response("The records. With ids: those found, in the order of ids, and the missing ids. Else: a page and its cursor.",
					object{"anyOf": []object{ref("schemas", n+"_many"), ref("schemas", n+"_page")}},
					"Afterwrite-Lag", "Afterwrite-Freshness", "Cache-Status"),
			}, "422"),
		}),
		"post": operation(n, "create_"+n, "Create a record. Without an id in the body one is made.", object{
			"parameters":  writeParameters(e, "If-None-Match-Write", "Idempotency-Key", "Prefer"),
			"requestBody": body(ref("schemas", n+"_create"), typeJSON),
			"responses":   answers(acceptedAnswers("Location"), "409", "412", "413", "415", "422"),
		}),
	}
}

func recordPath(e *schema.Entity) object {
	n := e.Name
	return object{
		"parameters": []object{idParameter(e)},
		"get": operation(n, "get_"+n, "Get the newest accepted state of a record.", object{
			"parameters": parameterRefs("If-None-Match-Read"),
			"responses": answers(object{
				"200": response("The record.", ref("schemas", n), "ETag", "Cache-Status", "Afterwrite-Status",
					"Afterwrite-Freshness"),
				"304": response("The caller has this version.", nil, "ETag", "Cache-Status", "Afterwrite-Status"),
			}, "422"),
		}),
		"put": operation(n, "put_"+n, "Create or replace a record.", object{
			"parameters":  writeParameters(e, "If-Match", "If-None-Match-Write", "Idempotency-Key", "Prefer"),
			"requestBody": body(ref("schemas", n+"_put"), typeJSON),
			"responses":   answers(acceptedAnswers(), "409", "412", "413", "415", "422"),
		}),
		"patch": operation(n, "patch_"+n, "Set some fields: a JSON merge patch of the top level.", object{
			"parameters":  writeParameters(e, "If-Match", "Idempotency-Key", "Prefer"),
			"requestBody": body(ref("schemas", n+"_patch"), typeMerge, typeJSON),
			"responses":   answers(acceptedAnswers(), "409", "412", "413", "415", "422"),
		}),
		"delete": operation(n, "delete_"+n, "Delete a record.", object{
			"parameters": writeParameters(e, "If-Match", "Idempotency-Key", "Prefer"),
			"responses":  answers(acceptedAnswers(), "409", "412", "422"),
		}),
	}
}

// collectionParameters returns ids, and a filter for each field that can be compared.
func collectionParameters(e *schema.Entity) []object {
	list := []object{{
		"name": "ids", "in": "query", "style": "form", "explode": false,
		"description": "Ids of records to get, at most 1000, in place of every other parameter. " +
			"A comma within an id is %2C, a plus sign %2B.",
		"schema": object{"type": "array", "minItems": 1, "maxItems": MaxIDs, "items": idSchema(e)},
	}}
	for i := range e.Fields {
		f := &e.Fields[i]
		if f.Type == schema.JSON {
			continue
		}
		list = append(list, object{
			"name": f.Name, "in": "query", "schema": filterSchema(f),
			"description": fmt.Sprintf("Only rows whose %s has this value.", f.Name),
		})
	}
	return list
}

// systemPaths describes the routes that belong to no entity.
func systemPaths() object {
	batch := object{"type": "array", "maxItems": MaxBatchItems, "items": ref("schemas", "BatchItem")}
	plain := func(id, summary, description string, schema any) object {
		return object{"get": operation("system", id, summary, object{
			"responses": object{"200": response(description, schema), "405": ref("responses", "Problem405")},
		})}
	}
	ready := plain("readyz", "Whether this process should get requests.",
		"Ready, or degraded while the database is down, Redis may evict accepted writes, or Redis accepts no writes.",
		ref("schemas", "Ready"))
	ready["get"].(object)["responses"].(object)["503"] = response("Not ready: Redis is down.", ref("schemas", "Ready"),
		"Retry-After")
	ready["get"].(object)["parameters"] = []object{{"name": "for", "in": "query",
		"schema":      object{"enum": []string{"read", "write"}},
		"description": "Of reads or of writes; both without it. Reads go on without Redis, from the database."}}
	ready["get"].(object)["responses"].(object)["400"] = ref("responses", "Problem400")
	metrics := plain("metrics", "Metrics in the Prometheus text format.", "The metrics.", nil)
	metrics["get"].(object)["responses"].(object)["200"].(object)["content"] = content("text/plain",
		object{"type": "string"})
	return object{
		"/v1/batch": object{"post": operation("batch", "batch", "Do many writes; those of one record keep their order.",
			object{
				"requestBody": object{"required": true, "content": object{
					typeJSON:   object{"schema": batch},
					typeNDJSON: object{"schema": object{"type": "string"}},
				}},
				"responses": answers(object{
					"200": response("An outcome for each item, in their order.", ref("schemas", "BatchResults")),
				}, "413", "415"),
			})},
		"/healthz": plain("healthz", "Whether the process is alive.", "Alive.",
			object{"type": "object", "required": []string{"status"},
				"properties": object{"status": object{"const": "alive"}}}),
		"/readyz":       ready,
		"/metrics":      metrics,
		"/openapi.json": plain("openapi", "This document.", "The document.", object{"type": "object"}),
	}
}

// eventPath describes the stream of events.
func eventPath() object {
	return object{"get": operation("system", "events", "What becomes of accepted writes, as server-sent events.",
		object{
			"description": "Events persisted, held, dead and resolved, one a record; its data is JSON with entity, id, version and at, for held and dead also " +
				"attempts, next_attempt and error, of a traced write for all but resolved also trace_id and request_id. The id of an event is its time in ms. A stream that is resumed with Last-Event-ID repeats the last second " +
				"and goes on with what is still kept: each event comes at least once, or an event gap says that older ones were dropped. A stream whose reader does not read for 10 s is ended.",
			"parameters": []object{
				entityParameter(),
				{"name": "ticket", "in": "query", "description": "Stands for a token, see POST /v1/events/ticket.",
					"schema": object{"type": "string"}},
				{"name": "last_event_id", "in": "query", "description": "As Last-Event-ID, which comes first.",
					"schema": object{"type": "string"}},
				{"name": "Last-Event-ID", "in": "header", "description": "The id of the last event that was received.",
					"schema": object{"type": "string"}},
			},
			"responses": answers(object{"200": object{"description": "The stream.",
				"headers": headerRefs([]string{"X-Request-Id"}),
				"content": content("text/event-stream", object{"type": "string"})}}),
		})}
}

func entityParameter() object {
	return object{"name": "entity", "in": "query", "description": "Only of these entities; may be repeated.",
		"style": "form", "explode": true,
		"schema": object{"type": "array", "items": object{"type": "string"}}}
}

func ticketPath() object {
	return object{"post": operation("system", "newTicket", "Makes a ticket for an event stream.", object{
		"description": "The ticket stands for the token of this request in GET /v1/events?ticket=, for programs that cannot " +
			"send a header there, as the EventSource of browsers. It works for a minute, as often as it is used, and " +
			"for the entities that this request names.",
		"parameters": []object{entityParameter()},
		"responses": answers(object{"201": response("The ticket.", object{
			"type": "object", "required": []string{"ticket", "expires_in"},
			"properties": object{"ticket": object{"type": "string"},
				"expires_in": object{"type": "integer", "description": "Seconds."}},
		})}, "409"),
	})}
}

func sharedParameters() object {
	header := func(name, description string, schema object) object {
		return object{"name": name, "in": "header", "description": description, "schema": schema}
	}
	text := object{"type": "string"}
	return object{
		"If-Match": header("If-Match",
			`Only if the record is at one of these versions, "*": only if it exists; else 412.`, text),
		"If-None-Match-Write": header("If-None-Match", `"*": only if there is no record; else 412.`,
			object{"type": "string", "const": "*"}),
		"If-None-Match-Read": header("If-None-Match", "Answer 304 if the record is at one of these versions.", text),
		"Idempotency-Key": header("Idempotency-Key",
			"An operation id: a repeat of the request with the same one is applied once.",
			object{"type": "string", "minLength": 1, "maxLength": producer.MaxKey + 2}),
		"Prefer": header("Prefer", "wait=N: answer when the write is persisted, or 202 after N seconds (RFC 7240).",
			text),
		"limit": object{"name": "limit", "in": "query",
			"description": "Rows of a page, which ends earlier where its records reach 16 MiB.",
			"schema":      object{"type": "integer", "minimum": 1, "maximum": MaxLimit, "default": DefaultLimit}},
		"after": object{"name": "after", "in": "query", "description": `The "next" of the page before.`,
			"schema": text},
	}
}

func sharedHeaders() object {
	header := func(description string, schema object) object {
		return object{"description": description, "schema": schema}
	}
	text := object{"type": "string"}
	return object{
		"ETag": header("The record's version in quotes.",
			object{"type": "string", "pattern": `^"[0-9]+"$`}),
		"Location":             header("Path of the new record.", text),
		"Cache-Status":         header("How the cache was used (RFC 9211).", text),
		"Afterwrite-Status":    header("Where the record stands.", ref("schemas", "Status")),
		"Afterwrite-Freshness": header("The word database: read past the cache, which is down; accepted writes may be missing.", object{"type": "string", "const": "database"}),
		"Afterwrite-Lag": header("Seconds that the oldest pending record of the entity has waited.",
			object{"type": "number"}),
		"Preference-Applied": header("The preferences that were applied (RFC 7240).", text),
		"Idempotency-Replayed": header("The word true: the operation was applied before, this is its answer again.",
			object{"type": "string", "const": "true"}),
		"RateLimit": header("What is left of the caller's quota (draft-ietf-httpapi-ratelimit-headers).",
			text),
		"RateLimit-Policy": header("The quotas that count the request.", text),
		"WWW-Authenticate": header("How to name a token, or what is wrong with the one that was named (RFC 6750).",
			text),
		"Retry-After":  header("Seconds after which to try again.", object{"type": "integer"}),
		"Allow":        header("The methods that the route takes.", text),
		"X-Request-Id": header("The request's id, the caller's own or a new one; it is in the log.", text),
	}
}

func sharedResponses() object {
	texts := map[string]string{
		"400": "The request is malformed.",
		"401": "A token is missing, mistyped, expired or revoked.",
		"403": "The token does not have the scope that this needs.",
		"404": "There is no such record, entity or route.",
		"405": "The route does not take this method.",
		"409": "There is such a record already, or, after a wait, another row owns a unique value.",
		"412": "The record is not as If-Match or If-None-Match asks.",
		"413": "The body is too large.",
		"415": "The body is of another media type.",
		"422": "The values are refused, by the entity or, after a wait, by the database; errors names the fields.",
		"429": "The caller's quota of requests is used up.",
		"500": "A fault of the server.",
		"503": "Redis or the database is down, the backlog is full, or the outcome is unknown.",
	}
	responses := make(object, len(texts))
	for _, code := range slices.Sorted(maps.Keys(texts)) {
		headers := []string{"X-Request-Id"}
		switch code {
		case "401", "403":
			headers = append(headers, "WWW-Authenticate")
		case "405":
			headers = append(headers, "Allow")
		case "429":
			headers = append(headers, "RateLimit", "RateLimit-Policy", "Retry-After")
		case "503":
			headers = append(headers, "Retry-After")
		}
		responses["Problem"+code] = object{
			"description": texts[code], "headers": headerRefs(headers),
			"content": content("application/problem+json", ref("schemas", "Problem")),
		}
	}
	return responses
}
