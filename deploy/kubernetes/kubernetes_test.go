// Package kubernetes_test builds the overlays as kustomize does, and decodes every object
// strictly into the types of the Kubernetes API.
package kubernetes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// build returns the objects of a kustomization, by kind and name. Each is decoded into
// its type; an unknown or ill-typed key fails.
func build(t *testing.T, dir string) map[string]any {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err, dir)
	objects := map[string]any{}
	for _, r := range resources.Resources() {
		object := typed(t, r.GetKind())
		text, err := r.AsYAML()
		require.NoError(t, err)
		require.NoError(t, yaml.UnmarshalStrict(text, object), "%s %s", r.GetKind(), r.GetName())
		objects[r.GetKind()+"/"+r.GetName()] = object
	}
	return objects
}

func typed(t *testing.T, kind string) any {
	t.Helper()
	switch kind {
	case "Deployment":
		return &appsv1.Deployment{}
	case "Job":
		return &batchv1.Job{}
	case "Service":
		return &corev1.Service{}
	case "ConfigMap":
		return &corev1.ConfigMap{}
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	case "NetworkPolicy":
		return &networkingv1.NetworkPolicy{}
	}
	t.Fatalf("no type for %s", kind)
	return nil
}

var overlays = []string{"base", "overlays/postgres", "overlays/mysql", "overlays/redis-cluster"}

func TestOverlaysAreObjectsOfKubernetes(t *testing.T) {
	t.Parallel()
	for _, dir := range overlays {
		objects := build(t, dir)
		for _, want := range []string{
			"Deployment/afterwrite-api", "Deployment/afterwrite-worker", "Deployment/afterwrite-dashboard",
			"Job/afterwrite-migrate", "Service/afterwrite-api", "PodDisruptionBudget/afterwrite-api",
			"PodDisruptionBudget/afterwrite-worker", "NetworkPolicy/afterwrite",
		} {
			require.Contains(t, objects, want, dir)
		}
	}
}

// pods are the pod templates of the objects that have one.
func pods(objects map[string]any) map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for name, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			found[name] = o.Spec.Template
		case *batchv1.Job:
			found[name] = o.Spec.Template
		}
	}
	return found
}

// TestPodsAreHardened: no root, no privileges, no writable root, no service links whose
// variables would look like settings, and the label that the network policy selects by.
func TestPodsAreHardened(t *testing.T) {
	t.Parallel()
	for _, dir := range overlays {
		for name, pod := range pods(build(t, dir)) {
			require.Equal(t, "afterwrite", pod.Labels["app.kubernetes.io/part-of"], name)
			require.False(t, *pod.Spec.AutomountServiceAccountToken, name)
			require.False(t, *pod.Spec.EnableServiceLinks, name)
			require.True(t, *pod.Spec.SecurityContext.RunAsNonRoot, name)
			require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.Spec.SecurityContext.SeccompProfile.Type,
				name)
			for _, c := range pod.Spec.Containers {
				require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
				require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, name)
				require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, name)
				require.NotEmpty(t, c.Resources.Limits.Memory().String(), name)
				require.True(t, strings.HasPrefix(c.Image, "ghcr.io/afterwrite/afterwrite:"), name)
			}
		}
	}
}

// TestProbesAskForWhatTheyMean: liveness never depends on Redis or the database, and a
// service leads to the port that its pods name.
func TestProbesAskForWhatTheyMean(t *testing.T) {
	t.Parallel()
	objects := build(t, "overlays/postgres")
	for _, command := range []string{"api", "worker", "dashboard"} {
		d := objects["Deployment/afterwrite-"+command].(*appsv1.Deployment)
		c := d.Spec.Template.Spec.Containers[0]
		require.Equal(t, []string{command}, c.Args)
		require.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path)
		require.Equal(t, "http", c.LivenessProbe.HTTPGet.Port.String())
		require.Equal(t, c.Ports[0].Name, c.ReadinessProbe.HTTPGet.Port.String())
		service := objects["Service/afterwrite-"+command].(*corev1.Service)
		require.Equal(t, c.Ports[0].ContainerPort, service.Spec.Ports[0].Port)
		require.Equal(t, service.Spec.Selector, d.Spec.Selector.MatchLabels)
		require.GreaterOrEqual(t, *d.Spec.Template.Spec.TerminationGracePeriodSeconds, int64(15))
	}
}

