package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func loadPeople(t *testing.T, dashboard string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	text := "dashboard:\n" + dashboard + "entities:\n  user: {fields: {name: {type: string}}}\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return Load(path, nil)
}

func TestDashboardUsers(t *testing.T) {
	t.Parallel()
	c, err := loadPeople(t,
		"  environment: production\n  proxy_header: X-User\n  trusted_proxies: [10.0.0.1]\n  users:\n"+
			"    ada: {role: admin, hash: \"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5\"}\n    bob: {role: viewer}\n")
	require.NoError(t, err)
	require.Equal(t, []User{{"ada", "admin", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5"}, {"bob", "viewer", ""}},
		c.Dashboard.Users)
	require.Equal(t, "production", c.Dashboard.Environment)
	require.Equal(t, "10.0.0.1/32", c.Dashboard.TrustedProxies[0].String())
	for text, want := range map[string]string{
		"  users: {ada: {role: boss}}\n":  "boss",
		"  users: {ada: {hash: x}}\n":     "needs a role",
		"  users: {ada: {rule: admin}}\n": "rule",
		"  proxy_header: \"X: y\"\n":      "name of an HTTP header",
		"  proxy_role: boss\n":            "boss",
	} {
		_, err := loadPeople(t, text)
		require.ErrorContains(t, err, want, text)
	}
}
