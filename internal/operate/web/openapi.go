package web

import (
	"fmt"

	"github.com/afterwrite/afterwrite/internal/apidoc"
	"github.com/afterwrite/afterwrite/schema"
)

// object is a JSON object of an OpenAPI document, and the others make one.
type object = apidoc.Object

var ref, closed, list = apidoc.Ref, apidoc.Closed, apidoc.List

var (
	text       = object{"type": "string"}
	whole      = object{"type": "integer", "format": "int64"}
	instant    = object{"type": "string", "format": "date-time"}
	yesNo      = object{"type": "boolean"}
	anyID      = object{"type": []string{"string", "integer"}}
	anyVersion = object{"type": []string{"integer", "string"}, "description": "A string where ints=string is preferred."}
	textOrNone = object{"type": []string{"string", "null"}}
	timeOrNone = object{"type": []string{"string", "null"}, "format": "date-time"}
	nextOrNone = object{"type": []string{"integer", "null"}, "description": `The "after" of the next page.`}
)

// OpenAPI describes the routes and what they answer, for the document of the API that
// serves them. They refer to its schemas Problem, Refusal and Status, its responses
// ProblemNNN and its headers.
func (a *Admin) OpenAPI() (paths, schemas object) {
	number := object{"name": "number", "in": "path", "required": true, "schema": whole}
	entity := object{"name": "entity", "in": "path", "required": true, "schema": text}
	job := object{"name": "id", "in": "path", "required": true, "schema": text}
	filter := append(filterParameters(letterMembers), limitParameter)
	paths = object{
		"dead": object{"get": op("list_dead", "Dead letters, the newest first.", append(filter, afterParameter), nil,
			answer("A page.", "DeadPage"))},
		"dead/groups": object{"get": op("group_dead", "Dead letters counted by entity and error, the most first.",
			filter, nil,
			answer("The groups.", "DeadGroups"))},
		"dead/retry": object{"post": bulkOp("retry_dead",
			"Send dead letters back to the database, attempts from scratch. With restore, those whose records Redis has lost are written again over the database's rows, and first those that the database has lost.")},
		"dead/discard": object{"post": bulkOp("discard_dead",
			"Give dead letters up: the state of each one's row stands again.")},
		"dead/{number}": object{"parameters": []object{number}, "get": op("show_dead",
			"A dead letter beside the record as it is now.",
			[]object{query("reveal", "Show what the configuration redacts; this is audited.", yesNo)}, nil,
			answer("The letter.", "DeadShown"))},
		"dead/{number}/edit": object{"parameters": []object{number}, "post": op("edit_dead",
			"Write a dead record again with some fields changed. 409 where a newer write or another operator was faster, or the configuration has its entity no more.", nil,
			closed(object{"fields": object{"type": "object", "minProperties": 1}}, "fields"),
			object{"202": response("Accepted.", "Edited", "ETag")}, "409", "413", "415", "422")},
		"held": object{"get": op("list_held",
			"The held records of a filter, the next to be tried first, and how many there are.",
			append(filterParameters(heldMembers), limitParameter), nil, answer("The records.", "HeldPage"), "413")},
		"held/retry": object{"post": heldOp("retry_held", "Try held records again now, attempts from scratch.")},
		"held/discard": object{"post": heldOp("discard_held",
			"Give held records up: the state of each one's row stands again.")},
		"held/edit": object{"post": op("edit_held",
			"Write a held record again with some fields changed. 409 where it is no longer held at that version.", nil,
			closed(object{"entity": text, "id": anyID, "version": anyVersion,
				"fields": object{"type": "object", "minProperties": 1}}, "entity", "id", "version", "fields"),
			object{"202": response("Accepted.", "Edited", "ETag")}, "409", "413", "415", "422")},
		"jobs": object{"get": op("list_jobs", "The bulk work of all processes, the newest first.", nil, nil,
			answer("The jobs.", "Jobs"))},
		"jobs/{id}": object{"parameters": []object{job}, "get": op("get_job", "How far a job is.", nil, nil,
			answer("The job.", "Job"))},
		"jobs/{id}/stop": object{"parameters": []object{job}, "post": op("stop_job",
			"Stop a job after its step, in whatever process it runs; a repeat of its action resumes it.", nil, nil,
			object{"202": response("It stops.", "Job")}, "403")},
		"retry-policies": object{"get": op("list_policies", "The active retry policy of every entity.", nil, nil,
			answer("The policies.", "Policies"))},
		"retry-policies/{entity}": object{"parameters": []object{entity},
			"get": op("get_policy", "The active retry policy.", nil, nil,
				object{"200": response("The policy.", "Policy", "ETag")}),
			"patch": op("set_policy",
				"Change the named settings, as a new version; null takes a kind's setting away. Workers follow within 2 s.",
				[]object{ifMatch}, closed(object{"policy": ref("schemas", "PolicyChange"), "note": text}, "policy"),
				object{"200": response("The new version.", "Policy", "ETag")}, "403", "412", "413", "415", "422"),
		},
		"retry-policies/{entity}/preview": object{"parameters": []object{entity}, "post": op("preview_policy",
			"The schedule of the active policy with changes made, and what it would do to the records that wait.",
			nil,
			closed(object{"policy": ref("schemas", "PolicyChange"), "kind": ref("schemas", "RefusalKind"),
				"against": text}),
			answer("The preview.", "PolicyPreview"), "403", "413", "415", "422")},
		"retry-policies/{entity}/history": object{"parameters": []object{entity}, "get": op("policy_history",
			"The versions of a policy with what each changed, the newest first.", []object{limitParameter}, nil,
			answer("The versions.", "PolicyHistory"))},
		"retry-policies/{entity}/rollback": object{"parameters": []object{entity}, "post": op("rollback_policy",
			"Apply an earlier version again, as a new one; 0 is the configuration's.", []object{ifMatch},
			closed(object{"version": whole}, "version"), object{"200": response("The new version.", "Policy", "ETag")},
			"403", "412", "413", "415", "422")},
		"invalidate": object{"post": op("invalidate",
			"Drop persisted records from the cache, by ids or by a glob over them.", nil,
			closed(object{"entity": text, "ids": list(anyID), "match": text}, "entity"),
			answer("How many were dropped.", "Invalidated"), "403", "413", "415", "422")},
		"pause": object{"post": op("pause",
			"Stop the flushing of an entity, or of some of its partitions. Writes go on being accepted.", nil,
			closed(object{"entity": text, "partitions": list(whole)}, "entity"),
			answer("How many partitions that changed.", "Flushing"), "403", "413", "415", "422")},
		"resume": object{"post": op("resume", "Start the flushing again.", nil,
			closed(object{"entity": text, "partitions": list(whole)}, "entity"),
			answer("How many partitions that changed.", "Flushing"), "403", "413", "415", "422")},
		"flush": object{"post": op("flush",
			"Flush all of an entity immediately, held records included, without waiting for a flush delay or a next attempt.", nil,
			closed(object{"entity": text}, "entity"), object{"202": response("What was ordered.", "FlushedNow")}, "403",
			"413", "415", "422")},
		"audit": object{"get": op("audit", "What operators did, the newest first.",
			[]object{query("entity", "Only about this entity.", text), query("id", "Only about this record.", text),
				limitParameter, afterParameter}, nil,
			answer("A page.", "AuditPage"))},
		"stats": object{"get": op("stats", "The statistics of every entity.", nil, nil,
			answer("The statistics.", "AllStats"))},
	}
	full := make(object, len(paths))
	for path, item := range paths {
		full["/v1/admin/"+path] = item
	}
	return full, schemaObjects()
}

