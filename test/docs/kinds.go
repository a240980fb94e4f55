package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	perconav2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	xpv1 "github.com/crossplane/crossplane/apis/v2/apiextensions/v1"
	xpv2 "github.com/crossplane/crossplane/apis/v2/apiextensions/v2"
	pkgv1 "github.com/crossplane/crossplane/apis/v2/pkg/v1"
	pkgv1beta1 "github.com/crossplane/crossplane/apis/v2/pkg/v1beta1"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A kind of objects that the documents may speak of.
type kind struct {
	group, version, kind string
	// names that kubectl knows it by.
	names []string
	// typ has its fields; nil if they are not known here.
	typ reflect.Type
	// more are the fields that Crossplane adds.
	more []string
	// conditions of its status; nil if they are not known here.
	conditions []string
}

// list of objects of the kind.
func (k kind) list() kind {
	k.typ = reflect.StructOf([]reflect.StructField{{
		Name: "Items", Type: reflect.SliceOf(k.typ), Tag: `json:"items"`,
	}})

	return k
}

// decode a part of an object of the kind; unknown fields are errors.
func (k kind) decode(text []byte) error {
	return yaml.UnmarshalStrict(text, reflect.New(k.typ).Interface())
}

// kinds by what they are called, and the names of the objects of a server
// called files.
type kinds struct {
	all     []kind
	objects map[string][]string
}

// dittoServer is the kind that people write.
const dittoServer = "DittoServer"

// shortNames that the documents use.
var shortNames = map[string][]string{ //nolint:gochecknoglobals // Read only.
	"PersistentVolumeClaim":    {"pvc"},
	"CustomResourceDefinition": {"crd"},
	"PerconaPGCluster":         {"pg"},
	dittoServer:                {"ditto", "dittofs"},
}

// newKinds knows Kubernetes' own kinds, Crossplane's, the Percona operator's and
// those of this repository.
func newKinds(root string) (*kinds, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, extv1.AddToScheme, xpv1.AddToScheme, xpv2.AddToScheme,
		pkgv1.SchemeBuilder.AddToScheme, pkgv1beta1.SchemeBuilder.AddToScheme, perconav2.AddToScheme,
	} {
		if err := add(s); err != nil {
			return nil, err
		}
	}

	out := &kinds{objects: objectsOf("files")}
	for gvk, typ := range s.AllKnownTypes() {
		if strings.HasSuffix(gvk.Kind, "List") || strings.HasSuffix(gvk.Kind, "Options") {
			continue
		}
		out.add(gvk, typ)
	}
	// Kinds whose Go modules would be a lot for a name.
	out.add(schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}, nil)
	out.add(schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}, nil)
	// The DittoFS operator's, for who moves over.
	out.add(schema.GroupVersionKind{Group: "dittofs.dittofs.com", Version: "v1alpha1", Kind: dittoServer}, nil)

	conditions := append(condition.Types(), "Ready", "Synced", "Responsive")
	for _, name := range []string{dittoServer, "XDittoServer"} {
		out.add(v1alpha1.GroupVersion.WithKind(name), reflect.TypeFor[v1alpha1.DittoServer]())
		added := &out.all[len(out.all)-1]
		added.conditions = conditions
		added.more = []string{"status.conditions", "spec.crossplane", "spec.compositionRef", "spec.claimRef", "spec.resourceRef", "spec.resourceRefs", "spec.writeConnectionSecretToRef"}
	}

	if err := out.check(root); err != nil {
		return nil, err
	}

	return out, nil
}

// check that the definitions in the repository are known by the same names.
func (k *kinds) check(root string) error {
	for _, flavour := range []string{"namespaced", "claim"} {
		text, err := os.ReadFile(filepath.Join(root, "configuration", flavour, "xrd.yaml")) //nolint:gosec // A file of this repository.
		if err != nil {
			return err
		}
		xrd := &xpv1.CompositeResourceDefinition{}
		if err := yaml.Unmarshal(text, xrd); err != nil {
			return err
		}
		for _, names := range []*extv1.CustomResourceDefinitionNames{&xrd.Spec.Names, xrd.Spec.ClaimNames} {
			if names == nil {
				continue
			}
			for _, name := range append([]string{names.Plural, names.Singular, names.Plural + "." + xrd.Spec.Group}, names.ShortNames...) {
				if got, err := k.named(name); err != nil || got.kind != names.Kind {
					return fmt.Errorf("the definition's %s is not known: %w", name, err)
				}
			}
		}
	}

	return nil
}

func (k *kinds) add(gvk schema.GroupVersionKind, typ reflect.Type) {
	plural, singular := meta.UnsafeGuessKindToResource(gvk)
	names := append([]string{plural.Resource, singular.Resource}, shortNames[gvk.Kind]...)
	if gvk.Group == "dittofs.dittofs.com" {
		names = nil // Only by the full name: the new kind has the short ones.
	}
	if gvk.Group != "" {
		names = append(names, plural.GroupResource().String(), singular.Resource+"."+gvk.Group)
	}
	k.all = append(k.all, kind{group: gvk.Group, version: gvk.Version, kind: gvk.Kind, names: names, typ: typ})
}

// named as kubectl takes it: plural, singular or short, or with its group. Of
// those with the same name the core one counts, then any.
func (k *kinds) named(name string) (kind, error) {
	var found *kind
	for i := range k.all {
		candidate := &k.all[i]
		if slices.Contains(candidate.names, strings.ToLower(name)) && (found == nil || candidate.group == "" || (found.group != "" && candidate.version == "v1")) {
			found = candidate
		}
	}
	if found == nil {
		return kind{}, fmt.Errorf("kubectl knows no kind %q", name)
	}

	return *found, nil
}

// of a manifest.
func (k *kinds) of(gvk schema.GroupVersionKind) (kind, bool) {
	for _, candidate := range k.all {
		if candidate.group == gvk.Group && candidate.version == gvk.Version && candidate.kind == gvk.Kind {
			return candidate, true
		}
	}

	return kind{}, false
}

// object of that name: one that is named after the server "files" is of its
// objects.
func (k *kinds) object(about []kind, name string) error {
	if name != "files" && !strings.Contains(name, "files-") {
		return nil
	}
	for _, a := range about {
		if names, ok := k.objects[a.kind]; ok && !slices.Contains(names, name) {
			return fmt.Errorf("a server called files has no %s %s", a.kind, name)
		}
	}

	return nil
}

// objectsOf a server, by kind: what the function composes, and what becomes of
// that.
func objectsOf(name string) map[string][]string {
	srv := &server.Server{Name: name, Spec: v1alpha1.DittoServerSpec{}}
	srv.Spec.SetDefaults()
	metrics := true
	srv.Spec.Metrics.Enabled = &metrics

	cluster := srv.Identity(server.KeyCluster).Name
	out := map[string][]string{
		dittoServer: {name},
		"Pod":       {name + "-0"},
		"PersistentVolumeClaim": {
			server.ClaimControlPlane + "-" + name + "-0", server.ClaimMetadata + "-" + name + "-0", server.ClaimContent + "-" + name + "-0",
		},
		// The Percona operator's, which it derives from the cluster's name.
		"Secret": {cluster + "-pguser-dittofs", cluster + "-cluster-cert"},
	}
	for _, key := range append(srv.Keys(), server.KeyCluster, server.KeyServiceMonitor) {
		o := srv.Identity(key)
		out[o.Kind] = append(out[o.Kind], o.Name)
	}

	return out
}
