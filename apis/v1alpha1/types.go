package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// A DittoServer is one DittoFS file server (NFS and SMB) with everything that
// it needs: volumes, Services, Secrets and, if asked for, a PostgreSQL cluster
// run by the Percona operator.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ditto;dittofs
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Database",type=string,JSONPath=`.status.database.type`
// +kubebuilder:printcolumn:name="On delete",type=string,JSONPath=`.status.database.onDelete`
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.status.endpoints.nfs`
// +kubebuilder:printcolumn:name="Available",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=='Available')].reason`
type DittoServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DittoServerSpec   `json:"spec"`
	Status DittoServerStatus `json:"status,omitempty"`
}

// DittoServerSpec is what a person asks for. Its names are those of the
// DittoFS operator's DittoServer, so that a manifest moves over by changing
// its apiVersion.
//
// +kubebuilder:validation:XValidation:rule="!has(self.database) || !has(self.database.type) || self.database.type != 'postgres' || has(self.database.postgresSecretRef) || (has(self.percona) && has(self.percona.enabled) && self.percona.enabled)",message="database.type postgres needs a database: set database.postgresSecretRef, or percona.enabled: true",reason=FieldValueRequired,fieldPath=".database.postgresSecretRef"
// +kubebuilder:validation:XValidation:rule="!(has(self.database) && has(self.database.postgresSecretRef) && has(self.percona) && has(self.percona.enabled) && self.percona.enabled)",message="a server has one database: set either database.postgresSecretRef or percona.enabled, not both",reason=FieldValueForbidden,fieldPath=".database.postgresSecretRef"
// +kubebuilder:validation:XValidation:rule="self.adapters.nfs.port != self.controlPlane.port",message="the server listens on controlPlane.port, adapters.nfs.port and adapters.smb.port at once: choose another port",fieldPath=".adapters.nfs.port"
// +kubebuilder:validation:XValidation:rule="!(self.adapters.smb.port in [self.controlPlane.port, self.adapters.nfs.port])",message="the server listens on controlPlane.port, adapters.nfs.port and adapters.smb.port at once: choose another port",fieldPath=".adapters.smb.port"
// +kubebuilder:validation:XValidation:rule="!has(self.database) || !has(self.database.postgresSecretRef) || !has(self.database.type) || self.database.type == 'postgres'",message="database.postgresSecretRef is used with database.type: postgres only: set that, or remove the reference",fieldPath=".database.type"
// +kubebuilder:validation:XValidation:rule="!self.metrics.enabled || !(self.metrics.port in [self.controlPlane.port, self.adapters.nfs.port, self.adapters.smb.port])",message="the server listens on controlPlane.port, metrics.port, adapters.nfs.port and adapters.smb.port at once: choose another port",fieldPath=".metrics.port"
// +kubebuilder:validation:XValidation:rule="!has(self.snapshotPolicies) || size(self.snapshotPolicies) == 0",message="not supported: the server takes snapshot policies over its REST API only, PUT /api/v1/shares/{name}/snapshot-policy; remove the field",reason=FieldValueForbidden,fieldPath=".snapshotPolicies"
type DittoServerSpec struct {
	// Image is the DittoFS server's image. Unset: the platform's default, else
	// docker.io/marmos91c/dittofs:v0.29.0; a running server keeps the default
	// that it started with. A change rolls the pod.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="must be the reference of an image, without white space"
	Image string `json:"image,omitempty"`

	// Replicas is the number of server pods: 1, or 0 to stop the server and
	// keep its data. DittoFS is single-writer, there is never more than one.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	Replicas *int32 `json:"replicas,omitempty"`

	// Storage sizes the server's own volumes.
	Storage StorageSpec `json:"storage"`

	// Database says where the control plane (users, shares, settings) is
	// stored. See percona for a PostgreSQL cluster of the server's own.
	// +optional
	// +kubebuilder:default={}
	Database DatabaseSpec `json:"database,omitempty"`

	// ControlPlane configures the REST API: its port, TLS, and the certificates
	// of its clients.
	// +optional
	// +kubebuilder:default={}
	ControlPlane ControlPlaneSpec `json:"controlPlane,omitempty"`

	// Identity configures the API's tokens, its first administrator, and where
	// users come from: LDAP and Kerberos.
	// +optional
	// +kubebuilder:default={}
	Identity IdentitySpec `json:"identity,omitempty"`

	// Service shapes the Service of the REST API, <name>-api.
	// +optional
	// +kubebuilder:default={}
	Service ServiceSpec `json:"service,omitempty"`

	// Adapters declares the file protocols that are served. It shapes Services
	// and the NetworkPolicy; the server itself listens on both from its first
	// boot on.
	// +optional
	// +kubebuilder:default={}
	Adapters AdaptersSpec `json:"adapters,omitempty"`

	// AdapterServices shapes the Services of the file protocols,
	// <name>-adapter-nfs and <name>-adapter-smb.
	// +optional
	// +kubebuilder:default={}
	AdapterServices ServiceSpec `json:"adapterServices,omitempty"`

	// NetworkPolicy restricts who may reach the server, and on which ports.
	// +optional
	// +kubebuilder:default={}
	NetworkPolicy NetworkPolicySpec `json:"networkPolicy,omitempty"`

	// Metrics serves the server's metrics for Prometheus.
	// +optional
	// +kubebuilder:default={}
	Metrics MetricsSpec `json:"metrics,omitempty"`

	// Config is merged last into the server's config.yaml, for settings that
	// have no field here, like blockstore, gc, metadata or snapshot. Refused
	// are the sections that belong to the function, with all that is in them
	// (database, controlplane.host, .port, .jwt and .tls, admin, ldap,
	// kerberos, metrics, logging), and every key called password, secret or
	// token: those belong into Secrets. The server warns of a key that it does
	// not know, and does not start with a wrong value. A change rolls the pod.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Config *runtime.RawExtension `json:"config,omitempty"`

	// Pod shapes the server's pod: where it runs and what else is in it. Who
	// may edit a DittoServer may run a pod in its namespace.
	// +optional
	Pod PodSpec `json:"pod,omitempty"`

	// AdapterDiscovery is accepted because the DittoFS operator knows it, and
	// has no effect: nothing is polled, see adapters.
	// +optional
	AdapterDiscovery *AdapterDiscoverySpec `json:"adapterDiscovery,omitempty"`

	// SnapshotPolicies is refused: the server takes snapshot policies over its
	// REST API only (PUT /api/v1/shares/{name}/snapshot-policy).
	// +optional
	// +kubebuilder:validation:MaxItems=64
	SnapshotPolicies []UnsupportedSpec `json:"snapshotPolicies,omitempty"`

	// Logging configures the server's log. A change rolls the pod.
	// +optional
	// +kubebuilder:default={}
	Logging LoggingSpec `json:"logging,omitempty"`

	// Resources of the server's container. A change rolls the pod.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || self.requests.all(r, !(r in self.limits) || !isQuantity(string(self.requests[r])) || !isQuantity(string(self.limits[r])) || quantity(string(self.requests[r])).compareTo(quantity(string(self.limits[r]))) <= 0)",message="a request must not be more than its limit"
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// SecurityContext of the server's container. Fields that are not set get
	// hardened defaults; a setting that the platform's Pod Security level
	// forbids is refused. A change rolls the pod.
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`

	// PodSecurityContext of the server's pod. Fields that are not set get
	// hardened defaults, fsGroup 65532 among them; a setting that the
	// platform's Pod Security level forbids is refused. A change rolls the pod.
	// +optional
	PodSecurityContext *corev1.PodSecurityContext `json:"podSecurityContext,omitempty"`

	// TerminationGracePeriodSeconds is how long a stopping server may take to
	// finish what it is doing, in seconds. The server itself needs up to 105.
	// A change rolls the pod.
	// +optional
	// +kubebuilder:default=105
	// +kubebuilder:validation:Minimum=36
	// +kubebuilder:validation:Maximum=86400
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// Percona gives the server a PostgreSQL cluster of its own, run by the
	// Percona operator (2.9 or newer), which must be installed.
	// +optional
	// +kubebuilder:default={}
	Percona PerconaSpec `json:"percona,omitempty"`
}

// StorageSpec sizes the server's own volumes. They are claimed once, when the
// server is created, and outlive it. A later change is not made by itself:
// the condition StorageUpToDate says what to do.
type StorageSpec struct {
	// MetadataSize of the volume for file metadata, a quantity like 10Gi.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",message="must be a quantity greater than zero, like 10Gi"
	MetadataSize string `json:"metadataSize"`

	// ContentSize of the volume for file content, a quantity like 100Gi.
	// Unset: no such volume, the content lives in remote block stores only.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || (isQuantity(self) && quantity(self).isGreaterThan(quantity('0')))",message="must be a quantity greater than zero, like 100Gi"
	ContentSize string `json:"contentSize,omitempty"`

	// ControlPlaneSize of the volume for the control plane's own files, the
	// SQLite database among them; a quantity.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))",message="must be a quantity greater than zero, like 1Gi"
	ControlPlaneSize string `json:"controlPlaneSize,omitempty"`

	// StorageClassName of all volumes. Unset: the platform's default, else
	// the cluster's default StorageClass.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a StorageClass: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// A DatabaseType is a database that DittoFS can keep its control plane in.
// +kubebuilder:validation:Enum=sqlite;postgres
type DatabaseType string

// The databases that DittoFS knows.
const (
	DatabaseTypeSQLite   DatabaseType = "sqlite"
	DatabaseTypePostgres DatabaseType = "postgres"
)

// A DatabaseKind is where a server's database comes from.
// +kubebuilder:validation:Enum=sqlite;external;percona
type DatabaseKind string

// The kinds of database a server can run on.
const (
	// DatabaseSQLite is a file on the control plane's volume.
	DatabaseSQLite DatabaseKind = "sqlite"
	// DatabaseExternal is a PostgreSQL that a Secret leads to.
	DatabaseExternal DatabaseKind = "external"
	// DatabasePercona is a PerconaPGCluster composed for the server.
	DatabasePercona DatabaseKind = "percona"
)

// DatabaseSpec says where the control plane is stored.
type DatabaseSpec struct {
	// Type of the database. With percona.enabled it is postgres whatever this
	// says; postgres without Percona needs postgresSecretRef.
	// +optional
	// +kubebuilder:default=sqlite
	Type DatabaseType `json:"type,omitempty"`

	// AllowChangeTo permits a running server to move to another kind of
	// database. The new one starts empty: nothing is copied. Unset, an edit
	// that leads to another database is refused and the server keeps running
	// on the one it has (condition DatabaseReady, reason
	// DatabaseChangeRefused).
	// +optional
	AllowChangeTo DatabaseKind `json:"allowChangeTo,omitempty"`

	// SQLite configures the database of type sqlite: where its file is.
	// +optional
	// +kubebuilder:default={}
	SQLite SQLiteSpec `json:"sqlite,omitempty"`

	// PostgresSecretRef leads to a PostgreSQL that exists already. A new value
	// of one of the Secret's keys rolls the pod. Another name leads a running
	// server to another database, and is refused until allowChangeTo names
	// external.
	// +optional
	PostgresSecretRef *PostgresSecretRef `json:"postgresSecretRef,omitempty"`
}

// SQLiteSpec configures SQLite.
type SQLiteSpec struct {
	// Path of the database file, on the control plane's volume. An edit leads a
	// running server to another database, and is refused (condition
	// DatabaseReady, reason DatabaseChangeRefused) until database.allowChangeTo
	// is sqlite; the server then starts with an empty one.
	// +optional
	// +kubebuilder:default="/data/controlplane/controlplane.db"
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^/data/controlplane(/[A-Za-z0-9._-]+)+$') && !self.matches('/[.][.]?(/|$)')",message="must be a file below /data/controlplane/, the volume that is kept, with only letters, digits, '.', '_' and '-' in its names and no '.' or '..' among them"
	Path string `json:"path,omitempty"`
}

// An SSLMode is how a PostgreSQL client uses TLS (libpq's sslmode).
type SSLMode string

// The SSL modes of libpq.
const (
	SSLModeDisable    SSLMode = "disable"
	SSLModeAllow      SSLMode = "allow"
	SSLModePrefer     SSLMode = "prefer"
	SSLModeRequire    SSLMode = "require"
	SSLModeVerifyCA   SSLMode = "verify-ca"
	SSLModeVerifyFull SSLMode = "verify-full"
)

// SSLModes that libpq knows, from the weakest to the strongest.
func SSLModes() []SSLMode {
	return []SSLMode{SSLModeDisable, SSLModeAllow, SSLModePrefer, SSLModeRequire, SSLModeVerifyCA, SSLModeVerifyFull}
}

// PostgresSecretRef names a Secret that leads to a PostgreSQL database: keys
// host, database, user, password, and optionally port and sslmode.
//
// +kubebuilder:validation:XValidation:rule="!has(self.sslMode) || !(self.sslMode in ['verify-ca', 'verify-full']) || has(self.caSecretRef)",message="sslMode verify-ca and verify-full check the server's certificate: set caSecretRef to a Secret with the key ca.crt",reason=FieldValueRequired,fieldPath=".caSecretRef"
type PostgresSecretRef struct {
	// Name of the Secret, in the server's namespace.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	Name string `json:"name"`

	// Key is accepted because the DittoFS operator requires it, and ignored
	// because that operator ignores it as well.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`

	// SSLMode of the connection. Unset: the Secret's key sslmode, else prefer.
	// A change rolls the pod.
	// +optional
	// +kubebuilder:validation:Enum=disable;allow;prefer;require;verify-ca;verify-full
	SSLMode SSLMode `json:"sslMode,omitempty"`

	// CASecretRef names a Secret whose key ca.crt holds the certificate
	// authority that signed the database server's certificate. Another
	// authority in the Secret rolls the pod, and so does another name.
	// +optional
	CASecretRef *LocalSecretRef `json:"caSecretRef,omitempty"`
}

