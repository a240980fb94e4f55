package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	xpv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	pkgv1 "github.com/crossplane/crossplane/apis/v2/pkg/v1"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
	"github.com/dittofs/function-dittoserver/internal/server"
)

const (
	runtimePath = "deploy/runtime.yaml"
	installPath = "deploy/install.yaml"

	// functionLabel is on the pods of a function (crossplane v2.4.0
	// internal/controller/pkg/runtime/runtime.go).
	functionLabel = "pkg.crossplane.io/function"
)

// manifestOf decodes the one object of a kind in a file; unknown fields are
// errors.
func manifestOf[T any](t *testing.T, name, kind string) *T {
	t.Helper()
	var found *T
	for doc := range strings.SplitSeq(readText(t, name), "\n---\n") {
		about := struct {
			Kind string `json:"kind"`
		}{}
		if err := yaml.Unmarshal([]byte(doc), &about); err != nil {
			t.Fatal(err)
		}
		if about.Kind != kind {
			continue
		}
		if found != nil {
			t.Fatalf("%s has more than one %s", name, kind)
		}
		found = new(T)
		if err := yaml.UnmarshalStrict([]byte(doc), found); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if found == nil {
		t.Fatalf("%s has no %s", name, kind)
	}

	return found
}

// functionName that the Compositions call.
func functionName(t *testing.T) string {
	t.Helper()

	return manifestOf[xpv1.Composition](t, "configuration/namespaced/composition.yaml", "Composition").Spec.Pipeline[0].FunctionRef.Name
}

// TestDeployRuntimeIsAccepted holds the runtime to Crossplane's own definition.
func TestDeployRuntimeIsAccepted(t *testing.T) {
	// Crossplane core is pinned in test/render, which needs it to render.
	cmd := exec.CommandContext(t.Context(), "go", "-C", filepath.Join("test", "render"), "mod", "download", "-json", "github.com/crossplane/crossplane/v2")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot find Crossplane's module: %v", err)
	}
	module := struct {
		Dir string `json:"Dir"`
	}{}
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "cluster", "crds", "pkg.crossplane.io_deploymentruntimeconfigs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &extv1.CustomResourceDefinition{}
	if err := yaml.Unmarshal(text, crd); err != nil {
		t.Fatal(err)
	}
	validator, err := crdtest.New(crd, "v1beta1")
	if err != nil {
		t.Fatal(err)
	}
	if err := validator.Validate(*manifestOf[object](t, runtimePath, "DeploymentRuntimeConfig")); err != nil {
		t.Error(err)
	}
}

// runtimeConfig is a DeploymentRuntimeConfig, with Kubernetes' own types.
type runtimeConfig struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		DeploymentTemplate struct {
			Spec appsv1.DeploymentSpec `json:"spec"`
		} `json:"deploymentTemplate"`
	} `json:"spec"`
}

