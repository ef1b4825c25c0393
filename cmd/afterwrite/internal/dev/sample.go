package dev

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/local"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/schema"
)

// samples are values that a field of the type accepts unless it is bounded.
var samples = map[schema.FieldType]string{
	schema.String: `"Ada"`, schema.Text: `"Ada"`, schema.Int: `1`, schema.Float: `1.5`,
	schema.Decimal: `"1"`, schema.Bool: `true`, schema.Time: `"2026-01-31T12:00:00Z"`,
	schema.JSON: `{"a":1}`, schema.Bytes: `"QWRh"`, schema.UUID: `"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"`,
}

func sampleID(e *schema.Entity) string {
	if e.ID.Composite() {
		values := make([]string, len(e.Key()))
		for n, i := range e.Key() {
			values[n] = samples[e.Fields[i].Type]
		}
		return e.KeyID(values)
	}
	switch e.ID.Type {
	case schema.Int:
		return "1"
	case schema.UUID:
		return "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"
	}
	return "ada"
}

// sampleBody is a record with a value for each required field, or for the first one.
func sampleBody(e *schema.Entity) string {
	var parts []string
	for i, f := range e.Fields {
		if !slices.Contains(e.Key(), i) && (f.Required || (i == len(e.Key()) && f.References == "")) {
			parts = append(parts, fmt.Sprintf("%q:%s", f.Name, samples[f.Type]))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// envFile, in the data directory, lets the other commands reach a dev that runs.
const envFile = "env"

// writeEnv writes the environment of the other commands, and the built-in example where
// no file is configured. Only the user can read it: there may be a password in it.
func writeEnv(c *config.Config, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	file := c.File
	if file == config.Builtin {
		file = filepath.Join(dir, config.DefaultFile)
		if err := local.WriteOwn(file, config.Example()); err != nil {
			return fmt.Errorf("write the example: %w", err)
		}
	} else if file, err = filepath.Abs(file); err != nil {
		return err
	}
	var b strings.Builder
	for _, v := range [][2]string{
		{config.EnvFile, file}, {config.VariableOf("redis.url"), c.Redis.URL},
		{config.VariableOf("database.url"), c.Database.URL},
	} {
		fmt.Fprintf(&b, "export %s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	if err := local.WriteOwn(filepath.Join(dir, envFile), []byte(b.String())); err != nil {
		return fmt.Errorf("write the environment of the other commands: %w", err)
	}
	return nil
}
