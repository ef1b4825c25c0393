package openapi

import (
	"fmt"

	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// describeRank adds the routes that read a rank to the paths of the OpenAPI document.
func describeRank(e *schema.Entity, paths object) {
	if e.RankBy == "" {
		return
	}
	n := e.Name
	collection := paths["/v1/"+n].(object)["get"].(object)
	collection["parameters"] = append(collection["parameters"].([]object),
		object{"name": "top", "in": "query", "schema": object{"type": "integer", "minimum": 1, "maximum": request.MaxLimit},
			"description": "The records with the greatest " + e.RankBy +
				", ties by id, and the rank of each. Without any other parameter."},
		object{"name": "around", "in": "query", "schema": idSchema(e),
			"description": fmt.Sprintf("The records next to this one in the rank, and itself: limit of them, %d if not given.", request.DefaultAround)})
	ok := collection["responses"].(object)["200"].(object)
	ok["description"] = ok["description"].(string) +
		" With top or around: records with their rank, and the number of ranked records."
	schema := ok["content"].(object)[request.JSON].(object)["schema"].(object)
	schema["anyOf"] = append(schema["anyOf"].([]object), ref("schemas", n+"_ranks"))
	paths["/v1/"+n+"/{id}/rank"] = object{
		"parameters": paths["/v1/"+n+"/{id}/status"].(object)["parameters"],
		"get": operation(n, "rank_"+n, "Get a record and its rank by "+e.RankBy+".", object{
			"responses": answers(object{"200": response("The record with its rank.", ref("schemas", n+"_ranks"),
				"Cache-Status", "Afterwrite-Freshness")}, "422"),
		}),
	}
}

func ranksSchema(e *schema.Entity) object {
	record := recordSchema(e)
	record["properties"].(object)["rank"] = object{"type": "integer", "format": "int64", "minimum": 1}
	record["required"] = append([]string{"rank"}, record["required"].([]string)...)
	return closed(object{
		"records": list(record),
		"ranked": object{"type": "integer", "format": "int64", "minimum": 0,
			"description": "Number of ranked records."},
		"foreign": foreignSchema(),
	}, "records", "ranked")
}
