// Package config reads the one YAML file that describes a deployment: where Redis
// and the database are, what each process listens on, and the entities.
//
// Reading is strict. A key that is not a setting, a value of another type, a key
// that is there twice and a value out of bounds are all errors that say file, line
// and column, the path of the setting and what would be right; every fault of a file
// is reported at once. Nothing is guessed: an anchor, a tag or a second document is
// refused as well.
//
// Each scalar outside entities can be overridden by an environment variable,
// AFTERWRITE_ and its path in capitals, so a container needs no file of its own for
// an address or a password. The file and the environment go through the same table
// (settings.go) and the same forms (form.go), so they cannot disagree about what a
// duration or a size looks like.
package config
