package openapi

import (
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/apidoc"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// systemPaths describes the routes that belong to no entity.
func systemPaths() object {
	batch := object{"type": "array", "maxItems": request.MaxBatchItems, "items": ref("schemas", "BatchItem")}
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
					request.JSON:   object{"schema": batch},
					request.NDJSON: object{"schema": object{"type": "string"}},
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
				{"name": "ints", "in": "query",
					"description": "string: int ids and versions are JSON strings, as with Prefer: ints=string.",
					"schema":      object{"type": "string", "enum": []string{"string"}}},
				{"name": "Last-Event-ID", "in": "header", "description": "The id of the last event that was received.",
					"schema": object{"type": "string"}},
			},
			"responses": answers(object{"200": object{"description": "The stream.",
				"headers": apidoc.Headers("X-Request-Id"),
				"content": content("text/event-stream", object{"type": "string"})}}),
		})}
}

func entityParameter() object {
	return object{"name": "entity", "in": "query", "description": "Only of these entities; may be repeated.",
		"style": "form", "explode": true,
		"schema": list(object{"type": "string"})}
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

// systemSchemas describes what all entities share.
func systemSchemas() object {
	version := object{"type": "integer", "format": "int64", "minimum": 0}
	anyID := object{"type": []string{"string", "integer"}}
	text := object{"type": "string"}
	textOrNull := object{"type": []string{"string", "null"}}
	timeOrNull := object{"type": []string{"string", "null"}, "format": "date-time"}
	return object{
		"Status": object{"type": "string", "enum": []schema.Status{
			schema.Persisted, schema.Pending, schema.Held, schema.Dead}},
		"Accepted": closed(object{
			"entity": text, "id": anyID, "version": version, "status": ref("schemas", "Status"),
			"fields": object{"type": "object", "description": "The new values of an increment."},
			"error": object{"allOf": []object{ref("schemas", "Refusal")},
				"description": "After a wait: the trouble of the table, for which the write is still pending."},
		}, "entity", "id", "version", "status"),
		"State": closed(object{
			"entity": text, "id": anyID, "version": version, "status": ref("schemas", "Status"),
			"deleted":       object{"type": "boolean"},
			"pending_since": timeOrNull, "next_attempt": timeOrNull, "died_at": timeOrNull,
			"attempts": object{"type": "integer"},
			"error":    object{"anyOf": []object{ref("schemas", "Refusal"), {"type": "null"}}},
		}, "entity", "id", "version", "status", "deleted", "pending_since", "attempts", "next_attempt", "died_at",
			"error"),
		"Refusal": closed(object{
			"kind":       object{"type": "string", "enum": schema.HeldKinds},
			"constraint": textOrNull, "column": textOrNull, "message": text,
			"hint": object{"type": "string", "description": "With kind table: what to do about the table."},
		}, "kind", "constraint", "column", "message"),
		"Problem":      problemSchema(version, text),
		"BatchItem":    itemSchema(anyID),
		"BatchResults": resultsSchema(version, anyID, text),
		"Ready": closed(object{
			"status": object{"enum": []string{"ready", "degraded", "unready"}},
			"checks": closed(object{"redis": ref("schemas", "Check"), "database": ref("schemas", "Check")}, "redis",
				"database"),
		}, "status", "checks"),
		"Check": closed(object{
			"ok": object{"type": "boolean"}, "latency_seconds": object{"type": "number"},
			"hit_rate": object{"type": "number",
				"description": "Of all keys since Redis started; this and the rest of Redis alone, where it tells them."},
			"used_memory_bytes": object{"type": "integer"}, "max_memory_bytes": object{"type": "integer",
				"description": "0: no limit."},
			"evicted_keys": object{"type": "integer"}, "fragmentation": object{"type": "number"},
			"persistence": object{"enum": []string{"none", "always", "everysec", "no", "aof"},
				"description": "When the append-only file is synced; aof: it is kept, and no more is told."},
		}, "ok", "latency_seconds"),
	}
}

func problemSchema(version, text object) object {
	return object{
		"type": "object", "required": []string{"type", "title", "status", "detail"},
		"description": "An RFC 9457 problem.",
		"properties": object{
			"type":  object{"type": "string", "format": "uri", "description": "Stable: tell problems apart by it."},
			"title": text, "status": object{"type": "integer"}, "detail": text, "request_id": text,
			"errors": object{"type": "array", "maxItems": problem.MaxFields,
				"items": closed(object{"field": text, "reason": text}, "field", "reason")},
			"version": version, "record_status": ref("schemas", "Status"), "refusal": ref("schemas", "Refusal"),
		},
	}
}

func itemSchema(anyID object) object {
	return closed(object{
		"op": object{"enum": []cache.Op{cache.OpPut, cache.OpCreate, cache.OpPatch, cache.OpIncrement,
			cache.OpDelete}},
		"entity": object{"type": "string"}, "id": anyID, "fields": object{"type": "object"},
		"if_match":        object{"type": []string{"integer", "string"}},
		"idempotency_key": object{"type": "string", "minLength": 1, "maxLength": producer.MaxKey},
	}, "op", "entity")
}

func resultsSchema(version, anyID, text object) object {
	return closed(object{
		"results": object{"type": "array", "maxItems": request.MaxBatchItems, "items": closed(object{
			"status": object{"type": "integer", "description": "The status code that the item would have had alone."},
			"entity": text, "id": anyID, "version": version, "fields": object{"type": "object"},
			"error": ref("schemas", "Problem"),
		}, "status")},
	}, "results")
}
