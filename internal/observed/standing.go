package observed

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// A Standing is how an object of one of our names stands to the server (R23).
type Standing int

// How an object can stand to the server.
const (
	// Undecided: it is not known whether there is such an object.
	Undecided Standing = iota
	// Free: there is none, the name can be used.
	Free
	// Ours: composed by this XR, a survivor of an earlier XR of the same
	// server, or given to us by a person.
	Ours
	// Foreign: somebody else's.
	Foreign
)

// MayCompose tells that an object of ours can be composed under a key: its name
// is known to be free, or the live one known to be ours.
func (s *State) MayCompose(k server.Key) bool {
	return s.standing[k] == Free || s.standing[k] == Ours
}

// judge how an object stands to the server. Forced server-side apply takes
// over any object of the name that has no controller, and deleting the XR
// would delete it, so we touch one only with proof that it is ours.
func (s *State) judge(k server.Key, o Object) Standing {
	switch {
	case o.Presence == Unknown:
		return Undecided
	case o.Presence == Absent:
		return Free
	case o.Composed:
		return Ours
	}

	if _, controlled := o.Controller(); controlled {
		if s.Controlled(o) {
			return Ours
		}

		return Foreign
	}
	if o.Annotation(server.AnnotationKey) != string(k) {
		return Foreign
	}
	if o.Label(server.LabelServer) == s.srv.Name || o.Annotation(server.AnnotationAdopt) == s.srv.Name {
		return Ours
	}

	return Foreign
}

// Taken lists the objects of our names that are somebody else's, and what a
// person can do about each.
func (s *State) Taken() error {
	var errs field.ErrorList
	for _, k := range append(s.srv.Keys(), server.KeyCluster, server.KeyServiceMonitor) {
		if s.standing[k] != Foreign {
			continue
		}
		id := s.srv.Identity(k)
		what := Describe(id.Kind, s.srv.Namespace, id.Name)
		remedy := fmt.Sprintf("to hand it over to this server, run: kubectl -n %s annotate %s %s %s=%s %s=%s; else rename or remove it, or give the server another name",
			s.srv.Namespace, resourceArg(id), id.Name, server.AnnotationAdopt, s.srv.Name, server.AnnotationKey, k)
		c, controlled := s.objects[k].Controller()
		if controlled && s.namesake(c, s.objects[k]) {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"), what+" is left from an earlier server of this name and about to be let go of: wait a moment"))

			continue
		}
		if controlled {
			remedy = fmt.Sprintf("it is controlled by %s %s, which has to let go of it first (delete that with --cascade=orphan); then %s", c.Text("kind"), c.Text("name"), remedy)
		}
		errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"), fmt.Sprintf("%s exists and is not this server's: %s", what, remedy)))
	}

	return errs.ToAggregate()
}

// namesake tells that an object's owner is an earlier XR of the very kind and
// name; of claims, whose XRs have names of their own, one for a server of the
// name. (The DittoFS operator's DittoServer is of another group.)
func (s *State) namesake(owner, object Object) bool {
	xr := s.srv.XR
	theirs := schema.FromAPIVersionAndKind(owner.Text("apiVersion"), owner.Text("kind")).GroupKind()
	named := owner.Text("name") == xr.Name || (xr.Claim && object.Label(server.LabelServer) == s.srv.Name)

	return named && theirs == schema.FromAPIVersionAndKind(xr.APIVersion, xr.Kind).GroupKind()
}

// Missing says that the namespace to compose in does not exist: every apply
// would fail.
func (s *State) Missing() error {
	if s.Namespace.Presence != Absent || s.Offline {
		return nil
	}
	path := field.NewPath("input", "namespace")
	if s.srv.XR.Claim {
		path = field.NewPath("spec", "claimRef", "namespace")
	}

	return field.NotFound(path, s.srv.Namespace+" (create the namespace, or name another)")
}

// Mismatched lists observed composed resources that are not what is composed
// under their key: applying ours over them would leak or break them.
func (s *State) Mismatched() error {
	var errs field.ErrorList
	for _, k := range append(s.srv.Keys(), server.KeyCluster, server.KeyServiceMonitor) {
		r, ok := s.req.GetObserved().GetResources()[string(k)]
		if !ok {
			continue
		}
		o, id := found(r), s.srv.Identity(k)
		kind, name, namespace := o.Text("kind"), o.Name(), o.Text("metadata", "namespace")
		if schema.FromAPIVersionAndKind(o.Text("apiVersion"), kind).GroupKind() == id.GroupKind() && name == id.Name && namespace == s.srv.Namespace {
			continue
		}
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), s.srv.Name, fmt.Sprintf(
			"the composed resource %s is %s, but this server's is %s: names cannot change, create a new DittoServer instead",
			k, Describe(kind, namespace, name), Describe(id.Kind, s.srv.Namespace, id.Name))))
	}

	return errs.ToAggregate()
}

// resourceArg is how kubectl calls the kind.
func resourceArg(id server.Identity) string {
	switch id.Kind {
	case "PerconaPGCluster":
		return "perconapgcluster.pgv2.percona.com"
	case "ServiceMonitor":
		return "servicemonitor.monitoring.coreos.com"
	case "NetworkPolicy":
		return "networkpolicy"
	case "StatefulSet":
		return "statefulset"
	case "ConfigMap":
		return "configmap"
	case "Service":
		return "service"
	}

	return "secret"
}

// Controlled tells that an object is controlled by this very XR.
func (s *State) Controlled(o Object) bool {
	if o.Composed {
		return true
	}
	c, ok := o.Controller()
	uid := s.srv.XR.UID

	return ok && uid != "" && c.Text("uid") == string(uid)
}

// NamespaceOwner is the second owner of what outlives the server: garbage
// collection keeps an object that has an owner left (R7). It is taken from the
// Namespace, else from the live object. It is not ok as long as neither is
// known; offline, nothing outlives anything and there is none.
func (s *State) NamespaceOwner(live Object) (ref *metav1ac.OwnerReferenceApplyConfiguration, ok bool) {
	if s.Namespace.Live() && s.Namespace.UID() != "" {
		return namespaceRef(s.Namespace.Name(), s.Namespace.UID()), true
	}
	if r, owned := live.NamespaceOwner(); owned {
		return namespaceRef(r.Text("name"), types.UID(r.Text("uid"))), true
	}

	return nil, s.Offline
}

func namespaceRef(name string, uid types.UID) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().WithAPIVersion("v1").WithKind("Namespace").WithName(name).WithUID(uid)
}
