// Package kubernetes_test builds the overlays as kustomize does, and decodes every object
// strictly into the types of the Kubernetes API.
package kubernetes_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the files that are made from others")

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
	case "ServiceMonitor":
		return &monitoringv1.ServiceMonitor{}
	case "PrometheusRule":
		return &monitoringv1.PrometheusRule{}
	case "ScaledObject":
		return &kedav1alpha1.ScaledObject{}
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
		require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
		require.Equal(t, c.Ports[0].Name, c.ReadinessProbe.HTTPGet.Port.String())
		service := objects["Service/afterwrite-"+command].(*corev1.Service)
		require.Equal(t, c.Ports[0].ContainerPort, service.Spec.Ports[0].Port)
		require.Equal(t, service.Spec.Selector, d.Spec.Selector.MatchLabels)
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

// settings are those of the ConfigMap that the manifests repeat.
type settings struct {
	API, Worker, Dashboard struct {
		Addr        string          `json:"addr"`
		MetricsAddr string          `json:"metrics_addr"`
		Drain       metav1.Duration `json:"drain"`
		Shutdown    metav1.Duration `json:"shutdown_timeout"`
	}
}

func settingsOf(t *testing.T, objects map[string]any) settings {
	t.Helper()
	for name, o := range objects {
		if m, ok := o.(*corev1.ConfigMap); ok && strings.HasPrefix(name, "ConfigMap/afterwrite") {
			var s settings
			require.NoError(t, yaml.Unmarshal([]byte(m.Data["afterwrite.yaml"]), &s))
			return s
		}
	}
	t.Fatal("there is no ConfigMap")
	return settings{}
}

// TestPortsAndTimesAreThoseOfTheConfiguration: containers name the ports that the processes listen on, and Kubernetes
// waits longer for their end than they take.
func TestPortsAndTimesAreThoseOfTheConfiguration(t *testing.T) {
	t.Parallel()
	objects := with(t, "monitoring")
	s := settingsOf(t, objects)
	open := map[int32]bool{}
	for _, rule := range objects["NetworkPolicy/afterwrite"].(*networkingv1.NetworkPolicy).Spec.Ingress {
		for _, p := range rule.Ports {
			open[p.Port.IntVal] = true
		}
	}
	for command, of := range map[string]struct {
		ports map[string]string
		end   time.Duration
	}{
		// A drain lasts up to 1.8 times its setting (docs/PROXIES.md).
		"api": {map[string]string{"http": s.API.Addr, "metrics": s.API.MetricsAddr},
			s.API.Drain.Duration*9/5 + s.API.Shutdown.Duration},
		"worker": {map[string]string{"http": s.Worker.Addr}, s.Worker.Shutdown.Duration},
		"dashboard": {map[string]string{"http": s.Dashboard.Addr, "metrics": s.Dashboard.MetricsAddr},
			s.Dashboard.Drain.Duration * 9 / 5},
	} {
		pod := objects["Deployment/afterwrite-"+command].(*appsv1.Deployment).Spec.Template.Spec
		ports := map[string]string{}
		for _, p := range pod.Containers[0].Ports {
			ports[p.Name] = fmt.Sprintf("0.0.0.0:%d", p.ContainerPort)
			require.True(t, open[p.ContainerPort], "the network policy lets nobody in on %s of %s", p.Name, command)
		}
		require.Equal(t, of.ports, ports, command)
		require.Positive(t, of.end, command)
		require.Greater(t, time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second, of.end, command)
	}
}

