// Package config reads the YAML file that describes a deployment: where Redis and the database are, what each process
// listens on, and the entities.
//
// Parsing is strict. An unknown key, a value of the wrong type, a repeated key and a value out of bounds are errors
// that give file, line and column, the path of the setting and what would be right; all faults of a file are reported
// together. Nothing is guessed: an anchor, a tag or a second document is rejected as well.
//
// Each scalar outside entities can be overridden by an environment variable, AFTERWRITE_ followed by its path in
// capitals, so a container needs no file for an address or a password. The file and the environment use the same table
// (settings.go) and the same forms (form.go), so they cannot disagree about the syntax of a duration or a size.
package config
