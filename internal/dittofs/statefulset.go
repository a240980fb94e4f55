package dittofs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/database"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// A Workload is the StatefulSet that runs the server, and whether it may.
type Workload struct {
	// Keep tells that the live pod template is kept as it is: a pod that is
	// restarted with the new one would not start, or on another database.
	Keep bool
	// Waits tells that the live pod template is kept for now: the file that the
	// new one would start with is on its way.
	Waits bool
	// Rolls tells that the pod is restarted by what is composed now.
	Rolls bool
	// Start tells that the StatefulSet is composed: it is live, or may be
	// created now (R1).
	Start bool
	// Secure tells that the REST API of the pod in force speaks TLS.
	Secure bool
	// Storage is what a person is told about the volumes.
	Storage condition.Condition

	object desired.Object
}

// Objects are the StatefulSet, if it is composed.
func (w *Workload) Objects() []desired.Object {
	if !w.Start {
		return nil
	}

	return []desired.Object{w.object}
}

// NewWorkload builds the StatefulSet. It is built, and so checked, whether or
// not it may be created already.
func NewWorkload(srv *server.Server, seen *observed.State, db *database.Plan, creds *Credentials, cfg *Config) (*Workload, error) {
	live := seen.StatefulSet()
	w := &Workload{}
	w.Keep = live.Live() && keeps(seen, db, creds, cfg)
	w.Waits = live.Live() && !w.Keep && !cfg.Stored()
	w.Secure = speaksTLS(srv, live, w.Keep || w.Waits)
	w.Start = live.Live() || (creds.Stored && cfg.Hash != "" && mayStart(srv, seen, db))

	claims := claimTemplates(srv)
	w.Storage = storageUpToDate(srv, seen, claims)
	template, err := podTemplate(srv, seen, db, creds, cfg.Hash, claimsInForce(live, claims))
	if err != nil {
		return nil, err
	}
	w.Rolls = live.Live() && !w.Keep && !w.Waits && rolls(live, template)
	w.object = statefulSet(srv, live, template, claims, w)

	return w, nil
}

// keeps tells that a live pod is to be kept: something that the new one refers
// to is not there (R3), or it would run on a database that it may not use, or
// not yet: the one that a server moves to is gated like that of a new server
// (R22).
func keeps(seen *observed.State, db *database.Plan, creds *Credentials, cfg *Config) bool {
	if db.Refused || cfg.Hash == "" || !creds.Restartable || len(db.Problems) > 0 {
		return true
	}
	_, running := seen.Running()

	return running != "" && running != db.ID && !db.Usable
}

// mayStart tells that the database can be used, and that the pod's volumes can
// be claimed, or are already. A claim template cannot be corrected later.
func mayStart(srv *server.Server, seen *observed.State, db *database.Plan) bool {
	claimable := seen.Claim().Live() || seen.StorageClass(srv.Spec.Storage.StorageClassName)

	return db.Usable && !db.Refused && claimable
}

// speaksTLS tells that the pod in force serves its API over TLS.
func speaksTLS(srv *server.Server, live observed.Object, kept bool) bool {
	if kept {
		return observed.RunningTLS(live)
	}

	return srv.Spec.ControlPlane.CertSecretName != ""
}

// rolls tells that a template restarts a live pod, as far as its annotations
// and its image show; the API server's word on the rest comes with its answer.
func rolls(live observed.Object, template *corev1ac.PodTemplateSpecApplyConfiguration) bool {
	return changes(live, template, slices.Collect(maps.Keys(template.Annotations))...) ||
		observed.RunningImage(live, "containers", observed.ContainerName) != *template.Spec.Containers[0].Image
}

// changes tells that a live template has another value of one of the annotations.
func changes(live observed.Object, template *corev1ac.PodTemplateSpecApplyConfiguration, annotations ...string) bool {
	return slices.ContainsFunc(annotations, func(name string) bool {
		return live.Text("spec", "template", "metadata", "annotations", name) != template.Annotations[name]
	})
}

