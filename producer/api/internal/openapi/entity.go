package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

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
				"requestBody": body(ref("schemas", n+"_increment"), request.JSON),
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
		paths["/v1/"+e.Name+"/"+request.ByQuery+rest] = by
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
			"requestBody": body(ref("schemas", n+"_create"), request.JSON),
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
			"requestBody": body(ref("schemas", n+"_put"), request.JSON),
			"responses":   answers(acceptedAnswers(), "409", "412", "413", "415", "422"),
		}),
		"patch": operation(n, "patch_"+n, "Set some fields: a JSON merge patch of the top level.", object{
			"parameters":  writeParameters(e, "If-Match", "Idempotency-Key", "Prefer"),
			"requestBody": body(ref("schemas", n+"_patch"), request.Merge, request.JSON),
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
		"schema": object{"type": "array", "minItems": 1, "maxItems": request.MaxIDs, "items": idSchema(e)},
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
