package config

import (
	_ "embed"
	"slices"
)

//go:embed example.yaml
var example []byte

// Example returns the commented example, which is a complete configuration.
func Example() []byte { return slices.Clone(example) }
