// Package openapi makes the OpenAPI document of the HTTP API from its entities.
//
//	openapi.go   the document, and what its parts are made of
//	entity.go    the routes of an entity       schema.go  its records and the bodies of its writes
//	rank.go      the routes of a rank
//	system.go    all other routes and schemas
//	shared.go    parameters, headers and answers that routes share
//	security.go  the scopes that each route needs
package openapi

import (
	"cmp"
	"encoding/json"
	"maps"

	"github.com/afterwrite/afterwrite/internal/apidoc"
	"github.com/afterwrite/afterwrite/schema"
)

// object is a JSON object of the OpenAPI document, and the others make one.
type object = apidoc.Object

var (
	ref, closed, list = apidoc.Ref, apidoc.Closed, apidoc.List
	content, response = apidoc.Content, apidoc.Response
)

// API is what an API serves.
type API struct {
	Entities []*schema.Entity
	Events   bool                                   // event streams
	Tickets  bool                                   // tickets for them
	Admin    func() (paths, schemas map[string]any) // the admin API's part; nil: there is none
	Tokens   bool                                   // tokens are known
	Required bool                                   // a token is required
	Version  string                                 // of the program
}

// Document returns the OpenAPI 3.1 document of an API.
func Document(of API) ([]byte, error) {
	paths := systemPaths()
	schemas := systemSchemas()
	tags := []object{
		{"name": "batch", "description": "Many writes in one request."},
		{"name": "system", "description": "Health, metrics and this document."},
	}
	if of.Events {
		paths["/v1/events"] = eventPath()
	}
	if of.Events && of.Tickets {
		paths["/v1/events/ticket"] = ticketPath()
	}
	if of.Admin != nil {
		more, theirs := of.Admin()
		maps.Copy(paths, more)
		maps.Copy(schemas, theirs)
		tags = append(tags,
			object{"name": "admin", "description": "What operators do: dead letters, retry policies, invalidation."})
	}
	for _, e := range of.Entities {
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
	if of.Tokens {
		components["securitySchemes"] = securitySchemes()
		secure(paths, of.Required)
	}
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{
			"title":   "Afterwrite",
			"version": cmp.Or(of.Version, "unknown"),
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