// op describes an operation; body is nil for none.
func op(id, summary string, parameters []object, body object, own object, problems ...string) object {
	o := object{"tags": []string{"admin"}, "operationId": "admin_" + id, "summary": summary}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if body != nil {
		o["requestBody"] = object{"required": true, "content": apidoc.Content("application/json", body)}
	}
	for _, code := range append(problems, "400", "403", "404", "405", "500", "503") {
		own[code] = ref("responses", "Problem"+code)
	}
	o["responses"] = own
	return o
}

func bulkOp(id, summary string) object {
	return op(id, summary+
		fmt.Sprintf(" By numbers, or all that wait and match a filter: expect then says how many the caller has seen. "+
			"Up to %d are done at once; more become a job.", DefaultSyncLimit), nil,
		closed(object{"numbers": object{"type": "array", "items": whole, "minItems": 1, "maxItems": MaxNumbers},
			"filter": ref("schemas", "DeadFilter"), "expect": object{"type": "integer", "minimum": 0},
			"restore": object{"type": "boolean", "description": "Of a retry alone."}}),
		object{"200": response("What was done.", "BulkReport"), "202": response("A job does it.", "Job", "Location")},
		"409", "413", "415", "422")
}

func heldOp(id, summary string) object {
	return op(id, summary+
		fmt.Sprintf(" One at the version that the caller has seen, 409 where it is held there no more; or all that match a filter: expect then says how many the caller has seen. "+
			"Up to %d are done at once; more become a job.", DefaultSyncLimit), nil,
		closed(object{"entity": text, "id": anyID, "version": anyVersion, "filter": ref("schemas", "HeldFilter"),
			"expect": object{"type": "integer", "minimum": 0}}),
		object{"200": response("What was done.", "BulkReport"), "202": response("A job does it.", "Job", "Location")},
		"409", "413", "415", "422")
}