func statefulSet(srv *server.Server, live observed.Object, template *corev1ac.PodTemplateSpecApplyConfiguration, claims []*corev1ac.PersistentVolumeClaimApplyConfiguration, w *Workload) desired.Object {
	id := srv.Identity(server.KeyStatefulSet)
	spec := appsv1ac.StatefulSetSpec().
		WithReplicas(*srv.Spec.Replicas).
		WithServiceName(srv.Identity(server.KeyHeadlessService).Name).
		WithSelector(selector(srv)).
		// In order, a pod that does not start would keep its own repair from
		// being rolled out.
		WithPodManagementPolicy(appsv1.ParallelPodManagement).
		WithPersistentVolumeClaimRetentionPolicy(appsv1ac.StatefulSetPersistentVolumeClaimRetentionPolicy().
			WithWhenDeleted(appsv1.RetainPersistentVolumeClaimRetentionPolicyType).
			WithWhenScaled(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)).
		WithTemplate(template)
	for _, c := range claims {
		// Not WithVolumeClaimTemplates(PersistentVolumeClaim(...)): that would
		// send kind, apiVersion and an empty namespace as well.
		spec.VolumeClaimTemplates = append(spec.VolumeClaimTemplates, *c)
	}

	// What is live now does not know yet that it is to be rolled out. Only what
	// nobody else writes tells that: somebody's webhook may give every pod
	// another image.
	ready := rolledOut(live, *srv.Spec.Replicas) && (!w.Rolls || !changes(live, template, server.AnnotationConfigHash, server.AnnotationDatabase))
	o := desired.New(id.Key, appsv1ac.StatefulSet(id.Name, srv.Namespace).
		WithLabels(srv.Labels("server")).WithSpec(spec), ready)
	if live.Live() && o.Err == nil {
		follow(o.Content, live, w.Keep || w.Waits)
	}

	return o
}

// follow the live StatefulSet in what cannot be changed (R5), and in its pod
// template if that is kept (R3). One that is being deleted, for which a person
// has the remedies of storageUpToDate, is about to be composed anew: what
// arrives before it is gone is refused and sent again, what arrives afterwards
// is to be what the spec asks.
func follow(content *structpb.Struct, live observed.Object, keep bool) {
	spec := content.GetFields()["spec"].GetStructValue().GetFields()
	var names []string
	if live.DeletionTimestamp() == nil {
		names = []string{"selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"}
	}
	if keep {
		names = append(names, "template")
	}
	for _, name := range names {
		value := desired.WithoutNulls(live.Raw("spec", name))
		if value == nil {
			delete(spec, name)

			continue
		}
		spec[name] = value
	}
	for _, c := range spec["volumeClaimTemplates"].GetListValue().GetValues() {
		// The API server fills it in again.
		delete(c.GetStructValue().GetFields(), "status")
	}
}

// rolledOut tells that the live StatefulSet runs what it is to run.
func rolledOut(live observed.Object, replicas int32) bool {
	if !live.Live() || live.Int("status", "observedGeneration") < live.Int("metadata", "generation") {
		return false
	}
	if replicas == 0 {
		return live.Int("status", "replicas") == 0
	}

	return live.Int("status", "readyReplicas") >= int64(replicas) && live.Int("status", "updatedReplicas") >= int64(replicas)
}

func selector(srv *server.Server) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(srv.Selector())
}

// claimTemplates that the spec asks for.
func claimTemplates(srv *server.Server) []*corev1ac.PersistentVolumeClaimApplyConfiguration {
	storage := srv.Spec.Storage
	claims := []*corev1ac.PersistentVolumeClaimApplyConfiguration{
		claimTemplate(server.ClaimControlPlane, storage.ControlPlaneSize, storage.StorageClassName),
		claimTemplate(server.ClaimMetadata, storage.MetadataSize, storage.StorageClassName),
	}
	if storage.ContentSize != "" {
		claims = append(claims, claimTemplate(server.ClaimContent, storage.ContentSize, storage.StorageClassName))
	}

	return claims
}

func claimTemplate(name, size string, class *string) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	spec := corev1ac.PersistentVolumeClaimSpec().
		WithAccessModes(corev1.ReadWriteOnce).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}))
	if class != nil && *class != "" {
		spec.WithStorageClassName(*class)
	}

	return (&corev1ac.PersistentVolumeClaimApplyConfiguration{}).WithName(name).WithSpec(spec)
}