// TestDeployRuntime holds what the runtime is for: two replicas on two nodes, a
// pod that passes the Pod Security level restricted and cannot write, probes
// where the function serves health, and a budget for these pods.
func TestDeployRuntime(t *testing.T) {
	config := manifestOf[runtimeConfig](t, runtimePath, "DeploymentRuntimeConfig")
	spec := config.Spec.DeploymentTemplate.Spec
	if *spec.Replicas != 2 {
		t.Errorf("replicas: got %d, want 2", *spec.Replicas)
	}
	// Crossplane sets the selector, and the pod's labels to it.
	if len(spec.Selector.MatchLabels)+len(spec.Selector.MatchExpressions) > 0 {
		t.Errorf("selector: got %v: Crossplane sets it", spec.Selector)
	}
	if len(spec.Template.Spec.Containers) != 1 || spec.Template.Spec.Containers[0].Name != "package-runtime" {
		t.Fatalf("containers: want package-runtime, which is what Crossplane calls the function's")
	}
	container := spec.Template.Spec.Containers[0]

	// As Crossplane completes it, as far as the level looks at it.
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}, &spec.Template.ObjectMeta, &spec.Template.Spec))
	if !result.Allowed {
		t.Errorf("the pod is not restricted: %s", result.ForbiddenDetail())
	}
	if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
		t.Error("the container can write to its image")
	}
	if token := spec.Template.Spec.AutomountServiceAccountToken; token == nil || *token {
		t.Error("the pod has a token of the cluster's API, which the function does not use")
	}
	for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if container.Resources.Requests.Name(resource, "").IsZero() {
			t.Errorf("the container asks for no %s", resource)
		}
	}

	defaults := CLI{}
	parser, err := kong.New(&defaults, kong.Vars{"version": "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatal(err)
	}
	for name, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		if got := fmt.Sprintf(":%d", probe.GRPC.Port); got != defaults.HealthAddress {
			t.Errorf("%s probe: port %s, health is served at %s", name, got, defaults.HealthAddress)
		}
	}

	budget := manifestOf[policyv1.PodDisruptionBudget](t, runtimePath, "PodDisruptionBudget")
	labels := map[string]string{functionLabel: functionName(t)}
	if diff := cmp.Diff(labels, budget.Spec.Selector.MatchLabels); diff != "" {
		t.Errorf("the budget's pods: -want, +got:\n%s", diff)
	}
	if diff := cmp.Diff(labels, spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels); diff != "" {
		t.Errorf("the pods that are spread: -want, +got:\n%s", diff)
	}
	if got := budget.Spec.MaxUnavailable.IntValue(); got >= int(*spec.Replicas) {
		t.Errorf("the budget lets all %d pods be away at once", got)
	}
}

// TestDeployInstall holds that what is installed fits together: the function
// has the name that the Composition calls and the runtime that there is, and
// both packages are of one version.
func TestDeployInstall(t *testing.T) {
	fn := manifestOf[pkgv1.Function](t, installPath, "Function")
	configuration := manifestOf[pkgv1.Configuration](t, installPath, "Configuration")

	if got, want := fn.GetName(), functionName(t); got != want {
		t.Errorf("the function is called %s, the Composition calls %s", got, want)
	}
	if got, want := fn.Spec.RuntimeConfigReference.Name, manifestOf[runtimeConfig](t, runtimePath, "DeploymentRuntimeConfig").Metadata.Name; got != want {
		t.Errorf("the function's runtime is %s, want %s", got, want)
	}
	_, version, _ := strings.Cut(fn.Spec.Package, ":")
	want := []string{"ghcr.io/dittofs/function-dittoserver:" + version, "ghcr.io/dittofs/configuration-dittoserver:" + version}
	if diff := cmp.Diff(want, []string{fn.Spec.Package, configuration.Spec.Package}); diff != "" {
		t.Errorf("packages: -want, +got:\n%s", diff)
	}
}

