// Package crdtest answers in tests what an API server would answer about a
// custom resource, with the API server's own code and the resource's real
// CustomResourceDefinition: is it valid, what are its defaults, and what does
// server-side apply make of it. Only tests import it.
//
// The PerconaPGCluster's definition (30,000 lines) is read from the operator's
// module once per test binary, which takes about a second.
package crdtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"github.com/crossplane/function-sdk-go/errors"
)

// perconaModule is the Go module that the operator's definitions come from.
const perconaModule = "github.com/percona/percona-postgresql-operator/v2"

// PerconaPGCluster returns the validator of a PerconaPGCluster (v2) as the
// operator's module in go.mod defines it. It may be used from several tests at
// once.
func PerconaPGCluster(tb testing.TB) *Validator {
	tb.Helper()

	v, err := percona()
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// PostgresCluster returns the validator of the PostgresCluster (v1beta1) that
// the operator makes of a PerconaPGCluster.
func PostgresCluster(tb testing.TB) *Validator {
	tb.Helper()

	v, err := crunchy()
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// PerconaTypeConverter returns the converter that server-side apply uses for a
// PerconaPGCluster: it knows which lists are maps, sets or atomic.
func PerconaTypeConverter(tb testing.TB) managedfields.TypeConverter {
	tb.Helper()

	tc, err := perconaConverter()
	if err != nil {
		tb.Fatal(err)
	}
	return tc
}

// PerconaFieldManager returns a field manager as an API server has it for a
// PerconaPGCluster, defaulting included. Its Apply and Update take the live
// object (an empty one of the kind, for a create) and return the new one with
// its managedFields; they validate nothing. The subresource is "" or "status".
func PerconaFieldManager(tb testing.TB, subresource string) *managedfields.FieldManager {
	tb.Helper()

	fm, err := PerconaPGCluster(tb).fieldManager(PerconaTypeConverter(tb), subresource)
	if err != nil {
		tb.Fatal(err)
	}
	return fm
}

//nolint:gochecknoglobals // Read once, never written: the definition is large.
var (
	percona = sync.OnceValues(func() (*Validator, error) {
		crd, err := perconaCRD("pgv2.percona.com_perconapgclusters.yaml", "perconapgclusters.pgv2.percona.com")
		if err != nil {
			return nil, err
		}
		return New(crd, "v2")
	})

	crunchy = sync.OnceValues(func() (*Validator, error) {
		crd, err := perconaCRD("postgres-operator.crunchydata.com_postgresclusters.yaml", "postgresclusters.postgres-operator.crunchydata.com")
		if err != nil {
			return nil, err
		}
		return New(crd, "v1beta1")
	})

	perconaConverter = sync.OnceValues(func() (managedfields.TypeConverter, error) {
		v, err := percona()
		if err != nil {
			return nil, err
		}
		return v.typeConverter()
	})
)

// perconaCRD reads the definition of that name (<plural>.<group>) from a file of
// the operator's module, which may hold several.
func perconaCRD(file, name string) (*apiextensionsv1.CustomResourceDefinition, error) {
	dir, err := ModuleDir(perconaModule)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "config", "crd", "bases", file)) //nolint:gosec // The path is the module cache's.
	if err != nil {
		return nil, errors.Wrap(err, "cannot read the operator's definitions")
	}

	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		// Parsing a definition takes a second, looking for its name nothing.
		if !strings.Contains(doc, "\n  name: "+name+"\n") {
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal([]byte(doc), crd); err != nil {
			return nil, errors.Wrapf(err, "cannot parse the definition of %s", name)
		}
		return crd, nil
	}
	return nil, errors.Errorf("the operator's module does not define %s", name)
}

// ModuleDir returns the folder of a module that go.mod requires, as the go
// command gives it to the package under test.
func ModuleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output() //nolint:gosec,noctx // A constant of this package's callers; the go command ends by itself.
	if err != nil {
		return "", errors.Wrapf(err, "cannot find the folder of module %s", module)
	}
	return strings.TrimSpace(string(out)), nil
}

// A Validator judges objects of one version of a custom resource. It is safe
// for concurrent use.
type Validator struct {
	crd        *apiextensionsv1.CustomResourceDefinition
	version    string
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	cel        *cel.Validator
}

// New returns the validator of that version of a definition.
func New(crd *apiextensionsv1.CustomResourceDefinition, version string) (*Validator, error) {
	for _, v := range crd.Spec.Versions {
		if v.Name != version {
			continue
		}

		props := &apiextensions.JSONSchemaProps{}
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, props, nil); err != nil {
			return nil, errors.Wrapf(err, "cannot convert the schema of %s", crd.GetName())
		}
		structural, err := structuralschema.NewStructural(props)
		if err != nil {
			return nil, errors.Wrapf(err, "the schema of %s is not structural", crd.GetName())
		}
		sv, _, err := validation.NewSchemaValidator(props)
		if err != nil {
			return nil, errors.Wrapf(err, "cannot build the validator of %s", crd.GetName())
		}
		return &Validator{
			crd:        crd,
			version:    version,
			structural: structural,
			schema:     sv,
			cel:        cel.NewValidator(structural, true, celconfig.PerCallLimit),
		}, nil
	}
	return nil, errors.Errorf("%s has no version %s", crd.GetName(), version)
}

// GroupVersionKind of the objects that the validator judges.
func (v *Validator) GroupVersionKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: v.crd.Spec.Group, Version: v.version, Kind: v.crd.Spec.Names.Kind}
}

// ListType returns how server-side apply merges the list at that path of keys,
// which leads through lists as through their items: "map by <keys>", "set" or
// "atomic". It is empty if there is no such list.
func (v *Validator) ListType(path ...string) string {
	s := v.structural
	for _, key := range path {
		if s.Items != nil {
			s = s.Items
		}
		child, ok := s.Properties[key]
		if !ok {
			return ""
		}
		s = &child
	}

	return listType(s)
}