// LocalSecretRef names a Secret in the server's namespace.
type LocalSecretRef struct {
	// Name of the Secret, in the server's namespace.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	Name string `json:"name"`
}

// SecretKeyRef names one key of a Secret in the server's namespace.
type SecretKeyRef struct {
	// Name of the Secret, in the server's namespace.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	Name string `json:"name"`

	// Key in the Secret's data whose value is read.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$')",message="must be a key of a Secret: letters, digits, '-', '_' and '.'"
	Key string `json:"key"`
}

// ControlPlaneSpec configures the REST API.
//
// +kubebuilder:validation:XValidation:rule="!has(self.clientCASecretName) || size(self.clientCASecretName) == 0 || (has(self.certSecretName) && size(self.certSecretName) > 0)",message="client certificates are only asked for over TLS: set controlPlane.certSecretName as well",reason=FieldValueRequired,fieldPath=".certSecretName"
type ControlPlaneSpec struct {
	// Port that the REST API listens on. A change rolls the pod.
	// +optional
	// +kubebuilder:default=8080
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// CertSecretName names a Secret of type kubernetes.io/tls, keys tls.crt and
	// tls.key: the REST API is then served over HTTPS. The server reads a
	// renewed certificate without a restart; setting or changing the name
	// rolls the pod. Unset: plain HTTP.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	CertSecretName string `json:"certSecretName,omitempty"`

	// ClientCASecretName names a Secret with the key ca.crt: the REST API then
	// accepts only clients with a certificate that this authority signed
	// (mutual TLS), and the pod's probes only check that the port is open.
	// Needs certSecretName. Setting or changing the name rolls the pod, and so
	// does another authority in the Secret: the server reads it when it starts.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower case letters, digits, '-' and '.', and a letter or digit at both ends"
	ClientCASecretName string `json:"clientCASecretName,omitempty"`

	// TLS is accepted because the DittoFS operator knows it, and has no
	// effect: certSecretName switches TLS on.
	// +optional
	TLS *bool `json:"tls,omitempty"`
}

