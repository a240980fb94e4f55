package server

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// A Key is the name of a composed resource within the composite resource: its
// identity for Crossplane. A key is never reused for another kind, or the old
// object leaks (crossplane v2.4.0 composition_functions.go: garbage collection
// compares keys only).
type Key string

// The keys of everything that is composed.
const (
	KeyCluster          Key = "postgres-cluster"
	KeyJWTSecret        Key = "jwt-secret"
	KeyAdminCredentials Key = "admin-credentials"
	KeyConfig           Key = "config"
	KeyHeadlessService  Key = "headless-service"
	KeyAPIService       Key = "api-service"
	KeyNFSService       Key = "nfs-service"
	KeySMBService       Key = "smb-service"
	KeyMetricsService   Key = "metrics-service"
	KeyServiceMonitor   Key = "service-monitor"
	KeyNetworkPolicy    Key = "network-policy"
	KeyConnection       Key = "connection"
	KeyStatefulSet      Key = "statefulset"
)

// Labels and annotations that the function sets or reads.
const (
	// LabelApp and LabelInstance select the server's pods. They are the
	// DittoFS operator's, and immutable.
	LabelApp      = "app"
	LabelInstance = "instance"
	// LabelServer marks every object of a server, so that a survivor is
	// recognised (R23).
	LabelServer = "dittofs.io/server"

	// LabelMetrics marks the Service that a ServiceMonitor selects, the
	// operator's.
	LabelMetrics = "dittofs.io/metrics-service"

	// AnnotationKey is Crossplane's own: the key of a composed object.
	AnnotationKey = "crossplane.io/composition-resource-name"
	// AnnotationAdopt on an object, with the server's name, permits taking it
	// over (R23).
	AnnotationAdopt = "dittofs.io/adopt"
	// AnnotationConfigHash on the pod template rolls the pod (R3).
	AnnotationConfigHash = "dittofs.io/config-hash"
	// AnnotationDatabase on the pod template says what the pod runs on (R22).
	AnnotationDatabase = "dittofs.io/database"
)

// Kinds that several objects have.
const (
	kindSecret  = "Secret"
	kindService = "Service"
)

// Keys of Secrets.
const (
	JWTSecretKey     = "jwt-secret"
	AdminUsernameKey = "username"
	AdminPasswordKey = "password"
	CACertificateKey = "ca.crt"

	// PasswordSecretNameKey and the next are keys of the connection Secret: where
	// a password of a person's own is.
	PasswordSecretNameKey = "password-secret-name"
	PasswordSecretKeyKey  = "password-secret-key"
)

// Names of the claim templates, the operator's. A pod's claim is called
// <template>-<server>-0.
const (
	ClaimControlPlane = "controlplane"
	ClaimMetadata     = "metadata"
	ClaimContent      = "content"
)

// maxNameLength of a server: the tightest derived name is the PerconaPGCluster
// with its instance set, which may be 46 characters long
// (percona v2.9.0 perconapgcluster_types.go).
const maxNameLength = 28

// An Identity is what a composed object is called.
type Identity struct {
	Key        Key
	APIVersion string
	Kind       string
	Name       string
}

// GroupKind of the object.
func (i Identity) GroupKind() schema.GroupKind {
	return schema.FromAPIVersionAndKind(i.APIVersion, i.Kind).GroupKind()
}

// Identity of the object that is composed under the key.
func (s *Server) Identity(k Key) Identity {
	switch k {
	case KeyCluster:
		return Identity{k, percona.APIVersion, percona.Kind, percona.ClusterName(s.Name)}
	case KeyJWTSecret:
		return Identity{k, "v1", kindSecret, s.Name + "-jwt-secret"}
	case KeyAdminCredentials:
		return Identity{k, "v1", kindSecret, s.Name + "-admin-bootstrap-credentials"}
	case KeyConfig:
		return Identity{k, "v1", "ConfigMap", s.Name + "-config"}
	case KeyHeadlessService:
		return Identity{k, "v1", kindService, s.Name + "-headless"}
	case KeyAPIService:
		return Identity{k, "v1", kindService, s.Name + "-api"}
	case KeyNFSService:
		return Identity{k, "v1", kindService, s.Name + "-adapter-nfs"}
	case KeySMBService:
		return Identity{k, "v1", kindService, s.Name + "-adapter-smb"}
	case KeyMetricsService:
		return Identity{k, "v1", kindService, s.Name + "-metrics"}
	case KeyServiceMonitor:
		return Identity{k, "monitoring.coreos.com/v1", "ServiceMonitor", s.Name + "-metrics"}
	case KeyNetworkPolicy:
		return Identity{k, "networking.k8s.io/v1", "NetworkPolicy", s.Name + "-baseline"}
	case KeyConnection:
		return Identity{k, "v1", kindSecret, s.Name + "-connection"}
	case KeyStatefulSet:
		return Identity{k, "apps/v1", "StatefulSet", s.Name}
	}

	return Identity{Key: k}
}

// Keys of the objects that the spec asks for, sooner or later, but for those
// whose kind need not be served: the database cluster and the ServiceMonitor.
func (s *Server) Keys() []Key {
	keys := []Key{
		KeyJWTSecret, KeyAdminCredentials, KeyConnection, KeyConfig,
		KeyHeadlessService, KeyAPIService, KeyStatefulSet,
	}
	if *s.Spec.Adapters.NFS.Enabled {
		keys = append(keys, KeyNFSService)
	}
	if *s.Spec.Adapters.SMB.Enabled {
		keys = append(keys, KeySMBService)
	}
	if *s.Spec.Metrics.Enabled {
		keys = append(keys, KeyMetricsService)
	}
	if *s.Spec.NetworkPolicy.Enabled {
		keys = append(keys, KeyNetworkPolicy)
	}

	return keys
}

// WantsMonitor tells whether a ServiceMonitor is asked for.
func (s *Server) WantsMonitor() bool {
	return *s.Spec.Metrics.Enabled && *s.Spec.Metrics.ServiceMonitor.Enabled
}

// ClaimName of the volume that a claim template gives the server's pod.
func (s *Server) ClaimName(template string) string {
	return template + "-" + s.Name + "-0"
}

// Selector labels of the server's pods, immutable and the DittoFS operator's.
func (s *Server) Selector() map[string]string {
	return map[string]string{LabelApp: "dittofs-server", LabelInstance: s.Name}
}

// Labels of an object of the server. The component says what it is for.
func (s *Server) Labels(component string) map[string]string {
	return map[string]string{
		LabelApp:                       "dittofs-server",
		LabelInstance:                  s.Name,
		LabelServer:                    s.Name,
		"app.kubernetes.io/name":       "dittofs",
		"app.kubernetes.io/instance":   s.Name,
		"app.kubernetes.io/managed-by": "crossplane",
		"app.kubernetes.io/component":  component,
	}
}
