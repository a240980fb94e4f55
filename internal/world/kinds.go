package world

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/crossplane/function-sdk-go/errors"
)

// The kinds that the model knows.
//
//nolint:gochecknoglobals // Names, never written.
var (
	GVKNamespace     = corev1.SchemeGroupVersion.WithKind("Namespace")
	GVKSecret        = corev1.SchemeGroupVersion.WithKind("Secret")
	GVKConfigMap     = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	GVKService       = corev1.SchemeGroupVersion.WithKind("Service")
	GVKClaim         = corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")
	GVKStatefulSet   = appsv1.SchemeGroupVersion.WithKind("StatefulSet")
	GVKNetworkPolicy = networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy")
	GVKAccount       = corev1.SchemeGroupVersion.WithKind("ServiceAccount")
	GVKPriority      = schedulingv1.SchemeGroupVersion.WithKind("PriorityClass")
	GVKStorageClass  = storagev1.SchemeGroupVersion.WithKind("StorageClass")
	GVKAPIService    = schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}
	GVKCluster       = schema.GroupVersionKind{Group: "pgv2.percona.com", Version: "v2", Kind: "PerconaPGCluster"}
	GVKMonitor       = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"}
	GVKServer        = schema.GroupVersionKind{Group: "dittofs.io", Version: "v1alpha1", Kind: "DittoServer"}
	GVKLegacyServer  = schema.GroupVersionKind{Group: "dittofs.io", Version: "v1alpha1", Kind: "XDittoServer"}
)

// PerconaKind is what the API server knows about a PerconaPGCluster from its
// real definition.
type PerconaKind struct {
	// Converter that server-side apply uses.
	Converter managedfields.TypeConverter
	// Default returns a copy with the schema's defaults.
	Default func(content map[string]any) map[string]any
	// Validate an object against schema and CEL rules.
	Validate func(content map[string]any) error
}

// kind is what the API server knows about a kind.
type kind struct {
	gvk            schema.GroupVersionKind
	cluster        bool // Cluster-scoped.
	statusResource bool // The status is a subresource.
	generation     bool // Changes of the intent are counted.
	fill           func(content map[string]any)
	judge          func(next map[string]any, live *Object) field.ErrorList

	main, status *managedfields.FieldManager
}

func newKinds(percona PerconaKind) (map[schema.GroupVersionKind]*kind, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, networkingv1.AddToScheme, schedulingv1.AddToScheme, storagev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, errors.Wrap(err, "cannot build the scheme of the core kinds")
		}
	}
	core := applyconfigurations.NewTypeConverter(scheme)
	deduced := managedfields.NewDeducedTypeConverter()

	kinds := map[schema.GroupVersionKind]*kind{}
	for _, d := range []struct {
		kind

		tc managedfields.TypeConverter
	}{
		{kind{gvk: GVKNamespace, cluster: true}, core},
		{kind{gvk: GVKSecret, fill: fillSecret, judge: judgeSecret}, core},
		{kind{gvk: GVKConfigMap}, core},
		{kind{gvk: GVKService, statusResource: true, fill: fillService, judge: judgeService}, core},
		{kind{gvk: GVKClaim, statusResource: true}, core},
		{kind{gvk: GVKStatefulSet, statusResource: true, generation: true, fill: fillStatefulSet, judge: judgeStatefulSet}, core},
		{kind{gvk: GVKNetworkPolicy, generation: true, fill: fillNetworkPolicy}, core},
		{kind{gvk: GVKAccount}, core},
		{kind{gvk: GVKPriority, cluster: true}, core},
		{kind{gvk: GVKStorageClass, cluster: true}, core},
		{kind{gvk: GVKAPIService, cluster: true}, deduced},
		{kind{gvk: GVKMonitor, generation: true}, deduced},
		{kind{gvk: GVKServer, statusResource: true, generation: true, judge: judgeServer}, deduced},
		{kind{gvk: GVKLegacyServer, cluster: true, statusResource: true, generation: true, judge: judgeServer}, deduced},
		{
			kind{
				gvk: GVKCluster, statusResource: true, generation: true,
				fill: func(content map[string]any) {
					maps.Copy(content, percona.Default(content))
				},
				judge: func(next map[string]any, _ *Object) field.ErrorList {
					if err := percona.Validate(next); err != nil {
						return field.ErrorList{field.Invalid(field.NewPath(""), "PerconaPGCluster", err.Error())}
					}

					return nil
				},
			}, percona.Converter,
		},
	} {
		k := d.kind
		if err := k.complete(d.tc); err != nil {
			return nil, err
		}
		kinds[k.gvk] = &k
	}

	return kinds, nil
}

