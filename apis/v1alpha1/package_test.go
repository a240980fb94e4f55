package v1alpha1_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"

	xpv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	pkgmetav1 "github.com/crossplane/crossplane/apis/v2/pkg/meta/v1"
	"github.com/crossplane/function-sdk-go/resource"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/input/v1beta1"
)

const inputCRD = "package/input/dittoserver.fn.crossplane.io_inputs.yaml"

// The package that the function is published as.
const functionPackage = "ghcr.io/dittofs/function-dittoserver"

// TestCompositions holds each Composition against its definition and package:
// it composes the definition's kind, is the default of it, and runs the
// function under the name that Crossplane gives a dependency.
func TestCompositions(t *testing.T) {
	cases := map[string]struct {
		reason string
		folder string
		want   xpv1.TypeReference
	}{
		"Namespaced": {
			reason: "The kind that people create.",
			folder: "configuration/namespaced",
			want:   xpv1.TypeReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DittoServer"},
		},
		"Claim": {
			reason: "The kind behind the one that people create.",
			folder: "configuration/claim",
			want:   xpv1.TypeReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "XDittoServer"},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := decode[xpv1.Composition](t, tc.folder+"/composition.yaml")
			xrd := decode[xpv1.CompositeResourceDefinition](t, tc.folder+"/xrd.yaml")

			if diff := cmp.Diff(tc.want, c.Spec.CompositeTypeRef); diff != "" {
				t.Errorf("\n%s\ncompositeTypeRef: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want, xpv1.TypeReferenceTo(xrd.GetCompositeGroupVersionKind())); diff != "" {
				t.Errorf("\n%s\ndefinition: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(&xpv1.CompositionReference{Name: c.GetName()}, xrd.Spec.DefaultCompositionRef); diff != "" {
				t.Errorf("defaultCompositionRef: -want, +got:\n%s", diff)
			}
			if got := c.Spec.Mode; got != xpv1.CompositionModePipeline {
				t.Errorf("mode: got %s, want %s", got, xpv1.CompositionModePipeline)
			}
			if len(c.Spec.Pipeline) != 1 {
				t.Fatalf("want one step, found %d", len(c.Spec.Pipeline))
			}

			step := c.Spec.Pipeline[0]
			_, repository, _ := strings.Cut(functionPackage, "/")
			if got, want := step.FunctionRef.Name, strings.ReplaceAll(repository, "/", "-"); got != want {
				t.Errorf("functionRef: got %s, want %s", got, want)
			}

			// As the function reads it: an unknown field is an error.
			s := &v1beta1.Input{}
			if err := resource.AsObject(resource.MustStructJSON(string(step.Input.Raw)), s); err != nil {
				t.Errorf("cannot decode the step's input: %v", err)
			}
			if got, want := s.APIVersion+" "+s.Kind, "dittoserver.fn.crossplane.io/v1beta1 Input"; got != want {
				t.Errorf("input: got %s, want %s", got, want)
			}
		})
	}
}

// annotations that a registry and a person look for.
var annotations = []string{ //nolint:gochecknoglobals // A constant in all but syntax.
	"meta.crossplane.io/description",
	"meta.crossplane.io/license",
	"meta.crossplane.io/maintainer",
	"meta.crossplane.io/readme",
	"meta.crossplane.io/source",
}

func TestConfigurationPackages(t *testing.T) {
	for _, path := range []string{"configuration/namespaced/crossplane.yaml", "configuration/claim/crossplane.yaml"} {
		t.Run(path, func(t *testing.T) {
			c := decode[pkgmetav1.Configuration](t, path)

			if diff := cmp.Diff(annotations, slices.Sorted(maps.Keys(c.GetAnnotations()))); diff != "" {
				t.Errorf("annotations: -want, +got:\n%s", diff)
			}
			want := pkgmetav1.MetaSpec{
				Crossplane: &pkgmetav1.CrossplaneConstraints{Version: ">=v2.0.0-0"},
				DependsOn: []pkgmetav1.Dependency{{
					APIVersion: new("pkg.crossplane.io/v1"), Kind: new("Function"), Package: new(functionPackage), Version: ">=v0.1.0",
				}},
			}
			if diff := cmp.Diff(want, c.Spec.MetaSpec); diff != "" {
				t.Errorf("spec: -want, +got:\n%s", diff)
			}
		})
	}
}

