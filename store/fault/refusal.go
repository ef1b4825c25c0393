package fault

import (
	"strings"
	"unicode/utf8"

	"github.com/afterwrite/afterwrite/schema"
)

// Refusal makes a refusal whose message is bounded and valid UTF-8.
func Refusal(kind schema.Kind, constraint, column, message string) schema.Refusal {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) > schema.MaxRefusalMessage {
		cut := schema.MaxRefusalMessage
		for !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut]
	}
	return schema.Refusal{Kind: kind, Constraint: constraint, Column: column, Message: message}
}