// complete a kind with what all kinds have.
func (k *kind) complete(tc managedfields.TypeConverter) error {
	if k.fill == nil {
		k.fill = func(map[string]any) {}
	}
	own := k.judge
	k.judge = func(next map[string]any, live *Object) field.ErrorList {
		errs := judgeMetadata(next, live)
		if own != nil {
			errs = append(errs, own(next, live)...)
		}

		return errs
	}

	var err error
	if k.main, err = k.manager(tc, "", "status"); err != nil {
		return err
	}
	if !k.statusResource {
		return nil
	}
	k.status, err = k.manager(tc, "status", "spec", "metadata")

	return err
}

// manager of the fields of one endpoint; it does not own what the endpoint
// resets.
func (k *kind) manager(tc managedfields.TypeConverter, subresource string, resets ...string) (*managedfields.FieldManager, error) {
	set := fieldpath.NewSet()
	for _, r := range resets {
		set.Insert(fieldpath.MakePathOrDie(r))
	}
	filter := map[fieldpath.APIVersion]fieldpath.Filter{}
	if k.statusResource {
		filter[fieldpath.APIVersion(k.gvk.GroupVersion().String())] = fieldpath.NewExcludeSetFilter(set)
	}
	m := machinery{k}
	fm, err := managedfields.NewDefaultCRDFieldManager(tc, m, m, m, k.gvk, k.gvk.GroupVersion(), subresource, filter)

	return fm, errors.Wrapf(err, "cannot build the field manager of %s", k.gvk.Kind)
}

// machinery is what a field manager needs to know of a kind that exists in one
// version only.
type machinery struct{ kind *kind }

// Default fills in the kind's defaults.
func (m machinery) Default(in runtime.Object) {
	if u, ok := in.(*unstructured.Unstructured); ok {
		m.kind.fill(u.Object)
	}
}

// New returns an empty object.
func (machinery) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)

	return u, nil
}

// ConvertToVersion returns the object as it is.
func (machinery) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

// Convert is not called: there is one version.
func (machinery) Convert(_, _, _ any) error { return errors.New("there is one version") }

// ConvertFieldLabel is not called: nothing is selected by field.
func (machinery) ConvertFieldLabel(_ schema.GroupVersionKind, _, _ string) (string, string, error) {
	return "", "", errors.New("there is one version")
}

// judgeMetadata as k8s.io/apimachinery v0.35.3 pkg/api/validation/objectmeta.go.
func judgeMetadata(next map[string]any, live *Object) field.ErrorList {
	var errs field.ErrorList
	p := field.NewPath("metadata")

	controllers := 0
	for _, r := range list(at(next, "metadata", "ownerReferences")) {
		ref, _ := r.(map[string]any)
		if is, _ := ref["controller"].(bool); is {
			controllers++
		}
		if text(ref, "uid") == "" || text(ref, "name") == "" || text(ref, "kind") == "" || text(ref, "apiVersion") == "" {
			errs = append(errs, field.Required(p.Child("ownerReferences"), "apiVersion, kind, name and uid"))
		}
	}
	if controllers > 1 {
		errs = append(errs, field.Invalid(p.Child("ownerReferences"), controllers, "Only one reference can have Controller set to true"))
	}

	if !live.Deleting() {
		return errs
	}
	old := map[any]bool{}
	for _, f := range list(live.Value("metadata", "finalizers")) {
		old[f] = true
	}
	for _, f := range list(at(next, "metadata", "finalizers")) {
		if !old[f] {
			errs = append(errs, field.Forbidden(p.Child("finalizers"), "no new finalizers can be added if the object is being deleted"))
		}
	}

	return errs
}

// judgeServer asks for what the schema requires, so that an apply of
// references alone makes no composite resource.
func judgeServer(next map[string]any, _ *Object) field.ErrorList {
	if text(next, "spec", "storage", "metadataSize") != "" {
		return nil
	}

	return field.ErrorList{field.Required(field.NewPath("spec", "storage", "metadataSize"), "")}
}