// claimsInForce are the names of the claims that the pod can mount: the live
// StatefulSet's, else those that the spec asks for.
func claimsInForce(live observed.Object, wanted []*corev1ac.PersistentVolumeClaimApplyConfiguration) []string {
	var names []string
	if !live.Live() || live.DeletionTimestamp() != nil {
		for _, c := range wanted {
			names = append(names, *c.Name)
		}

		return names
	}
	for _, c := range live.Items("spec", "volumeClaimTemplates") {
		if claimMounts[c.Name()] != "" {
			names = append(names, c.Name())
		}
	}

	return names
}

// missingClasses are the StorageClasses that volumes are to be claimed from and
// that do not exist. Nothing is claimed from them: a claim cannot be corrected.
func missingClasses(srv *server.Server, seen *observed.State) []condition.Problem {
	var problems []condition.Problem
	own, cluster := !seen.StatefulSet().Live() && !seen.Claim().Live(), !seen.Cluster().Live() && !database.Survived(srv, seen)
	for _, name := range srv.StorageClasses(own, cluster) {
		if !seen.StorageClass(&name) {
			problems = append(problems, condition.Problem{Reason: condition.ReasonStorageClassNotFound, Message: fmt.Sprintf(
				"StorageClass %s is not there, and no volume is claimed until it is: create it, or name another (kubectl get storageclass lists them)", name)})
		}
	}

	return problems
}

// storageUpToDate compares the claim templates in force with those that the
// spec asks for, and says what a person can do about a difference: claim
// templates cannot be changed, and claims only grow.
func storageUpToDate(srv *server.Server, seen *observed.State, wanted []*corev1ac.PersistentVolumeClaimApplyConfiguration) condition.Condition {
	ok := condition.True(condition.TypeStorageUpToDate, condition.ReasonMatches, "The volumes are as the spec asks")
	live, problems := seen.StatefulSet(), missingClasses(srv, seen)
	if !live.Live() {
		return condition.FromProblems(ok, problems)
	}

	inForce := map[string]observed.Object{}
	for _, c := range live.Items("spec", "volumeClaimTemplates") {
		inForce[c.Name()] = c
	}

	recreate := fmt.Sprintf("kubectl -n %s delete statefulset %s --cascade=orphan (the volumes and the running pod stay, and the StatefulSet is composed anew)", srv.Namespace, srv.Name)
	differs := func(reason, format string, args ...any) {
		problems = append(problems, condition.Problem{Reason: reason, Message: fmt.Sprintf(format, args...)})
	}

	for _, c := range wanted {
		name, size := *c.Name, (*c.Spec.Resources.Requests)[corev1.ResourceStorage]
		claim, known := inForce[name]
		delete(inForce, name)
		if !known {
			differs(condition.ReasonImmutableFieldChanged, "volume %s is asked for but not claimed: run %s", name, recreate)

			continue
		}
		have, err := resource.ParseQuantity(claim.Text("spec", "resources", "requests", "storage"))
		switch {
		case err != nil || size.Cmp(have) == 0:
		case size.Cmp(have) > 0:
			differs(condition.ReasonExpansionRequired, "volume %s has %s, %s is asked for: run kubectl -n %s patch pvc %s --type merge -p '%s', then %s",
				name, have.String(), size.String(), srv.Namespace, srv.ClaimName(name), `{"spec":{"resources":{"requests":{"storage":"`+size.String()+`"}}}}`, recreate)
		default:
			differs(condition.ReasonImmutableFieldChanged, "volume %s has %s and cannot shrink to %s: set its size in spec.storage back", name, have.String(), size.String())
		}
		class := claim.Text("spec", "storageClassName")
		if c.Spec.StorageClassName != nil && class != *c.Spec.StorageClassName {
			differs(condition.ReasonImmutableFieldChanged, "volume %s has StorageClass %q and cannot move to %q by an edit: set spec.storage.storageClassName back, or restore the data into a new server", name, class, *c.Spec.StorageClassName)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inForce)) {
		if claimMounts[name] != "" {
			differs(condition.ReasonImmutableFieldChanged, "volume %s is claimed but no longer asked for, it stays mounted: to let go of it, run %s; its data stays in the claim %s", name, recreate, srv.ClaimName(name))
		}
	}
	slices.SortStableFunc(problems, func(a, b condition.Problem) int { return strings.Compare(a.Message, b.Message) })

	return condition.FromProblems(ok, problems)
}
