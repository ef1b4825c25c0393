package bench

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// row is a record for the ways that use a declared struct.
type row struct {
	ID     string `json:"id" gorm:"primaryKey;size:64"`
	Name   string `json:"name"`
	Email  string `json:"email"`
	Age    int64  `json:"age"`
	Visits int64  `json:"visits"`
	Active bool   `json:"active"`
	Note   string `json:"note"`
}

// TableName returns the table for gorm.
func (row) TableName() string { return "bench_afterwrite_plain" }

// id returns the id of the nth record. Consecutive numbers give ids that are far apart in order, like the ids of rows
// that change at about the same time.
func id(n int) string {
	z := uint64(n) + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return "u" + strconv.FormatUint(z^z>>31, 36)
}

// sample returns a record of six fields.
func sample(id string) row {
	return row{ID: id, Name: "Ann Example", Email: "ann@example.org", Age: 34, Visits: 1208, Active: true,
		Note: "prefers letters"}
}

// fields are the values of a sample, as a caller of the library passes them.
var fields = schema.Fields{
	"name": "Ann Example", "email": "ann@example.org", "age": int64(34), "visits": int64(1208),
	"active": true, "note": "prefers letters",
}

// sized returns a sample whose values have that many bytes in total.
func sized(id string, bytes int) row {
	r := sample(id)
	rest := bytes - len(r.Name) - len(r.Email) - len("34") - len("1208") - len("true")
	r.Note = strings.Repeat("n", max(rest, 0))
	return r
}

// each returns a record whose texts have that many bytes each.
func each(id string, bytes int) row {
	text := strings.Repeat("n", bytes)
	return row{ID: id, Name: text, Email: text, Age: 34, Visits: 1208, Active: true, Note: text}
}

func (r row) fields() schema.Fields {
	return schema.Fields{"name": r.Name, "email": r.Email, "age": r.Age, "visits": r.Visits, "active": r.Active,
		"note": r.Note}
}

// text returns the record as JSON.
func (r row) text() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // impossible for a struct of texts and numbers
	}
	return string(text)
}

// body returns the record as a request's body: the id is in the path.
func (r row) body() string {
	text, err := json.Marshal(r.fields())
	if err != nil {
		panic(err) // impossible for a map of texts and numbers
	}
	return string(text)
}
