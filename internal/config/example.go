package config

import (
	_ "embed"
	"slices"
)

//go:embed example.yaml
var example []byte

// Example returns the commented example, which is a whole configuration.
func Example() []byte { return slices.Clone(example) }