func answer(description, schema string) object { return object{"200": response(description, schema)} }

func response(description, schema string, headers ...string) object {
	return apidoc.Response(description, ref("schemas", schema), headers...)
}

func query(name, description string, schema object) object {
	return object{"name": name, "in": "query", "description": description, "schema": schema}
}

var (
	limitParameter = query("limit", "Items of a page.", object{"type": "integer", "minimum": 1, "maximum": MaxLimit,
		"default": DefaultLimit})
	afterParameter = query("after", `The "next" of the page before.`, whole)
	ifMatch        = object{"name": "If-Match", "in": "header",
		"description": "The version that the caller has seen, quoted; else 412.", "schema": text}
)

// filterMembers are the parts of a filter, as query parameters and as a body.
func filterMembers() []struct {
	name, description string
	schema            object
} {
	when := "A time, RFC 3339, or how long ago, such as 2h: "
	return []struct {
		name, description string
		schema            object
	}{
		{"entity", "Only of this entity.", text},
		{"id", "Only of this record.", text},
		{"kind", "Only of this kind of refusal.", ref("schemas", "RefusalKind")},
		{"constraint", "Only of this constraint.", text},
		{"text", "Only with this text in the error.", text},
		{"since", when + "died then or later.", text},
		{"until", when + "died before.", text},
		{"state", "Where the letter stands: waiting unless given.", object{"type": "string", "enum": States}},
		{"resolution", "How the letter was resolved.", object{"type": "string", "enum": resolutions}},
	}
}

// Those of letters are all of them; held records have no state.
const letterMembers, heldMembers = 9, 7

func filterParameters(members int) []object {
	var parameters []object
	for _, m := range filterMembers()[:members] {
		parameters = append(parameters, query(m.name, m.description, m.schema))
	}
	return parameters
}