// TestMonitoringComponent: every service that is selected has the port that is scraped, without a token, and gives the
// job the name by which the rules look for it; the rules are those of deploy/prometheus. After a change of those:
//
//	go test . -run TestMonitoringComponent -update
func TestMonitoringComponent(t *testing.T) {
	t.Parallel()
	const file = "components/monitoring/prometheusrule.yaml"
	rules, err := os.ReadFile("../prometheus/rules.yaml")
	require.NoError(t, err)
	_, groups, ok := strings.Cut(string(rules), "\ngroups:\n")
	require.True(t, ok)
	want := "# Made from deploy/prometheus/rules.yaml: go test . -run TestMonitoringComponent -update\n" +
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: afterwrite\nspec:\n  groups:\n" +
		regexp.MustCompile(`(?m)^(.+)$`).ReplaceAllString(groups, "  $1")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	}
	is, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(is), "run this test with -update")

	objects := with(t, "monitoring")
	monitor := objects["ServiceMonitor/afterwrite"].(*monitoringv1.ServiceMonitor)
	require.Len(t, monitor.Spec.Endpoints, 1)
	end := monitor.Spec.Endpoints[0]
	require.Equal(t, "/metrics", end.Path)
	selected := 0
	for name, o := range objects {
		service, ok := o.(*corev1.Service)
		const label = "app.kubernetes.io/part-of"
		if !ok || service.Labels[label] != monitor.Spec.Selector.MatchLabels[label] {
			continue
		}
		selected++
		pod := objects["Deployment/"+service.Name].(*appsv1.Deployment).Spec.Template.Spec.Containers[0]
		found := false
		for _, p := range service.Spec.Ports {
			for _, c := range pod.Ports {
				if p.Name == end.Port && p.TargetPort.String() == c.Name {
					found = p.Port == c.ContainerPort
				}
			}
		}
		require.True(t, found, "%s has no port %s", name, end.Port)
	}
	require.Equal(t, 3, selected)
	require.Contains(t, groups, `job="afterwrite-worker"`)
	require.Contains(t, objects, "Service/afterwrite-worker")
	require.NotEmpty(t, objects["PrometheusRule/afterwrite"].(*monitoringv1.PrometheusRule).Spec.Groups)
}

// TestKEDAComponent: it scales a deployment that there is, which says no number of its own, by a metric that there is.
func TestKEDAComponent(t *testing.T) {
	t.Parallel()
	objects := with(t, "keda")
	scaled := objects["ScaledObject/afterwrite-worker"].(*kedav1alpha1.ScaledObject)
	worker := objects["Deployment/"+scaled.Spec.ScaleTargetRef.Name].(*appsv1.Deployment)
	require.Nil(t, worker.Spec.Replicas)
	require.Len(t, scaled.Spec.Triggers, 1)
	reference, err := os.ReadFile("../../docs/METRICS.md")
	require.NoError(t, err)
	query := scaled.Spec.Triggers[0].Metadata["query"]
	for _, metric := range regexp.MustCompile(`afterwrite_[a-z_]+`).FindAllString(query, -1) {
		require.Contains(t, string(reference), "`"+metric+"`")
	}
}

// TestTheImageIsReleased: a release pushes the image under the tag that the manifests name.
func TestTheImageIsReleased(t *testing.T) {
	t.Parallel()
	image := build(t, "base")["Deployment/afterwrite-api"].(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Image
	name, tag, _ := strings.Cut(image, ":")
	text, err := os.ReadFile("../../.goreleaser.yaml")
	require.NoError(t, err)
	var release struct {
		Dockers []struct{ Images, Tags []string } `json:"dockers_v2"`
	}
	require.NoError(t, yaml.Unmarshal(text, &release))
	require.Equal(t, []string{name}, release.Dockers[0].Images)
	require.Regexp(t, `\b`+tag+`\b`, strings.Join(release.Dockers[0].Tags, " "))
}

// TestTracingComponent: the processes that export traces have the variables that turn it on, and the way to the
// collector is open.
func TestTracingComponent(t *testing.T) {
	t.Parallel()
	objects := with(t, "tracing")
	for name, traced := range map[string]bool{"api": true, "worker": true, "dashboard": false} {
		names := map[string]string{}
		for _, v := range objects["Deployment/afterwrite-"+name].(*appsv1.Deployment).Spec.Template.Spec.Containers[0].Env {
			names[v.Name] = v.Value
		}
		require.Equal(t, traced, names["OTEL_EXPORTER_OTLP_ENDPOINT"] != "", name)
		require.Equal(t, traced, names["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio", name)
	}
	require.Subset(t, egress(objects), []int32{4318, 5432, 6379})
}

// with builds the overlay for PostgreSQL with components.
func with(t *testing.T, components ...string) map[string]any {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	require.NoError(t, err)
	of := func(path string) string {
		relative, err := filepath.Rel(dir, filepath.Join(here, path))
		require.NoError(t, err)
		return relative
	}
	text := "resources: [" + of("overlays/postgres") + "]\ncomponents:\n"
	for _, c := range components {
		text += "- " + of("components/"+c) + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	return build(t, dir)
}

// egress are the ports that pods may connect to.
func egress(objects map[string]any) (ports []int32) {
	for _, rule := range objects["NetworkPolicy/afterwrite"].(*networkingv1.NetworkPolicy).Spec.Egress {
		for _, p := range rule.Ports {
			ports = append(ports, p.Port.IntVal)
		}
	}
	return ports
}