func listType(s *structuralschema.Structural) string {
	if s.Items == nil {
		return ""
	}
	if s.XListType == nil || *s.XListType == "atomic" {
		return "atomic"
	}
	if *s.XListType == "map" {
		return "map by " + strings.Join(s.XListMapKeys, ", ")
	}
	return *s.XListType
}

// Lists returns how server-side apply merges every list that an object may have,
// in the words of ListType. In a path keys are joined by dots, and [] is a
// list's item.
func (v *Validator) Lists() map[string]string {
	lists := map[string]string{}
	var walk func(path string, s *structuralschema.Structural)
	walk = func(path string, s *structuralschema.Structural) {
		if s.Items != nil {
			lists[path] = listType(s)
			walk(path+"[]", s.Items)
		}
		for key, child := range s.Properties {
			walk(strings.TrimPrefix(path+"."+key, "."), &child)
		}
		if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
			walk(path+".*", s.AdditionalProperties.Structural)
		}
	}
	walk("", v.structural)
	return lists
}

// Default returns a copy of the object with the schema's defaults filled in,
// as the API server stores it. Whole floats become integers, as they do when
// an API server decodes JSON.
func (v *Validator) Default(obj map[string]any) map[string]any {
	out := copyObject(obj)
	defaulting.Default(out, v.structural)
	return out
}

// Validate returns an error if an API server would refuse to create the whole
// object (apiVersion, kind, metadata, spec): schema, list keys, CEL rules. It
// also returns one for fields that the schema does not know, which server-side
// apply refuses too. Defaults are filled in first; obj is not changed.
func (v *Validator) Validate(obj map[string]any) error {
	in := v.Default(obj)

	pruned := copyObject(in)
	unknown := pruning.PruneWithOptions(pruned, v.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		return errors.Errorf("%s does not know the fields %s", v.crd.Spec.Names.Kind, strings.Join(unknown, ", "))
	}

	errs := validation.ValidateCustomResource(nil, in, v.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, in)...)
	if len(errs) > 0 {
		return errs.ToAggregate()
	}

	// CEL rules may assume a valid object, so they come last.
	errs, _ = v.cel.Validate(context.Background(), nil, v.structural, in, nil, celconfig.RuntimeCELCostBudget)
	return errs.ToAggregate()
}

// typeConverter builds what the API server builds for server-side apply
// (apiextensions-apiserver v0.35.3 pkg/apiserver/customresource_handler.go,
// buildOpenAPIModelsForApply).
func (v *Validator) typeConverter() (managedfields.TypeConverter, error) {
	spec, err := builder.BuildOpenAPIV3(v.crd, v.version, builder.Options{})
	if err != nil {
		return nil, errors.Wrapf(err, "cannot build the OpenAPI models of %s", v.crd.GetName())
	}
	tc, err := managedfields.NewTypeConverter(spec.Components.Schemas, v.crd.Spec.PreserveUnknownFields)
	return tc, errors.Wrapf(err, "cannot build the type converter of %s", v.crd.GetName())
}

func (v *Validator) fieldManager(tc managedfields.TypeConverter, subresource string) (*managedfields.FieldManager, error) {
	gvk := v.GroupVersionKind()

	// The API server keeps each endpoint from owning the other's fields
	// (apiextensions-apiserver v0.35.3 pkg/registry/customresource).
	reset := fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
	if subresource == "status" {
		reset = fieldpath.NewSet(
			fieldpath.MakePathOrDie("spec"),
			fieldpath.MakePathOrDie("metadata", "deletionTimestamp"),
			fieldpath.MakePathOrDie("metadata", "ownerReferences"),
			fieldpath.MakePathOrDie("metadata", "labels"),
			fieldpath.MakePathOrDie("metadata", "annotations"),
			fieldpath.MakePathOrDie("metadata", "finalizers"),
		)
	}
	filters := fieldpath.NewExcludeFilterSetMap(map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(gvk.GroupVersion().String()): reset,
	})

	w := oneVersion{v}
	fm, err := managedfields.NewDefaultCRDFieldManager(tc, w, w, w, gvk, gvk.GroupVersion(), subresource, filters)
	return fm, errors.Wrapf(err, "cannot build the field manager of %s", v.crd.GetName())
}

// oneVersion is what a field manager needs to know of a custom resource that
// is served in one version.
type oneVersion struct{ *Validator }

// Convert is not called: there is one version.
func (oneVersion) Convert(_, _, _ any) error {
	return errors.New("there is one version")
}

// ConvertToVersion returns the object as it is.
func (oneVersion) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

// ConvertFieldLabel is not called: nothing is selected by field.
func (oneVersion) ConvertFieldLabel(_ schema.GroupVersionKind, _, _ string) (string, string, error) {
	return "", "", errors.New("there is one version")
}

// New returns an empty object.
func (oneVersion) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u, nil
}

// Default fills in the schema's defaults.
func (o oneVersion) Default(in runtime.Object) {
	if u, ok := in.(*unstructured.Unstructured); ok {
		defaulting.Default(u.Object, o.structural)
	}
}

// copyObject returns a deep copy in the types that an API server's JSON
// decoder gives: whole numbers are int64.
func copyObject(obj map[string]any) map[string]any {
	out := make(map[string]any, len(obj))
	for k, v := range obj {
		out[k] = copyValue(v)
	}
	return out
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return copyObject(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = copyValue(v[i])
		}
		return out
	case float64:
		if i := int64(v); float64(i) == v {
			return i
		}
		return v
	case int:
		return int64(v)
	case int32:
		return int64(v)
	default:
		return v
	}
}
