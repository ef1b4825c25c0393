package openapi

import (
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/internal/token"
)

// schemeName is the name of the tokens in the OpenAPI document.
const schemeName = "token"

// securitySchemes describes the tokens.
func securitySchemes() object {
	return object{schemeName: object{
		"type": "http", "scheme": "bearer", "bearerFormat": token.Prefix + "…",
		"description": "A token that `afterwrite token new` has made. Its scopes are read, write and admin, for one entity (user:read) or for all (*:read); none includes another.",
	}}
}

// secure names, for each operation, the scope that it needs. If no token is required, the operation can be called
// without one as well.
func secure(paths object, required bool) {
	for path, item := range paths {
		for method, operation := range item.(object) {
			op, ok := operation.(object)
			if !ok || !slices.Contains([]string{"get", "put", "post", "patch", "delete"}, method) {
				continue
			}
			needs, open := scopesOf(path, method, op)
			if open {
				op["security"] = []object{}
				continue
			}
			op["security"] = []object{{schemeName: needs}}
			if !required {
				op["security"] = []object{{}, {schemeName: needs}}
			}
			for _, code := range []string{"401", "403"} {
				op["responses"].(object)[code] = ref("responses", "Problem"+code)
			}
		}
	}
}

// scopesOf returns the scopes that an operation needs, as far as the path shows what it is about; an open operation
// needs no token.
func scopesOf(path, method string, op object) (needs []string, open bool) {
	tag := op["tags"].([]string)[0]
	switch {
	case path == "/metrics" || path == "/v1/batch" || strings.HasPrefix(path, "/v1/events"):
		return []string{}, false
	case tag == "system":
		return nil, true
	case tag == "admin":
		return []string{token.Every + ":" + token.Admin.String()}, false
	case method == "get":
		return []string{tag + ":" + token.Read.String()}, false
	}
	return []string{tag + ":" + token.Write.String()}, false
}