func schemaObjects() object {
	filter, held := object{}, object{}
	for i, m := range filterMembers() {
		filter[m.name] = m.schema
		if i < heldMembers {
			held[m.name] = m.schema
		}
	}
	letter := letterProperties()
	override := object{"max_attempts": whole, "base": text, "factor": object{"type": "number"}, "cap": text,
		"jitter": object{"type": "string", "enum": []schema.Jitter{schema.JitterFull, schema.JitterEqual,
			schema.JitterNone}}}
	settings := object{"timeout": text, "on": object{"type": "object", "propertyNames": object{"enum": schema.Kinds},
		"additionalProperties": closed(override)}}
	for name, s := range override {
		settings[name] = s
	}
	policy := closed(object{"entity": text, "version": whole, "policy": ref("schemas", "PolicySettings"),
		"author": textOrNone, "note": textOrNone, "set_at": timeOrNone,
		"changes": list(closed(object{"setting": text, "from": text, "to": text}, "setting", "from", "to"))}, "entity",
		"version", "policy", "author", "note", "set_at")
	return object{
		"RefusalKind": object{"type": "string", "enum": schema.HeldKinds},
		"DeadFilter":  closed(filter),
		"HeldFilter":  closed(held),
		"HeldPage": closed(object{"count": whole, "held": list(closed(object{"entity": text, "id": anyID,
			"version": anyVersion, "error": ref("schemas", "Refusal"),
			"attempts": whole, "last_attempt": timeOrNone, "next_attempt": timeOrNone, "isolated": yesNo},
			"entity", "id", "version", "error", "attempts", "last_attempt", "next_attempt", "isolated"))}, "count",
			"held"),
		"DeadLetter": closed(letter, letterRequired...),
		"DeadPage": closed(object{"letters": list(ref("schemas", "DeadLetter")), "next": nextOrNone}, "letters",
			"next"),
		"DeadGroups": closed(object{"groups": list(closed(object{"entity": text, "error": ref("schemas", "Refusal"),
			"count": whole, "first": instant, "last": instant},
			"entity", "error", "count", "first", "last"))}, "groups"),
		"DeadShown": shownSchema(letter),
		"Edited": closed(object{"entity": text, "id": anyID, "version": anyVersion, "status": ref("schemas", "Status")},
			"entity", "id", "version", "status"),
		"BulkReport": closed(object{"selected": whole, "done": whole, "stale": whole, "failed": whole,
			"errors": list(text)}, "selected", "done", "stale", "failed"),
		"Job": closed(object{"id": text, "action": text, "state": object{"type": "string",
			"enum": []string{"running", "stopping", "interrupted", "done", "stopped", "failed"}},
			"actor": text, "began_at": instant, "ended_at": timeOrNone, "runner": text, "resumed": whole,
			"stopped_by": text, "report": ref("schemas", "BulkReport"), "error": text},
			"id", "action", "state", "actor", "began_at", "ended_at", "resumed", "report"),
		"Jobs":           closed(object{"jobs": list(ref("schemas", "Job"))}, "jobs"),
		"PolicySettings": closed(settings, "max_attempts", "base", "factor", "cap", "jitter", "timeout"),
		"PolicyChange": object{"type": "object",
			"description": "Settings to change; null takes a kind's setting, or all of a kind, away."},
		"Policy":        policy,
		"Policies":      closed(object{"policies": list(ref("schemas", "Policy"))}, "policies"),
		"PolicyHistory": closed(object{"versions": list(ref("schemas", "Policy"))}, "versions"),
		"PolicyPreview": previewSchema(),
		"FlushedNow": closed(object{"entity": text, "pending": whole, "held": whole, "partitions": whole,
			"paused": whole}, "entity", "pending", "held", "partitions", "paused"),
		"Flushing":    closed(object{"entity": text, "changed": whole}, "entity", "changed"),
		"Invalidated": closed(object{"entity": text, "dropped": whole}, "entity", "dropped"),
		"AuditPage": closed(object{"next": nextOrNone, "entries": list(closed(object{"number": whole, "at": instant,
			"actor": text, "origin": text, "action": text,
			"entity": textOrNone, "id": object{"type": []string{"string", "integer", "null"}}, "version": anyVersion,
			"detail": object{"type": []string{"object", "null"}}},
			"number", "at", "actor", "origin", "action", "entity", "id", "detail"))}, "entries", "next"),
		"AllStats": closed(object{"entities": list(statsSchema())}, "entities"),
	}
}