func TestFunctionPackage(t *testing.T) {
	f := decode[pkgmetav1.Function](t, "package/crossplane.yaml")

	if diff := cmp.Diff(annotations, slices.Sorted(maps.Keys(f.GetAnnotations()))); diff != "" {
		t.Errorf("annotations: -want, +got:\n%s", diff)
	}
	// A list of capabilities without composition makes Crossplane refuse every
	// composite resource (crossplane v2.4.0 composite/reconciler.go).
	want := pkgmetav1.MetaSpec{
		Crossplane:   &pkgmetav1.CrossplaneConstraints{Version: ">=v2.0.0-0"},
		Capabilities: []string{pkgmetav1.FunctionCapabilityComposition},
	}
	if diff := cmp.Diff(want, f.Spec.MetaSpec); diff != "" {
		t.Errorf("spec: -want, +got:\n%s", diff)
	}
	if !strings.HasPrefix(f.GetName(), "function-") {
		t.Errorf("name: got %s, want function-...: Crossplane's specification of functions asks for it", f.GetName())
	}
}

// TestInputDefinition holds the generated definition of the Input, which the
// function package carries, against the API server's validation.
func TestInputDefinition(t *testing.T) {
	crd := decode[extv1.CustomResourceDefinition](t, inputCRD)
	scheme := runtime.NewScheme()
	install.Install(scheme)
	scheme.Default(crd)
	crd.Status.StoredVersions = []string{"v1beta1"}

	internal := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(crd, internal, nil); err != nil {
		t.Fatal(err)
	}
	for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), internal) {
		t.Error(err)
	}
	walk("", schemaOf(t, crd), func(field string, s *extv1.JSONSchemaProps) {
		if item := strings.HasSuffix(field, "[]") || strings.HasSuffix(field, "{}"); !item && field != "metadata" && s.Description == "" {
			t.Errorf("%s has no description", field)
		}
	})
}

// TestRBAC holds what Crossplane is granted to the kinds that the function
// requires and composes, and that Crossplane may not touch by itself.
func TestRBAC(t *testing.T) {
	role := decode[rbacv1.ClusterRole](t, "rbac.yaml")

	if got, want := role.APIVersion+" "+role.Kind, "rbac.authorization.k8s.io/v1 ClusterRole"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := role.GetLabels()["rbac.crossplane.io/aggregate-to-crossplane"]; got != "true" {
		t.Errorf("without the label no role of Crossplane's has the rules: got %q", got)
	}

	read := []string{"get", "list", "watch"}
	all := []string{"create", "delete", "get", "list", "patch", "update", "watch"}

	want := map[string][]string{
		// Required.
		"namespaces":                         read,
		"persistentvolumeclaims":             read,
		"apiservices.apiregistration.k8s.io": read,
		"storageclasses.storage.k8s.io":      read,
		"priorityclasses.scheduling.k8s.io":  read,
		// Composed.
		"statefulsets.apps":                     all,
		"networkpolicies.networking.k8s.io":     all,
		"perconapgclusters.pgv2.percona.com":    all,
		"servicemonitors.monitoring.coreos.com": all,
	}
	got := map[string][]string{}
	for _, rule := range role.Rules {
		if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
			t.Errorf("rules are for whole kinds: %v", rule)
		}
		for _, group := range rule.APIGroups {
			for _, kind := range rule.Resources {
				name := strings.TrimSuffix(kind+"."+group, ".")
				if _, twice := got[name]; twice {
					t.Errorf("%s has two rules", name)
				}
				got[name] = slices.Sorted(slices.Values(rule.Verbs))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}
