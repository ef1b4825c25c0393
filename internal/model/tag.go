package model

import (
	"fmt"
	"strings"
)

// tag is an `afterwrite:"…"` struct tag: what gorm has no word for.
type tag struct {
	name     string // of the entity's field
	min, max string // bounds of a number; max is also the length of a text
	redact   bool
	rank     bool
	text     bool // the column keeps every text as it is, whatever its type is called
}

func parseTag(text string) (tag, error) {
	var t tag
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		key, value, valued := strings.Cut(word, "=")
		texts := map[string]*string{"name": &t.name, "min": &t.min, "max": &t.max}
		flags := map[string]*bool{"redact": &t.redact, "rank": &t.rank, "text": &t.text}
		switch {
		case texts[key] != nil && valued && value != "":
			*texts[key] = value
		case flags[key] != nil && !valued:
			*flags[key] = true
		default:
			return t, fmt.Errorf("afterwrite tag: %q is not min=, max=, name=, redact, rank or text", word)
		}
	}
	return t, nil
}
