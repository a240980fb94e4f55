// Package observed answers what exists: what Crossplane composed before, and
// what it fetched because the function asked. It tells three things apart that
// are easily confused: an object that is there, one that is not, and one that
// nobody has looked for yet (R2).
package observed

import (
	"fmt"
	"strings"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// monitoringAPI serves ServiceMonitors, if the Prometheus operator is installed.
const monitoringAPI = "v1.monitoring.coreos.com"

// A State is everything that is known about what exists.
type State struct {
	// Namespace of the server.
	Namespace Object
	// Offline tells that no API server is behind the request: it is rendered
	// on somebody's machine (R8).
	Offline bool
	// PerconaServed tells that PerconaPGClusters can be composed.
	PerconaServed bool
	// PerconaKnown tells that PerconaServed is an answer.
	PerconaKnown bool
	// MonitoringServed tells that ServiceMonitors can be composed.
	MonitoringServed bool

	srv      *server.Server
	req      *fnv1.RunFunctionRequest
	asked    map[string]*fnv1.ResourceSelector
	objects  map[server.Key]Object
	secrets  map[string]Object
	classes  map[string]Object
	referred map[string]Object
	claim    Object
	wantsDB  bool
	standing map[server.Key]Standing
}

// From reads a request, and asks for what it does not hold. Everything whose
// kind is certain is asked for at once; the database cluster, whose kind may
// not be served, once its API was found (R8, R18).
func From(req *fnv1.RunFunctionRequest, srv *server.Server) *State {
	s := &State{
		srv:      srv,
		req:      req,
		asked:    map[string]*fnv1.ResourceSelector{},
		objects:  map[server.Key]Object{},
		secrets:  map[string]Object{},
		classes:  map[string]Object{},
		referred: map[string]Object{},
		standing: map[server.Key]Standing{},
	}

	s.Namespace = s.ask("namespace", "v1", "Namespace", "", srv.Namespace)
	s.Offline = s.Namespace.Presence == Absent && !srv.XR.Created

	for _, k := range srv.Keys() {
		s.objects[k] = s.find(k)
	}
	s.askForClaim()
	s.askForSecrets()
	s.askForReferences()
	s.askForCluster()
	s.askForMonitor()
	s.askForStorageClasses()

	for k, o := range s.objects {
		s.standing[k] = s.judge(k, o)
	}

	return s
}

// Requirements that Crossplane is to fetch. They depend on the request alone.
func (s *State) Requirements() *fnv1.Requirements {
	return &fnv1.Requirements{Resources: s.asked}
}

// WantsDatabase tells whether a database cluster of the server's own is asked
// for, or was at some time: it is never let go of (R7).
func (s *State) WantsDatabase() bool { return s.wantsDB }

// Get what is known of the object that is composed under a key. An object of
// that name that is somebody else's is not ours to know: see Taken.
func (s *State) Get(k server.Key) Object {
	if s.standing[k] == Foreign {
		return Object{Presence: Found}
	}

	return s.objects[k]
}

// Cluster that the server's database runs in.
func (s *State) Cluster() Object { return s.Get(server.KeyCluster) }

// StatefulSet that runs the server.
func (s *State) StatefulSet() Object { return s.Get(server.KeyStatefulSet) }

// Secret of a name in the server's namespace. Only Secrets that the spec, or
// what exists, leads to are known.
func (s *State) Secret(name string) Secret { return Secret{Name: name, Object: s.secrets[name]} }

// Referred is what is known of an object that the spec refers to.
func (s *State) Referred(ref server.Reference) Object {
	if ref.IsSecret() {
		return s.secrets[ref.Name]
	}

	return s.referred[strings.ToLower(ref.Kind)+"/"+ref.Name]
}

// StorageClass tells whether volumes can be claimed from a StorageClass: it is
// there, or it is the cluster's default, or nothing is claimed offline.
func (s *State) StorageClass(name *string) bool {
	return name == nil || *name == "" || s.Offline || s.classes[*name].Live()
}

// Claim is the volume that the server's control plane lives on. It is asked
// for only when there is no StatefulSet to tell that the server has run.
func (s *State) Claim() Object { return s.claim }

// find the object of a key among the composed resources, else ask for it by
// its name. The Secrets that are made once are always asked for as well: the
// XR's references may be stale, and a Secret must not be made twice (R4).
func (s *State) find(k server.Key) Object {
	id := s.srv.Identity(k)
	once := k == server.KeyJWTSecret || k == server.KeyAdminCredentials || k == server.KeyConnection

	composed, ok := s.composed(k)
	if ok && !once {
		return composed
	}

	asked := s.ask("object/"+string(k), id.APIVersion, id.Kind, s.srv.Namespace, id.Name)
	if ok {
		return composed
	}

	return asked
}

func (s *State) composed(k server.Key) (Object, bool) {
	r, ok := s.req.GetObserved().GetResources()[string(k)]
	if !ok {
		return Object{}, false
	}

	o := found(r)
	o.Composed = true

	return o, true
}

// askForSecrets that the pod needs, or needed when it was made.
func (s *State) askForSecrets() {
	spec := s.srv.Spec
	if ref := spec.Identity.JWT.SecretRef; ref != nil {
		s.askForSecret(ref.Name)
	}
	if ref := spec.Identity.Admin.PasswordSecretRef; ref != nil {
		s.askForSecret(ref.Name)
	}
	if started, _, _ := s.AdminPassword(); started != "" {
		s.askForSecret(started)
	}
	switch kind, id := s.Running(); kind {
	case DatabasePercona:
		s.askForSecret(percona.SecretName(s.srv.Name))
	case DatabaseExternal:
		s.askForSecret(strings.TrimPrefix(id, kind+":"))
	}
	if *spec.Percona.Enabled {
		s.askForSecret(percona.SecretName(s.srv.Name))
		s.askForSecret(percona.CASecretName(s.srv.Name))
	}
	if ref := spec.Database.PostgresSecretRef; ref != nil {
		s.askForSecret(ref.Name)
		if ref.CASecretRef != nil {
			s.askForSecret(ref.CASecretRef.Name)
		}
	}
	for _, ref := range s.srv.BackupCredentials() {
		s.askForSecret(ref.Name)
	}
}

// askForReferences that the pod makes because the spec does.
func (s *State) askForReferences() {
	for _, ref := range s.srv.References() {
		if ref.IsSecret() {
			s.askForSecret(ref.Name)

			continue
		}
		namespace := s.srv.Namespace
		if !ref.Namespaced() {
			namespace = ""
		}
		name := strings.ToLower(ref.Kind) + "/" + ref.Name
		s.referred[name] = s.ask(name, ref.APIVersion, ref.Kind, namespace, ref.Name)
	}
	for _, volume := range []string{VolumeLDAPCA, VolumeKeytab, VolumeKrb5Conf, VolumeMachineKeytab} {
		if secret, _ := RunningFiles(s.objects[server.KeyStatefulSet], volume); secret != "" {
			s.askForSecret(secret)
		}
	}
}

func (s *State) askForSecret(name string) {
	for _, k := range []server.Key{server.KeyJWTSecret, server.KeyAdminCredentials, server.KeyConnection} {
		if s.srv.Identity(k).Name == name {
			s.secrets[name] = s.objects[k]

			return
		}
	}
	s.secrets[name] = s.ask("secret/"+name, "v1", "Secret", s.srv.Namespace, name)
}

// askForClaim finds out whether a server of this name has run before, if
// nothing else can tell.
func (s *State) askForClaim() {
	if s.objects[server.KeyStatefulSet].Composed {
		return
	}
	s.claim = s.ask("claim", "v1", "PersistentVolumeClaim", s.srv.Namespace, s.srv.ClaimName(server.ClaimControlPlane))
}

func (s *State) askForCluster() {
	composed, isComposed := s.composed(server.KeyCluster)
	running, _ := s.Running()
	s.wantsDB = *s.srv.Spec.Percona.Enabled || isComposed ||
		s.srv.XR.ClusterName != "" || running == DatabasePercona

	if isComposed {
		s.objects[server.KeyCluster] = composed
		s.PerconaServed, s.PerconaKnown = true, true

		return
	}
	if !s.wantsDB {
		s.objects[server.KeyCluster] = Object{Presence: Absent}

		return
	}

	s.PerconaServed, s.PerconaKnown = s.askForAPI("api/perconapgclusters", percona.APIService)
	if s.PerconaServed {
		s.objects[server.KeyCluster] = s.find(server.KeyCluster)

		return
	}
	s.objects[server.KeyCluster] = Object{Presence: Unknown}
	if s.PerconaKnown {
		s.objects[server.KeyCluster] = Object{Presence: Absent}
	}
}

// askForMonitor looks for the ServiceMonitor, whose kind may not be served.
func (s *State) askForMonitor() {
	if !s.srv.WantsMonitor() {
		return
	}
	if composed, ok := s.composed(server.KeyServiceMonitor); ok {
		s.objects[server.KeyServiceMonitor] = composed
		s.MonitoringServed = true

		return
	}
	s.MonitoringServed, _ = s.askForAPI("api/servicemonitors", monitoringAPI)
	if s.MonitoringServed {
		s.objects[server.KeyServiceMonitor] = s.find(server.KeyServiceMonitor)
	}
}

// askForAPI finds out whether an optional kind is served: asking for an object
// of a kind that is not makes Crossplane abort (R8).
func (s *State) askForAPI(name, apiService string) (served, known bool) {
	api := s.ask(name, "apiregistration.k8s.io/v1", "APIService", "", apiService)

	return api.Live() || s.Offline, api.Presence != Unknown && s.Namespace.Presence != Unknown
}

// askForStorageClasses that volumes are still to be claimed from.
func (s *State) askForStorageClasses() {
	for _, name := range s.srv.StorageClasses(!s.objects[server.KeyStatefulSet].Composed, !s.objects[server.KeyCluster].Composed) {
		s.classes[name] = s.ask("storageclass/"+name, "storage.k8s.io/v1", "StorageClass", "", name)
	}
}

// ask Crossplane for one object, and return the answer if there is one.
func (s *State) ask(name, apiVersion, kind, namespace, objectName string) Object {
	selector := &fnv1.ResourceSelector{
		ApiVersion: apiVersion,
		Kind:       kind,
		Match:      &fnv1.ResourceSelector_MatchName{MatchName: objectName},
	}
	if namespace != "" {
		selector.Namespace = &namespace
	}
	s.asked[name] = selector

	answer, ok := s.req.GetRequiredResources()[name]
	if !ok {
		return Object{Presence: Unknown}
	}
	if len(answer.GetItems()) == 0 {
		return Object{Presence: Absent}
	}

	// An answer to another question is no answer.
	o := found(answer.GetItems()[0])
	if o.Name() != objectName || o.Text("metadata", "namespace") != namespace || o.Text("kind") != kind || o.Text("apiVersion") != apiVersion {
		return Object{Presence: Unknown}
	}

	return o
}

// Describe an object for a person: its kind and name.
func Describe(kind, namespace, name string) string {
	return fmt.Sprintf("%s %s in namespace %s", kind, name, namespace)
}