// TestInstallCommands holds the README's and the guide's commands to the files
// and versions that they are about.
func TestInstallCommands(t *testing.T) {
	_, version, _ := strings.Cut(manifestOf[pkgv1.Function](t, installPath, "Function").Spec.Package, ":")
	dir, err := crdtest.ModuleDir("github.com/percona/percona-postgresql-operator/v2")
	if err != nil {
		t.Fatal(err)
	}
	operator := dir[strings.LastIndex(dir, "@")+1:]
	bundle, err := os.ReadFile(filepath.Join(dir, "deploy", "cw-bundle.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	namespace := regexp.MustCompile(`(?m)^ {2}namespace: (\S+)$`).FindSubmatch(bundle)
	if namespace == nil {
		t.Fatal("the operator's bundle names no namespace")
	}

	for _, name := range []string{"README.md", "docs/install.md"} {
		text := readText(t, name)
		for _, want := range []string{
			"kubectl create namespace " + string(namespace[1]) + " &&",
			"kubectl apply --server-side --namespace " + string(namespace[1]) + " --filename https://raw.githubusercontent.com/percona/percona-postgresql-operator/" + operator + "/deploy/cw-bundle.yaml\n",
		} {
			if !strings.Contains(strings.ReplaceAll(text, " \\\n ", ""), want) {
				t.Errorf("%s: the operator of go.mod is installed by: %s", name, want)
			}
		}

		released := regexp.MustCompile(`releases/download/(v[^/\s]+)/([^\s`+"`"+`]+)`).FindAllStringSubmatch(text, -1)
		files := map[string]bool{}
		for _, m := range released {
			files[m[2]] = true
			if m[1] != version {
				t.Errorf("%s: %s is of %s, %s has %s", name, m[2], m[1], installPath, version)
			}
		}
		for _, want := range []string{"rbac.yaml", "runtime.yaml", "install.yaml"} {
			if !files[want] {
				t.Errorf("%s: no command applies the release's %s", name, want)
			}
			if !regexp.MustCompile(`cp [^\n]*\b` + regexp.QuoteMeta(want) + `\b[^\n]* _output/packages/`).MatchString(readText(t, workflows+"/release.yml")) {
				t.Errorf("release.yml does not publish %s", want)
			}
		}
	}
}

// TestRBACIsWhatIsNeeded holds rbac.yaml to the function: each kind that it
// composes, or asks Crossplane for, has the verbs that Crossplane needs for
// that and no other, and no other kind is in it.
func TestRBACIsWhatIsNeeded(t *testing.T) {
	srv := &server.Server{Name: serverName, Spec: v1alpha1.DittoServerSpec{Metrics: v1alpha1.MetricsSpec{Enabled: new(true)}}}
	srv.Spec.SetDefaults()

	// Crossplane reads through caches; what it composes it applies, and deletes
	// after it took its labels off.
	want := map[string][]string{}
	for _, asked := range requirements(t) {
		want[resourceOf(asked.GetApiVersion(), asked.GetKind())] = []string{"get", "list", "watch"}
	}
	for _, key := range append(srv.Keys(), server.KeyCluster, server.KeyServiceMonitor) {
		id := srv.Identity(key)
		want[resourceOf(id.APIVersion, id.Kind)] = []string{"create", "delete", "get", "list", "patch", "update", "watch"}
	}
	// Crossplane's own role has these (crossplane v2.4.0
	// cluster/charts/crossplane/templates/clusterrole.yaml).
	for _, own := range []string{"secrets", "configmaps", "services"} {
		if want[own] == nil {
			t.Errorf("%s are neither composed nor asked for", own)
		}
		delete(want, own)
	}

	got := map[string][]string{}
	for _, rule := range manifestOf[rbacv1.ClusterRole](t, "rbac.yaml", "ClusterRole").Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				got[strings.TrimSuffix(resource+"."+group, ".")] = slices.Sorted(slices.Values(rule.Verbs))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rbac.yaml: -want, +got:\n%s", diff)
	}
}

func resourceOf(apiVersion, kind string) string {
	resource, _ := meta.UnsafeGuessKindToResource(schema.FromAPIVersionAndKind(apiVersion, kind))

	return strings.TrimSuffix(resource.Resource+"."+resource.Group, ".")
}

// requirements of servers that use everything that the function asks for.
func requirements(t *testing.T) []*fnv1.ResourceSelector {
	t.Helper()
	everything := []any{
		"spec.storage.storageClassName", "fast",
		"spec.metrics.enabled", true,
		"spec.metrics.serviceMonitor.enabled", true,
		"spec.pod.priorityClassName", "important",
		"spec.pod.extraVolumes",
		[]any{
			object{"name": "claim", "persistentVolumeClaim": object{"claimName": "mine"}},
			object{"name": "settings", "configMap": object{"name": "mine"}},
			object{"name": "secret", "secret": object{"secretName": "mine"}},
		},
	}
	var asked []*fnv1.ResourceSelector
	for _, s := range []*situation{
		newSituation(withPercona(everything...)),
		newSituation(namespaced(everything...)),
		newSituation(claimed(everything...)),
		servingOnPercona(t, withPercona()).editXR(everything...),
	} {
		_, rsp, _ := s.settle(t)
		if text := fatal(rsp); text != "" {
			t.Fatalf("nothing is asked for: %s", text)
		}
		for _, selector := range rsp.GetRequirements().GetResources() {
			asked = append(asked, selector)
		}
	}

	return asked
}