func fillSecret(c map[string]any) {
	orSet(c, "type", "Opaque")

	plain, _ := c["stringData"].(map[string]any)
	for k, v := range plain {
		s, _ := v.(string)
		child(c, "data")[k] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	delete(c, "stringData")
}

func judgeSecret(next map[string]any, live *Object) field.ErrorList {
	var errs field.ErrorList
	for k, v := range mapOf(next["data"]) {
		s, ok := v.(string)
		if _, err := base64.StdEncoding.DecodeString(s); !ok || err != nil {
			errs = append(errs, field.Invalid(field.NewPath("data", k), "", "is not base64"))
		}
	}
	if live == nil {
		return errs
	}

	fixed := []string{"type"}
	if is, _ := live.Value("immutable").(bool); is {
		fixed = append(fixed, "data", "immutable")
	}
	for _, f := range fixed {
		if !reflect.DeepEqual(next[f], live.content[f]) {
			errs = append(errs, field.Forbidden(field.NewPath(f), "field is immutable when `immutable` is set"))
		}
	}

	return errs
}

func fillService(c map[string]any) {
	spec := child(c, "spec")
	orSet(spec, "type", "ClusterIP")
	orSet(spec, "sessionAffinity", "None")
	orSet(spec, "internalTrafficPolicy", "Cluster")
	orSet(spec, "ipFamilyPolicy", "SingleStack")
	orSet(spec, "ipFamilies", []any{"IPv4"})
	// The API server takes a free address; ours follows the name.
	h := sha256.Sum256([]byte(KeyOf(c).String()))
	orSet(spec, "clusterIP", fmt.Sprintf("10.96.%d.%d", h[0], h[1]))
	orSet(spec, "clusterIPs", []any{spec["clusterIP"]})
	if t := spec["type"]; t == "LoadBalancer" || t == "NodePort" {
		orSet(spec, "externalTrafficPolicy", "Cluster")
	}
	for _, p := range list(spec["ports"]) {
		port := mapOf(p)
		orSet(port, "protocol", "TCP")
		orSet(port, "targetPort", port["port"])
	}
}

func judgeService(next map[string]any, live *Object) field.ErrorList {
	if live == nil || text(next, "spec", "clusterIP") == live.Text("spec", "clusterIP") {
		return nil
	}

	return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIP"), text(next, "spec", "clusterIP"), "may not change once set")}
}

func fillNetworkPolicy(c map[string]any) {
	orSet(child(c, "spec"), "policyTypes", []any{"Ingress"})
}

// fillStatefulSet as k8s.io/kubernetes pkg/apis/apps/v1/defaults.go and the
// defaults of pods.
func fillStatefulSet(c map[string]any) {
	spec := child(c, "spec")
	orSet(spec, "podManagementPolicy", "OrderedReady")
	orSet(spec, "replicas", int64(1))
	orSet(spec, "revisionHistoryLimit", int64(10))
	orSet(spec, "serviceName", "")
	orSet(spec, "updateStrategy", map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"partition": int64(0)}})
	for k, v := range map[string]string{"whenDeleted": "Retain", "whenScaled": "Retain"} {
		orSet(child(spec, "persistentVolumeClaimRetentionPolicy"), k, v)
	}

	for _, t := range list(spec["volumeClaimTemplates"]) {
		claim := mapOf(t)
		orSet(claim, "apiVersion", "v1")
		orSet(claim, "kind", "PersistentVolumeClaim")
		orSet(child(claim, "spec"), "volumeMode", "Filesystem")
		orSet(claim, "status", map[string]any{"phase": "Pending"})
	}
	fillPod(child(spec, "template", "spec"))
}

func fillPod(pod map[string]any) {
	orSet(pod, "restartPolicy", "Always")
	orSet(pod, "dnsPolicy", "ClusterFirst")
	orSet(pod, "schedulerName", "default-scheduler")
	orSet(pod, "securityContext", map[string]any{})
	orSet(pod, "terminationGracePeriodSeconds", int64(30))
	if sa, ok := pod["serviceAccountName"]; ok {
		pod["serviceAccount"] = sa
	}

	for _, v := range list(pod["volumes"]) {
		for _, source := range []string{"secret", "configMap", "projected", "downwardAPI"} {
			if s, ok := mapOf(v)[source].(map[string]any); ok {
				orSet(s, "defaultMode", int64(0o644))
			}
		}
	}
	for _, containers := range []string{"initContainers", "containers"} {
		for _, c := range list(pod[containers]) {
			fillContainer(mapOf(c))
		}
	}
}