// ServiceSpec shapes a Service.
type ServiceSpec struct {
	// Type of the Service: ClusterIP is reached inside the cluster only, NodePort
	// on every node, LoadBalancer at an address of its own.
	// +optional
	// +kubebuilder:default=ClusterIP
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type corev1.ServiceType `json:"type,omitempty"`

	// Annotations of the Service, such as a cloud's load balancer reads.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`
}

// AdaptersSpec declares the file protocols that are served.
type AdaptersSpec struct {
	// NFS declares the NFS adapter: its Service and its port in the
	// NetworkPolicy.
	// +optional
	// +kubebuilder:default={}
	NFS NFSAdapterSpec `json:"nfs,omitempty"`

	// SMB declares the SMB adapter: its Service and its port in the
	// NetworkPolicy.
	// +optional
	// +kubebuilder:default={}
	SMB SMBAdapterSpec `json:"smb,omitempty"`
}

// NFSAdapterSpec declares the NFS adapter.
type NFSAdapterSpec struct {
	// Enabled false removes the Service and the NetworkPolicy's port. The
	// adapter itself is switched off over the server's REST API.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`

	// Port that the server listens on for NFS, TCP. It follows what is set
	// over the server's REST API, it does not set it.
	// +optional
	// +kubebuilder:default=12049
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// ServicePort of the Service <name>-adapter-nfs, which clients mount, TCP.
	// +optional
	// +kubebuilder:default=2049
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ServicePort int32 `json:"servicePort,omitempty"`
}

