package layout

import (
	"github.com/afterwrite/afterwrite/schema"
)

// MaxUnsure bounds the ids of unsure rank per partition; beyond it the rank is rebuilt.
const MaxUnsure = 1000

// Score returns the text of the score of a record with these values: "null" for none, "" if the entity is not ranked.
func Score(e *schema.Entity, values schema.Values) string {
	i, ok := e.Field(e.RankBy)
	switch {
	case !ok:
		return ""
	case i >= len(values) || values[i] == "":
		return schema.Null
	}
	if _, foreign := schema.IsForeign(values[i]); foreign {
		return schema.Null
	}
	return values[i]
}
