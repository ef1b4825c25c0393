package config

import (
	"slices"
	"strings"
)

// EnvPrefix begins the name of every environment variable that is a setting.
const EnvPrefix = "AFTERWRITE_"

// EnvFile names the environment variable with the path of the configuration file.
const EnvFile = EnvPrefix + "CONFIG"

// variable is the environment variable of a setting.
func variable(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// environment applies the AFTERWRITE_ variables of env ("NAME=value") to the
// settings. A variable that is none is a fault: it is a misspelt one.
func (c *Config) environment(env []string) faults {
	settings := map[string]setting{}
	var known []string
	for _, s := range c.settings() {
		settings[variable(s.path)] = s
		known = append(known, variable(s.path))
	}
	var fs faults
	env = slices.Sorted(slices.Values(env))
	for _, entry := range env {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == EnvFile {
			continue
		}
		s, ok := settings[name]
		if !ok {
			fs.add(&Fault{Source: name, Reason: "is not a setting" + suggest(name, known)})
			continue
		}
		if err := s.apply(text); err != nil {
			fs.add(&Fault{Source: name, Reason: err.Error()})
			continue
		}
		c.named[s.path] = true
		c.places[s.path] = place{source: name}
	}
	return fs
}

// apply reads a setting from one line of text.
func (s setting) apply(text string) error {
	switch {
	case s.list != nil:
		return s.list(split(text))
	case s.pairs != nil:
		return s.pairs(split(text))
	}
	return s.text(text)
}

func split(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
