// Package apidoc has the pieces that the OpenAPI documents of the API and of the admin API are made of.
package apidoc

// Object is a JSON object of an OpenAPI document.
type Object = map[string]any

// Ref refers to a component of a kind, such as "schemas".
func Ref(kind, name string) Object { return Object{"$ref": "#/components/" + kind + "/" + name} }

// Closed is the schema of an object without other members.
func Closed(properties Object, required ...string) Object {
	if required == nil {
		required = []string{}
	}
	return Object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// List is the schema of an array.
func List(items Object) Object { return Object{"type": "array", "items": items} }

// Content is a body of a media type.
func Content(mediaType string, schema any) Object { return Object{mediaType: Object{"schema": schema}} }

// Response describes an answer with a JSON body, nil for none, and with these headers.
func Response(description string, schema any, headers ...string) Object {
	r := Object{"description": description, "headers": Headers(append(headers, "X-Request-Id")...)}
	if schema != nil {
		r["content"] = Content("application/json", schema)
	}
	return r
}

// Headers refers to headers among the components.
func Headers(names ...string) Object {
	refs := make(Object, len(names))
	for _, name := range names {
		refs[name] = Ref("headers", name)
	}
	return refs
}
