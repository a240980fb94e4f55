// Package v1beta1 is the function's Input: what a platform team decides once,
// in the Composition, for all servers.
//
// +kubebuilder:object:generate=true
// +groupName=dittoserver.fn.crossplane.io
// +versionName=v1beta1
package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Input is what a platform team decides once for all servers. Every field is
// optional; an unknown field is refused. An edit reaches the servers that run
// as well: each field says how.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=crossplane
type Input struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Namespace of the composed objects of a cluster-scoped DittoServer that
	// has no claim. A namespaced DittoServer and a claim bring their own.
	// Unset: such a DittoServer is refused. A change is refused for every
	// server that uses it and has objects already; they stay where they are.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Defaults for what a DittoServer leaves open. One that has a value of its
	// own is not touched by a change.
	// +optional
	Defaults Defaults `json:"defaults,omitempty"`

	// Percona holds defaults for the PostgreSQL clusters. They are for new
	// clusters. A live one follows a change only with updatePolicy: Always and
	// where the field says so; else it stays, and DatabaseUpToDate=False lists
	// what differs.
	// +optional
	Percona PerconaDefaults `json:"percona,omitempty"`

	// WaitForPostgres configures the init container that waits for PostgreSQL.
	// A change rolls every server with PostgreSQL.
	// +optional
	WaitForPostgres WaitForPostgres `json:"waitForPostgres,omitempty"`

	// Polling says how often a server is looked at when nothing happens. A
	// change restarts nothing.
	// +optional
	Polling Polling `json:"polling,omitempty"`

	// Policy limits what a DittoServer may ask for. A change restarts nothing:
	// a server that a stricter one does not permit runs on as it is, and is
	// refused (ConfigReady=False, InvalidSpec) until its spec or the policy is
	// changed. Until then nothing of it is applied, a rotated password neither.
	// +optional
	Policy Policy `json:"policy,omitempty"`
}

// Defaults for what a DittoServer leaves open.
type Defaults struct {
	// Image of the DittoFS server. Unset:
	// docker.io/marmos91c/dittofs:v0.29.0, or what a running server has
	// already. A change replaces the image of every server that has none of
	// its own, and rolls it; removing the field changes nothing.
	// +optional
	Image string `json:"image,omitempty"`

	// StorageClassName of the server's volumes. Unset: the cluster's default
	// StorageClass. A change is for new servers: one that has its volumes keeps
	// them, and StorageUpToDate=False says that it has another class.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`

	// ImagePullSecrets of the server's pod and the PostgreSQL cluster, by
	// name, in the server's namespace. Unset: none. A change rolls every
	// server; a live PostgreSQL cluster takes it with updatePolicy: Always,
	// which restarts its pods.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
}

// PerconaDefaults are defaults for the PostgreSQL clusters.
type PerconaDefaults struct {
	// CRVersion of new clusters, 2.9.0 or newer: best that of the Percona
	// operator which runs, as another one starts pods with an image of this
	// version. Unset: 2.9.0. A live cluster takes a change with updatePolicy:
	// Always.
	// +optional
	CRVersion string `json:"crVersion,omitempty"`

	// PostgresVersion of new clusters, 14 to 18. Unset: 16. A live cluster
	// keeps its own whatever the updatePolicy: a PerconaPGUpgrade changes it.
	// +optional
	PostgresVersion *int32 `json:"postgresVersion,omitempty"`

	// Images of the clusters' containers. Unset: those of Percona operator
	// 2.9.0 for the PostgreSQL version. A live cluster takes a change with
	// updatePolicy: Always, which restarts its pods, but never an image of
	// another PostgreSQL version; removing the field changes nothing.
	// +optional
	Images PerconaImages `json:"images,omitempty"`

	// StorageClassName of the clusters' volumes. Unset: the cluster's default
	// StorageClass. A live cluster keeps its own whatever the updatePolicy.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// PerconaImages are the images of a PostgreSQL cluster's containers, for a
// mirror or an air gap.
type PerconaImages struct {
	// Postgres maps a PostgreSQL major version, like "16", to its image. Unset,
	// or without the version: the function's own for it, a
	// docker.io/percona/percona-distribution-postgresql.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Postgres map[string]string `json:"postgres,omitempty"`

	// PGBackRest is the image of pgBackRest. Unset:
	// docker.io/percona/percona-pgbackrest:2.58.0-1.
	// +optional
	PGBackRest string `json:"pgBackRest,omitempty"`

	// PGBouncer is the image of PgBouncer. Unset:
	// docker.io/percona/percona-pgbouncer:1.25.1-1.
	// +optional
	PGBouncer string `json:"pgBouncer,omitempty"`
}

// WaitForPostgres configures the init container that waits for PostgreSQL.
type WaitForPostgres struct {
	// Image with sh, pg_isready and psql. Unset:
	// docker.io/library/postgres:16-alpine, or what a running server has
	// already. A change rolls every server with PostgreSQL; removing the field
	// changes nothing.
	// +optional
	Image string `json:"image,omitempty"`

	// Timeout after which the container fails and is restarted, a Go duration
	// of at least 10s. Unset: 5m. A change rolls every server with PostgreSQL.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// Polling says how often a server is looked at when nothing happens.
type Polling struct {
	// Waiting is the pace while something is awaited, a Go duration of at
	// least 1s. Unset: 15s. A change counts from the next look on.
	// +optional
	Waiting *metav1.Duration `json:"waiting,omitempty"`

	// Steady is the pace of a server that has what it needs, a Go duration of
	// at least 1s. Unset: 60s. A change counts from the next look on.
	// +optional
	Steady *metav1.Duration `json:"steady,omitempty"`
}

// A PodSecurityLevel is a level of the Pod Security Standards.
// +kubebuilder:validation:Enum=restricted;baseline;privileged
type PodSecurityLevel string

// Policy limits what a DittoServer may ask for. It is closed by default.
type Policy struct {
	// PodSecurity is the level of the Pod Security Standards that every
	// server's pod must pass. Unset: restricted. It judges settings and changes
	// none.
	// +optional
	PodSecurity PodSecurityLevel `json:"podSecurity,omitempty"`

	// AllowServiceAccount lets a DittoServer choose the service account that
	// its pod runs as (spec.pod.serviceAccountName), and so what that account
	// may do. Unset: it may not.
	// +optional
	AllowServiceAccount bool `json:"allowServiceAccount,omitempty"`

	// AllowPerconaOverrides lets a DittoServer change the spec of its
	// PerconaPGCluster at will (spec.percona.overrides), but for what that
	// field refuses. Unset: it may not.
	// +optional
	AllowPerconaOverrides bool `json:"allowPerconaOverrides,omitempty"`

	// ImageRegistries that a DittoServer's images may come from, as prefixes
	// like registry.example.org/dittofs. Unset: any. The platform's own
	// defaults are not held to it.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	ImageRegistries []string `json:"imageRegistries,omitempty"`
}
