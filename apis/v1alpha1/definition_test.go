package v1alpha1_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xcrd"
	xpv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	xpv2 "github.com/crossplane/crossplane/apis/v2/apiextensions/v2"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// Where the generated definitions are.
const (
	namespacedXRD = "configuration/namespaced/xrd.yaml"
	claimXRD      = "configuration/claim/xrd.yaml"
)

// source returns the bytes of a file of the repository.
func source(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// decode a file of the repository into an object, whose type must know all of
// its fields.
func decode[T any](tb testing.TB, path string) *T {
	tb.Helper()
	o := new(T)
	if err := yaml.UnmarshalStrict(source(tb, path), o); err != nil {
		tb.Fatalf("cannot decode %s: %v", path, err)
	}
	return o
}

// kinds returns the CustomResourceDefinitions that Crossplane makes of our
// definitions, with Crossplane's own code: of the namespaced DittoServer, of
// the XDittoServer behind a claim, and of the claim.
func kinds(tb testing.TB) map[string]*extv1.CustomResourceDefinition {
	tb.Helper()
	modern, legacy := decode[xpv1.CompositeResourceDefinition](tb, namespacedXRD), decode[xpv1.CompositeResourceDefinition](tb, claimXRD)
	// The API server has stored what Crossplane converts, so it has a uid.
	modern.SetUID("modern")
	legacy.SetUID("legacy")

	crds := map[string]*extv1.CustomResourceDefinition{}
	for name, convert := range map[string]func() (*extv1.CustomResourceDefinition, error){
		"Namespaced": func() (*extv1.CustomResourceDefinition, error) { return xcrd.ForCompositeResource(modern) },
		"Composite":  func() (*extv1.CustomResourceDefinition, error) { return xcrd.ForCompositeResource(legacy) },
		"Claim":      func() (*extv1.CustomResourceDefinition, error) { return xcrd.ForCompositeResourceClaim(legacy) },
	} {
		crd, err := convert()
		if err != nil {
			tb.Fatalf("%s: Crossplane cannot convert our definition: %v", name, err)
		}
		crds[name] = crd
	}
	return crds
}

// validators returns what judges objects of the three kinds.
func validators(tb testing.TB) map[string]*crdtest.Validator {
	tb.Helper()
	vs := map[string]*crdtest.Validator{}
	for name, crd := range kinds(tb) {
		v, err := crdtest.New(crd, v1alpha1.GroupVersion.Version)
		if err != nil {
			tb.Fatal(err)
		}
		vs[name] = v
	}
	return vs
}

// TestDefinitionsAreValid holds what Crossplane creates against the API
// server's own validation of CustomResourceDefinitions: structural schema,
// defaults that are valid themselves, CEL rules that compile and cost little.
func TestDefinitionsAreValid(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)

	for name, crd := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			scheme.Default(crd)
			// The API server records the stored version at creation.
			crd.Status.StoredVersions = []string{v1alpha1.GroupVersion.Version}

			internal := &apiextensions.CustomResourceDefinition{}
			if err := scheme.Convert(crd, internal, nil); err != nil {
				t.Fatal(err)
			}
			for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), internal) {
				t.Error(err)
			}
		})
	}
}

// TestVersionedTypes decodes each definition as the type of its own API
// version, which has fewer fields than the one Crossplane stores.
func TestVersionedTypes(t *testing.T) {
	modern := decode[xpv2.CompositeResourceDefinition](t, namespacedXRD)
	if got, want := modern.APIVersion, xpv2.SchemeGroupVersion.String(); got != want {
		t.Errorf("%s: apiVersion: got %s, want %s", namespacedXRD, got, want)
	}
	if got, want := modern.Spec.Scope, xpv2.CompositeResourceScopeNamespaced; got != want {
		t.Errorf("%s: scope: got %s, want %s", namespacedXRD, got, want)
	}

	legacy := decode[xpv1.CompositeResourceDefinition](t, claimXRD)
	if got, want := legacy.APIVersion, xpv1.SchemeGroupVersion.String(); got != want {
		t.Errorf("%s: apiVersion: got %s, want %s", claimXRD, got, want)
	}
	if got, want := *legacy.Spec.Scope, xpv1.CompositeResourceScopeLegacyCluster; got != want {
		t.Errorf("%s: scope: got %s, want %s", claimXRD, got, want)
	}
}