func fillContainer(c map[string]any) {
	orSet(c, "terminationMessagePath", "/dev/termination-log")
	orSet(c, "terminationMessagePolicy", "File")
	orSet(c, "imagePullPolicy", "IfNotPresent")
	orSet(c, "resources", map[string]any{})
	for _, p := range list(c["ports"]) {
		orSet(mapOf(p), "protocol", "TCP")
	}
	for _, e := range list(c["env"]) {
		if ref, ok := at(mapOf(e), "valueFrom", "fieldRef").(map[string]any); ok {
			orSet(ref, "apiVersion", "v1")
		}
	}
	for _, probe := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		p, ok := c[probe].(map[string]any)
		if !ok {
			continue
		}
		orSet(p, "timeoutSeconds", int64(1))
		orSet(p, "periodSeconds", int64(10))
		orSet(p, "successThreshold", int64(1))
		orSet(p, "failureThreshold", int64(3))
		if get, ok := p["httpGet"].(map[string]any); ok {
			orSet(get, "scheme", "HTTP")
			orSet(get, "path", "/")
		}
	}
}

// mutable fields of a StatefulSet's spec; all others may not change
// (k8s.io/kubernetes pkg/apis/apps/validation/validation.go).
//
//nolint:gochecknoglobals // A set, never written.
var mutable = map[string]bool{
	"replicas": true, "template": true, "updateStrategy": true, "ordinals": true, "minReadySeconds": true,
	"revisionHistoryLimit": true, "persistentVolumeClaimRetentionPolicy": true,
}

func judgeStatefulSet(next map[string]any, live *Object) field.ErrorList {
	errs := judgeTemplate(next)
	if live == nil {
		return errs
	}

	spec, old := mapOf(next["spec"]), mapOf(live.content["spec"])
	for _, m := range []map[string]any{spec, old} {
		for f := range m {
			if !mutable[f] && !reflect.DeepEqual(spec[f], old[f]) {
				errs = append(errs, field.Forbidden(field.NewPath("spec", f), "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"))
			}
		}
	}

	return errs
}

// judgeTemplate looks for what a builder of pods gets wrong most easily.
func judgeTemplate(next map[string]any) field.ErrorList {
	var errs field.ErrorList
	p := field.NewPath("spec")

	labels := mapOf(at(next, "spec", "template", "metadata", "labels"))
	for k, v := range mapOf(at(next, "spec", "selector", "matchLabels")) {
		if labels[k] != v {
			errs = append(errs, field.Invalid(p.Child("template", "metadata", "labels"), labels, "`selector` does not match template `labels`"))
		}
	}

	volumes := map[any]bool{}
	for _, c := range list(at(next, "spec", "volumeClaimTemplates")) {
		volumes[text(mapOf(c), "metadata", "name")] = true
	}
	pod := mapOf(at(next, "spec", "template", "spec"))
	for _, v := range list(pod["volumes"]) {
		volumes[mapOf(v)["name"]] = true
	}
	if len(list(pod["containers"])) == 0 {
		errs = append(errs, field.Required(p.Child("template", "spec", "containers"), ""))
	}
	for _, containers := range []string{"initContainers", "containers"} {
		for _, c := range list(pod[containers]) {
			errs = append(errs, judgeContainer(p.Child("template", "spec", containers), mapOf(c), volumes)...)
		}
	}

	return errs
}

func judgeContainer(p *field.Path, c map[string]any, volumes map[any]bool) field.ErrorList {
	var errs field.ErrorList
	if text(c, "image") == "" {
		errs = append(errs, field.Required(p.Child("image"), ""))
	}

	paths := map[any]bool{}
	for _, m := range list(c["volumeMounts"]) {
		mount := mapOf(m)
		if !volumes[mount["name"]] {
			errs = append(errs, field.NotFound(p.Child("volumeMounts"), mount["name"]))
		}
		if paths[mount["mountPath"]] {
			errs = append(errs, field.Invalid(p.Child("volumeMounts"), mount["mountPath"], "must be unique"))
		}
		paths[mount["mountPath"]] = true
	}

	return errs
}

// mapOf returns v if it is a map, else nil.
func mapOf(v any) map[string]any {
	m, _ := v.(map[string]any)

	return m
}