// SMBAdapterSpec declares the SMB adapter.
type SMBAdapterSpec struct {
	// Enabled false removes the Service and the NetworkPolicy's port. The
	// adapter itself is switched off over the server's REST API.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`

	// Port that the server listens on for SMB, TCP. It follows what is set
	// over the server's REST API, it does not set it.
	// +optional
	// +kubebuilder:default=1445
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// ServicePort of the Service <name>-adapter-smb, which clients mount, TCP.
	// Windows clients know no other port than 445.
	// +optional
	// +kubebuilder:default=445
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	ServicePort int32 `json:"servicePort,omitempty"`
}

// NetworkPolicySpec restricts who may reach the server, and on which ports.
type NetworkPolicySpec struct {
	// Enabled composes the NetworkPolicy <name>-baseline. It admits traffic to
	// the API, to the adapters that are enabled and, with metrics.enabled, to
	// the metrics' port, and to nothing else. It restarts nothing.
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`

	// From restricts the peers that may connect, to every port: Prometheus has
	// to be among them as well. Unset: any peer.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:XValidation:rule="has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",message="a peer is either an ipBlock, or a podSelector and/or a namespaceSelector"
	// +kubebuilder:validation:items:XValidation:rule="!has(self.ipBlock) || (isCIDR(self.ipBlock.cidr) && (!has(self.ipBlock.except) || self.ipBlock.except.all(e, isCIDR(e) && cidr(self.ipBlock.cidr).containsCIDR(e) && cidr(self.ipBlock.cidr).prefixLength() < cidr(e).prefixLength())))",message="must be a network like 10.0.0.0/8, and every exception a smaller one inside it",fieldPath=".ipBlock"
	From []networkingv1.NetworkPolicyPeer `json:"from,omitempty"`
}

// AdapterDiscoverySpec is the DittoFS operator's, and has no effect.
type AdapterDiscoverySpec struct {
	// PollingInterval is accepted and has no effect: nothing is polled.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	PollingInterval string `json:"pollingInterval,omitempty"`
}

// UnsupportedSpec stands for what is refused, whatever is in it.
//
// +kubebuilder:pruning:PreserveUnknownFields
type UnsupportedSpec struct{}

// MetricsSpec serves the server's metrics for Prometheus, in plain HTTP.
type MetricsSpec struct {
	// Enabled serves metrics, and composes the Service <name>-metrics. A
	// change rolls the pod.
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// Port that metrics are served on, TCP. A change rolls the pod.
	// +optional
	// +kubebuilder:default=9090
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// Path of the metrics. A change rolls the pod.
	// +optional
	// +kubebuilder:default="/metrics"
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^/[A-Za-z0-9/._~-]*$')",message="must be the path of a URL, like /metrics"
	Path string `json:"path,omitempty"`

	// BearerTokenSecret leads to the token that a scraper has to present.
	// Unset: none is asked for. A new value rolls the pod.
	// +optional
	BearerTokenSecret *SecretKeyRef `json:"bearerTokenSecret,omitempty"`

	// ServiceMonitor has the Prometheus operator scrape the metrics.
	// +optional
	// +kubebuilder:default={}
	ServiceMonitor ServiceMonitorSpec `json:"serviceMonitor,omitempty"`
}

// ServiceMonitorSpec has the Prometheus operator scrape the metrics.
type ServiceMonitorSpec struct {
	// Enabled composes the ServiceMonitor <name>-metrics, once the Prometheus
	// operator is installed. Without metrics.enabled it has no effect. Switch
	// it off before that operator's definitions are removed: Crossplane stops
	// at what it composed of a kind that is no longer served.
	// +optional
	// +kubebuilder:default=false
	Enabled *bool `json:"enabled,omitempty"`

	// Interval between scrapes, a Prometheus duration like 30s. Unset:
	// Prometheus' own.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.matches('^(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?$')",message="must be a Prometheus duration, like 30s or 1m30s"
	Interval string `json:"interval,omitempty"`

	// Labels of the ServiceMonitor, by which a Prometheus selects it.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`
}

// LoggingSpec configures the server's log.
type LoggingSpec struct {
	// Level below which nothing is logged.
	// +optional
	// +kubebuilder:default=INFO
	// +kubebuilder:validation:Enum=DEBUG;INFO;WARN;ERROR
	Level string `json:"level,omitempty"`

	// Format of the log's lines, for people or for programs.
	// +optional
	// +kubebuilder:default=json
	// +kubebuilder:validation:Enum=text;json
	Format string `json:"format,omitempty"`

	// Output is stdout, stderr or the path of a file.
	// +optional
	// +kubebuilder:default=stdout
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Output string `json:"output,omitempty"`
}

// Verifies tells whether the mode checks the database server's certificate,
// which takes a certificate authority.
func (m SSLMode) Verifies() bool {
	return m == SSLModeVerifyCA || m == SSLModeVerifyFull
}