func TestNames(t *testing.T) {
	type want struct {
		Name     string
		Scope    extv1.ResourceScope
		Names    extv1.CustomResourceDefinitionNames
		Versions []string
	}
	dittoServer := func(category string) extv1.CustomResourceDefinitionNames {
		return extv1.CustomResourceDefinitionNames{
			Kind: "DittoServer", ListKind: "DittoServerList", Plural: "dittoservers", Singular: "dittoserver",
			ShortNames: []string{"ditto", "dittofs"}, Categories: []string{category},
		}
	}

	cases := map[string]struct {
		reason string
		want   want
	}{
		"Namespaced": {
			reason: "People type dittoserver, ditto or dittofs.",
			want: want{
				Name: "dittoservers.dittofs.io", Scope: extv1.NamespaceScoped,
				Names: dittoServer("composite"), Versions: []string{"v1alpha1"},
			},
		},
		"Claim": {
			reason: "A claim has the same names as a namespaced DittoServer: a user sees no difference.",
			want: want{
				Name: "dittoservers.dittofs.io", Scope: extv1.NamespaceScoped,
				Names: dittoServer("claim"), Versions: []string{"v1alpha1"},
			},
		},
		"Composite": {
			reason: "What is behind a claim must share no name with it, short names included: the API server would not accept the second kind's.",
			want: want{
				Name: "xdittoservers.dittofs.io", Scope: extv1.ClusterScoped,
				Names: extv1.CustomResourceDefinitionNames{
					Kind: "XDittoServer", ListKind: "XDittoServerList", Plural: "xdittoservers", Singular: "xdittoserver",
					Categories: []string{"composite"},
				},
				Versions: []string{"v1alpha1"},
			},
		},
	}

	crds := kinds(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			crd := crds[name]
			got := want{Name: crd.GetName(), Scope: crd.Spec.Scope, Names: crd.Spec.Names}
			for _, v := range crd.Spec.Versions {
				got.Versions = append(got.Versions, v.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPrinterColumns(t *testing.T) {
	ours := []string{
		"Phase .status.phase",
		"Database .status.database.type",
		"On delete .status.database.onDelete",
		"Endpoint .status.endpoints.nfs",
		"Available .status.conditions[?(@.type=='Available')].reason",
	}
	status := []string{
		"SYNCED .status.conditions[?(@.type=='Synced')].status",
		"READY .status.conditions[?(@.type=='Ready')].status",
	}
	age := "AGE .metadata.creationTimestamp"

	cases := map[string]struct {
		reason string
		want   []string
	}{
		"Namespaced": {
			reason: "Ours come first, Crossplane adds its own.",
			want: slices.Concat(ours, status, []string{
				"COMPOSITION .spec.crossplane.compositionRef.name",
				"COMPOSITIONREVISION .spec.crossplane.compositionRevisionRef.name", age,
			}),
		},
		"Composite": {
			reason: "A legacy composite resource has Crossplane's fields directly below spec.",
			want: slices.Concat(ours, status, []string{
				"COMPOSITION .spec.compositionRef.name",
				"COMPOSITIONREVISION .spec.compositionRevisionRef.name", age,
			}),
		},
		"Claim": {
			reason: "A claim shows the same of the server as a namespaced DittoServer.",
			want: slices.Concat(ours, status, []string{
				"CONNECTION-SECRET .spec.writeConnectionSecretToRef.name", age,
			}),
		},
	}

	crds := kinds(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range crds[name].Spec.Versions[0].AdditionalPrinterColumns {
				got = append(got, c.Name+" "+c.JSONPath)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}

	t.Run("Known", func(t *testing.T) {
		paths := map[string]bool{}
		walk("", schemaOf(t, crds["Namespaced"]), func(path string, _ *extv1.JSONSchemaProps) { paths["."+path] = true })
		for _, column := range ours {
			path := column[strings.LastIndex(column, " ")+1:]
			if strings.HasPrefix(path, ".status.conditions[") {
				continue // Crossplane adds those to the schema.
			}
			if !paths[path] {
				t.Errorf("A column shows %s, which the schema does not have", path)
			}
		}
	})
}

// schemaOf returns the schema of a definition's one version.
func schemaOf(tb testing.TB, crd *extv1.CustomResourceDefinition) *extv1.JSONSchemaProps {
	tb.Helper()
	if len(crd.Spec.Versions) != 1 {
		tb.Fatalf("want one version of %s, found %d", crd.GetName(), len(crd.Spec.Versions))
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// ours returns the schema as our definition has it, before Crossplane adds its
// own fields, which are neither described nor bounded.
func ours(tb testing.TB, path string) *extv1.JSONSchemaProps {
	tb.Helper()
	xrd := decode[xpv1.CompositeResourceDefinition](tb, path)
	s := &extv1.JSONSchemaProps{}
	if err := yaml.UnmarshalStrict(xrd.Spec.Versions[0].Schema.OpenAPIV3Schema.Raw, s); err != nil {
		tb.Fatal(err)
	}
	return s
}

// walk visits a schema and all below it. In a path [] is a list's item and {}
// a map's value.
func walk(path string, s *extv1.JSONSchemaProps, visit func(string, *extv1.JSONSchemaProps)) {
	visit(path, s)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		child := s.Properties[name]
		walk(strings.TrimPrefix(path+"."+name, "."), &child, visit)
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(path+"[]", s.Items.Schema, visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(path+"{}", s.AdditionalProperties.Schema, visit)
	}
}

// schemaless objects, and why each is one. The API server bounds them with the
// whole object, at 1.5 MiB, and no CEL rule can look into them.
var schemaless = map[string]string{ //nolint:gochecknoglobals // A constant in all but syntax.
	"spec.config":             "the server's own configuration, which has a schema in the server only; checked by the function",
	"spec.percona.overrides":  "any part of a PerconaPGCluster's spec, whose definition is 3 MB; checked by the function",
	"spec.snapshotPolicies[]": "refused whatever is in it",
}

// TestSchemaIsDescribedAndBounded walks every field: each is explained to a
// person, and none is endless. Bounds keep the estimated cost of CEL rules
// low, and a request to the function small.
func TestSchemaIsDescribedAndBounded(t *testing.T) {
	for _, path := range []string{namespacedXRD, claimXRD} {
		t.Run(path, func(t *testing.T) {
			fields := 0
			seen := map[string]bool{}
			walk("", ours(t, path), func(field string, s *extv1.JSONSchemaProps) {
				fields++
				seen[field] = s.Type == "object" && len(s.Properties) == 0
				// Items and values are described by their list or map.
				item := strings.HasSuffix(field, "[]") || strings.HasSuffix(field, "{}")
				if !item && s.Description == "" {
					t.Errorf("%s has no description", field)
				}

				switch {
				case len(s.Enum) > 0: // As long as its longest value.
				case s.Type == "string", s.XIntOrString:
					if s.MaxLength == nil {
						t.Errorf("%s has no maxLength", field)
					}
				case s.Type == "array":
					if s.MaxItems == nil {
						t.Errorf("%s has no maxItems", field)
					}
				case s.AdditionalProperties != nil:
					if s.MaxProperties == nil {
						t.Errorf("%s has no maxProperties", field)
					}
				case s.Type == "object":
					if len(s.Properties) == 0 && schemaless[field] == "" {
						t.Errorf("%s is an object of any shape", field)
					}
				case s.Type == "integer", s.Type == "boolean": // Bounded by its type.
				default:
					t.Errorf("%s has the unknown type %q", field, s.Type)
				}

				for i, rule := range s.XValidations {
					if rule.Message == "" {
						t.Errorf("%s: rule %d has no message that a person can act on: %s", field, i, rule.Rule)
					}
				}
			})
			if fields < 100 {
				t.Errorf("visited %d fields only: the walk does not see the schema", fields)
			}
			for field, why := range schemaless {
				if !seen[field] {
					t.Errorf("%s need not be excepted (%s): there is no such object", field, why)
				}
			}
		})
	}
}

// kubernetesOwn are the fields whose inner fields are Kubernetes' own types, by
// the end of the path; what is in them is described by Kubernetes.
var kubernetesOwn = []string{ //nolint:gochecknoglobals // A constant in all but syntax.
	".resources", ".securityContext", ".podSecurityContext", ".affinity", ".tolerations", ".topologySpreadConstraints",
	".extraEnv", ".extraVolumes", ".extraVolumeMounts", "networkPolicy.from",
}

// substance of a description: its words, without the field's name, which Go's
// comments begin with, and without those that say nothing by themselves.
func substance(field, description string) []string {
	name := field[strings.LastIndex(field, ".")+1:]
	empty := []string{"a", "an", "and", "are", "as", "be", "for", "in", "is", "it", "its", "of", "on", "or", "that", "the", "this", "to", strings.ToLower(name)}
	var words []string
	for word := range strings.FieldsFuncSeq(strings.ToLower(description), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if !slices.Contains(empty, word) {
			words = append(words, word)
		}
	}
	return words
}

// TestSchemaExplainsItself: kubectl explain tells a person more of a field than
// its name does.
func TestSchemaExplainsItself(t *testing.T) {
	const least = 4 // words
	for _, path := range []string{namespacedXRD, claimXRD} {
		t.Run(path, func(t *testing.T) {
			explained := 0
			walk("", ours(t, path), func(field string, s *extv1.JSONSchemaProps) {
				theirs := slices.ContainsFunc(kubernetesOwn, func(own string) bool {
					return strings.Contains("."+field, own+".") || strings.Contains("."+field, own+"[]")
				})
				if theirs || strings.HasSuffix(field, "[]") || strings.HasSuffix(field, "{}") {
					return
				}
				explained++
				if words := substance(field, s.Description); len(words) < least {
					t.Errorf("%s is explained by %q: say more than %q", field, s.Description, words)
				}
			})
			if explained < 100 {
				t.Errorf("read %d descriptions only", explained)
			}
		})
	}
}

func TestSubstance(t *testing.T) {
	cases := map[string]struct {
		reason, field, description string
		want                       []string
	}{
		"Name":     {"A field's name does not explain it.", "spec.percona.replicas", "Replicas is the number of the replicas.", []string{"number"}},
		"Says":     {"What remains does.", "spec.replicas", "Replicas is the number of server pods: 1, or 0.", []string{"number", "server", "pods", "1", "0"}},
		"NotThere": {"Nothing explains nothing.", "spec.image", "", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, substance(tc.field, tc.description)); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestDefinitionsAreSmall: kubectl apply, and every tool that works like it,
// keeps the whole object in an annotation, and an object's annotations have
// 262,144 bytes at the most. There is to be room for what people add.
func TestDefinitionsAreSmall(t *testing.T) {
	const most = 200_000
	for _, path := range []string{namespacedXRD, claimXRD} {
		b, err := yaml.YAMLToJSON(source(t, path))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > most {
			t.Errorf("%s has %d bytes as JSON, want at most %d: shorten the descriptions that k8s.io/api brings, in tools/xrdgen", path, len(b), most)
		}
	}
}

// TestCrossplaneKeepsTheSchema compares what Crossplane makes of our schema
// with the schema itself: Crossplane passes on a choice of the attributes of
// spec and status, and only those may be used there.
func TestCrossplaneKeepsTheSchema(t *testing.T) {
	files := map[string]string{"Namespaced": namespacedXRD, "Composite": claimXRD, "Claim": claimXRD}

	for name, crd := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			got, want := schemaOf(t, crd), ours(t, files[name])

			if diff := cmp.Diff(want.XValidations, got.XValidations); diff != "" {
				t.Errorf("root rules: -want, +got:\n%s", diff)
			}
			for _, field := range []string{"spec", "status"} {
				w, g := want.Properties[field], got.Properties[field]
				// Crossplane adds properties and required ones of its own.
				for p := range g.Properties {
					if _, ok := w.Properties[p]; !ok {
						delete(g.Properties, p)
					}
				}
				g.Required = slices.DeleteFunc(g.Required, func(p string) bool { _, ok := w.Properties[p]; return !ok })
				if diff := cmp.Diff(w, g); diff != "" {
					t.Errorf("%s: -want, +got:\n%s", field, diff)
				}
			}
		})
	}
}

// TestBothDefinitionsShareTheSchema: users see no difference between a
// namespaced DittoServer and a claim.
func TestBothDefinitionsShareTheSchema(t *testing.T) {
	modern, legacy := ours(t, namespacedXRD), ours(t, claimXRD)
	for _, s := range []*extv1.JSONSchemaProps{modern, legacy} {
		if len(s.XValidations) == 0 {
			t.Error("no rules for metadata.name")
		}
		s.XValidations = nil // They differ, see TestMetadataName.
	}
	if diff := cmp.Diff(modern, legacy); diff != "" {
		t.Errorf("-%s, +%s:\n%s", namespacedXRD, claimXRD, diff)
	}
}

func TestMetadataName(t *testing.T) {
	long := strings.Repeat("a", 28)
	const (
		label    = `must start with a lower case letter, end with a letter or digit, and hold only lower case letters, digits and '-' (no dots): Services are named after it`
		length   = `must have at most 28 characters, so that the names derived from it fit`
		postgres = `must not end in '-postgres': <name>-postgres is the name of a server's PostgreSQL cluster; choose another name`
	)

	cases := map[string]struct {
		reason string
		name   string
		want   []string
	}{
		"Short":        {reason: "One letter is enough.", name: "f"},
		"Longest":      {reason: "28 characters fit.", name: long},
		"Dashes":       {reason: "Dashes and digits may be inside.", name: "team-1-files-2"},
		"TooLong":      {reason: "29 characters do not fit.", name: long + "a", want: []string{length}},
		"Digit":        {reason: "A Service's name starts with a letter.", name: "1files", want: []string{label}},
		"Dot":          {reason: "A Service's name has no dots, though a DittoServer's could.", name: "files.eu", want: []string{label}},
		"Postgres":     {reason: "files-postgres is the cluster of the server files.", name: "files-postgres", want: []string{postgres}},
		"JustPostgres": {reason: "Without a dash no server's cluster has that name.", name: "postgres"},
		"DotAndLong":   {reason: "All that is wrong is said at once.", name: long + ".a", want: []string{length, label}},
	}

	vs := validators(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []string{"Namespaced", "Claim"} {
				var want []string
				for _, message := range tc.want {
					want = append(want, "metadata.name: Invalid value: "+message)
				}
				got := messages(vs[kind].Validate(object(t, vs[kind], tc.name, minimalSpec)))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("\n%s\n%s: -want, +got:\n%s", tc.reason, kind, diff)
				}
			}
		})
	}

	t.Run("BehindAClaim", func(t *testing.T) {
		v := vs["Composite"]
		if err := v.Validate(object(t, v, long+"-x7k2p", minimalSpec)); err != nil {
			t.Errorf("Crossplane names a composite resource after its claim, with a suffix, and that must not break the limit: %v", err)
		}
	})
}
