package kubernetes_test

import (
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// TestComposeIsLoaded loads ../compose.yaml as docker compose does, with the variables of ../env.example: an unknown or
// ill-typed key, a variable without a value, or a service, volume or condition that is not there fails.
func TestComposeIsLoaded(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../compose.yaml")
	require.NoError(t, err)
	example, err := os.ReadFile("../env.example")
	require.NoError(t, err)
	env := map[string]string{}
	for line := range strings.Lines(string(example)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(line, "#") {
			env[name] = value + "secret" // the example leaves what is secret empty
		}
	}
	load := func(text string, env map[string]string) (*types.Project, error) {
		return loader.LoadWithContext(t.Context(), types.ConfigDetails{WorkingDir: "..", Environment: env,
			ConfigFiles: []types.ConfigFile{{Filename: "../compose.yaml", Content: []byte(text)}}})
	}
	project, err := load(string(text), env)
	require.NoError(t, err)
	require.Equal(t, []string{"api", "dashboard", "migrate", "postgres", "redis", "worker"}, project.ServiceNames())
	for name, service := range project.Services {
		for dependency, how := range service.DependsOn {
			_, err := project.GetService(dependency)
			require.NoError(t, err, name)
			if how.Condition == types.ServiceConditionHealthy {
				require.NotNil(t, project.Services[dependency].HealthCheck, "%s waits for the health of %s", name, dependency)
			}
		}
		if service.Build != nil {
			require.FileExists(t, "../../"+service.Build.Dockerfile)
		}
	}
	require.Equal(t, 2, *project.Services["worker"].Deploy.Replicas)

	_, err = load(string(text), map[string]string{})
	require.ErrorContains(t, err, "set it in deploy/.env")
	_, err = load(strings.Replace(string(text), "restart:", "restrat:", 1), env)
	require.Error(t, err)
	_, err = load(strings.Replace(string(text), "postgres: {condition", "postgers: {condition", 1), env)
	require.Error(t, err)
}