var letterRequired = []string{"number", "entity", "id", "version", "operation", "state", "error", "attempts",
	"accepted_at", "died_at",
	"retried_at", "resolution", "resolved_at", "resolver", "fields", "changed"}

func letterProperties() object {
	return object{
		"number": whole, "entity": text, "id": anyID, "version": anyVersion, "attempts": whole,
		"error":       ref("schemas", "Refusal"),
		"operation":   object{"type": "string", "enum": []string{"put", "delete"}},
		"state":       object{"type": "string", "enum": []string{"waiting", "retrying", "resolved"}},
		"accepted_at": instant, "died_at": instant, "retried_at": timeOrNone, "resolution": textOrNone,
		"resolved_at": timeOrNone, "resolver": textOrNone,
		"fields": object{"type": []string{"object", "null"},
			"description": "What was refused; redacted fields are hidden."},
		"changed": object{"type": []string{"array", "null"}, "items": text,
			"description": "The fields that a retry or a restore writes; null: all of them."},
	}
}

func shownSchema(letter object) object {
	properties := object{
		"configured": object{"type": "boolean",
			"description": "Whether the configuration has the entity. Else the letter alone is known, its fields only where they are revealed, and nothing can be done until it is put back."},
		"unknown": object{"type": "boolean",
			"description": "Redis did not respond: what has become of the record, and what can be done, is not known."},
		"stored": yesNo, "lost": yesNo, "actions": list(object{"type": "string",
			"enum": []string{"retry", "restore", "edit", "discard"}}),
		"history": list(closed(object{"number": whole, "at": instant, "kind": ref("schemas", "RefusalKind"),
			"message": text, "worker": text, "trace_id": text, "request_id": text},
			"number", "at", "kind", "message", "worker")),
		"record": object{"anyOf": []object{{"type": "null"}, closed(object{"status": ref("schemas", "Status"),
			"version": anyVersion, "cached": yesNo,
			"deleted": yesNo, "attempts": whole, "next_attempt": timeOrNone}, "status", "version", "cached", "deleted",
			"attempts", "next_attempt")}},
		"compare": list(closed(object{"field": text, "dead": object{}, "database": object{}, "differs": yesNo}, "field",
			"dead", "database", "differs")),
	}
	for name, s := range letter {
		properties[name] = s
	}
	return closed(properties, append([]string{"history", "record", "configured", "stored", "unknown", "lost", "compare",
		"actions"}, letterRequired...)...)
}

func previewSchema() object {
	seconds := object{"type": "number"}
	step := closed(object{"attempt": whole, "delay_low_seconds": seconds, "delay_high_seconds": seconds,
		"after_low_seconds": seconds, "after_high_seconds": seconds},
		"attempt", "delay_low_seconds", "delay_high_seconds", "after_low_seconds", "after_high_seconds")
	schedule := closed(object{"kind": object{"anyOf": []object{ref("schemas", "RefusalKind"), {"type": "null"}}},
		"steps":            list(step),
		"dead_low_seconds": seconds, "dead_high_seconds": seconds}, "kind", "steps", "dead_low_seconds",
		"dead_high_seconds")
	effect := closed(object{"entity": text, "waiting": whole, "sooner": whole, "later": whole,
		"die_at_next_refusal": whole, "first": timeOrNone, "last": timeOrNone},
		"entity", "waiting", "sooner", "later", "die_at_next_refusal", "first", "last")
	return closed(object{"policy": ref("schemas", "PolicySettings"), "schedules": list(schedule), "effect": effect},
		"policy", "schedules")
}

func statsSchema() object {
	properties := object{"entity": text, "oldest_pending": timeOrNone, "next_attempt": timeOrNone,
		"oldest_dead": timeOrNone}
	required := []string{"entity", "oldest_pending", "next_attempt", "oldest_dead"}
	for _, name := range []string{"accepted", "persisted", "superseded", "discarded", "lost", "conflicts", "pending", "held",
		"dead"} {
		properties[name] = whole
		required = append(required, name)
	}
	return closed(properties, required...)
}