// TestTheBinaryTakesTheConfiguration: the ConfigMap and the environment of every container
// are settings of the program, which checks them itself.
func TestTheBinaryTakesTheConfiguration(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "afterwrite")
	compile := exec.Command("go", "build", "-o", binary, "./cmd/afterwrite")
	compile.Dir = "../.."
	out, err := compile.CombinedOutput()
	require.NoError(t, err, string(out))
	urls := map[string]string{
		"AFTERWRITE_REDIS_URL": "redis://redis:6379/0", "AFTERWRITE_DATABASE_URL": "postgres://user:secret@db/app",
		"AFTERWRITE_QUEUE_REDIS_URL": "redis://queue:6379/0",
	}
	for _, dir := range overlays {
		objects := build(t, dir)
		var config string
		for name, o := range objects {
			if m, ok := o.(*corev1.ConfigMap); ok && strings.HasPrefix(name, "ConfigMap/afterwrite") {
				config = m.Data["afterwrite.yaml"]
			}
		}
		file := filepath.Join(t.TempDir(), "afterwrite.yaml")
		require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
		for name, pod := range pods(objects) {
			check := exec.Command(binary, "config", "check", "--config", file)
			for _, v := range pod.Spec.Containers[0].Env {
				if v.Name != "AFTERWRITE_CONFIG" {
					check.Env = append(check.Env, v.Name+"="+urls[v.Name])
					require.Contains(t, urls, v.Name, name)
				}
			}
			out, err := check.CombinedOutput()
			require.NoError(t, err, "%s %s: %s", dir, name, out)
		}
	}
}

// TestComponentsNameMetricsAndObjects: custom resources, whose types are not decoded here,
// name a deployment and a metric that there is.
func TestComponentsNameMetricsAndObjects(t *testing.T) {
	t.Parallel()
	scaled, err := os.ReadFile("components/keda/scaledobject.yaml")
	require.NoError(t, err)
	var object struct {
		Spec struct {
			ScaleTargetRef struct {
				Name string `json:"name"`
			} `json:"scaleTargetRef"`
			Triggers []struct {
				Metadata map[string]string `json:"metadata"`
			} `json:"triggers"`
		} `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(scaled, &object))
	objects := build(t, "base")
	require.Contains(t, objects, "Deployment/"+object.Spec.ScaleTargetRef.Name)
	metric := regexp.MustCompile(`afterwrite_[a-z_]+`).FindString(object.Spec.Triggers[0].Metadata["query"])
	source, err := os.ReadFile("../../worker/collector.go")
	require.NoError(t, err)
	require.Contains(t, string(source), `"`+strings.TrimPrefix(metric, "afterwrite_")+`"`)

	monitor, err := os.ReadFile("components/monitoring/servicemonitor.yaml")
	require.NoError(t, err)
	var m struct {
		Spec struct {
			Endpoints []struct {
				Port string `json:"port"`
			} `json:"endpoints"`
		} `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal(monitor, &m))
	require.Equal(t, objects["Service/afterwrite-api"].(*corev1.Service).Spec.Ports[0].Name, m.Spec.Endpoints[0].Port)
}

// TestTracingComponent: the processes that export traces have the variables that turn it on, and the way to the
// collector is open.
func TestTracingComponent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	here, err := os.Getwd()
	require.NoError(t, err)
	of := func(path string) string {
		relative, err := filepath.Rel(dir, filepath.Join(here, path))
		require.NoError(t, err)
		return relative
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(
		"resources: ["+of("overlays/postgres")+"]\ncomponents: ["+of("components/tracing")+"]\n"), 0o600))
	objects := build(t, dir)
	for name, traced := range map[string]bool{"api": true, "worker": true, "dashboard": false} {
		names := map[string]string{}
		for _, v := range objects["Deployment/afterwrite-"+name].(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Env {
			names[v.Name] = v.Value
		}
		require.Equal(t, traced, names["OTEL_EXPORTER_OTLP_ENDPOINT"] != "", name)
		require.Equal(t, traced, names["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio", name)
	}
	ports := map[int32]bool{}
	for _, rule := range objects["NetworkPolicy/afterwrite"].(*networkingv1.NetworkPolicy).Spec.Egress {
		for _, p := range rule.Ports {
			ports[p.Port.IntVal] = true
		}
	}
	require.True(t, ports[4318] && ports[5432] && ports[6379], ports)
}
