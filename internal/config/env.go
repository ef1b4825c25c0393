package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// EnvPrefix begins the name of every environment variable that is a setting.
const EnvPrefix = "AFTERWRITE_"

// EnvFile names the environment variable with the path of the configuration file.
const EnvFile = EnvPrefix + "CONFIG"

// EnvLogLevel names the environment variable with the log level. It is not a setting of the file, because logging
// begins before the file is read.
const EnvLogLevel = EnvPrefix + "LOG_LEVEL"

// LogLevel returns the log level in env ("NAME=value"), or "".
func LogLevel(env []string) string {
	for _, entry := range env {
		if text, ok := strings.CutPrefix(entry, EnvLogLevel+"="); ok {
			return text
		}
	}
	return ""
}

// VariableOf returns the environment variable of a setting.
func VariableOf(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// environment applies the AFTERWRITE_ variables of env ("NAME=value") to the settings. A variable that names no setting
// is a fault, because it is probably misspelt.
func (c *Config) environment(env []string) faults {
	settings := map[string]setting{}
	var known []string
	for _, s := range c.settings() {
		settings[VariableOf(s.path)] = s
		known = append(known, VariableOf(s.path))
	}
	var fs faults
	env = slices.Sorted(slices.Values(env))
	given := map[string]bool{}
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		given[name] = true
	}
	for _, entry := range env {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == EnvFile || name == EnvLogLevel {
			continue
		}
		s, ok := settings[name]
		if file, cut := strings.CutSuffix(name, "_FILE"); cut && !ok {
			if s, ok = settings[file]; ok {
				if given[file] {
					fs.add(&Fault{Source: name, Reason: "contradicts " + file + ": set one of the two"})
					continue
				}
				var err error
				if text, err = s.fromFile(text); err != nil {
					fs.add(&Fault{Source: name, Reason: err.Error()})
					continue
				}
			}
		}
		if !ok && serviceLink(name, text) {
			continue
		}
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

// links matches the variables that Kubernetes sets in every container for each Service, including a Service that is
// called afterwrite or afterwrite-api.
var links = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

// serviceLink reports whether a variable is the address of a Service and not a setting.
func serviceLink(name, text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	port := ok && strings.HasSuffix(name, "_PORT") && slices.Contains([]string{"tcp", "udp", "sctp"}, scheme)
	return port || links.MatchString(name)
}

// fromFile reads a setting's text from a file, without a final line break. A URL with a password keeps the file's name,
// so that the password is read again at each connection.
func (s setting) fromFile(file string) (string, error) {
	text, err := read(file)
	if err != nil {
		return "", err
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if !slices.Contains([]string{"redis.url", "queue.redis_url", "database.url"}, s.path) ||
		!strings.Contains(value, "://") || strings.HasPrefix(value, "sqlite:") {
		return value, nil
	}
	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}
	mark := "?"
	if strings.Contains(value, "?") {
		mark = "&"
	}
	return value + mark + "url_file=" + url.QueryEscape(file), nil
}

// apply parses a setting from one line of text.
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
