package openapi

import (
	"maps"
	"slices"

	"github.com/afterwrite/afterwrite/internal/apidoc"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
)

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
			"schema":      object{"type": "integer", "minimum": 1, "maximum": request.MaxLimit, "default": request.DefaultLimit}},
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
			"description": texts[code], "headers": apidoc.Headers(headers...),
			"content": content("application/problem+json", ref("schemas", "Problem")),
		}
	}
	return responses
}
