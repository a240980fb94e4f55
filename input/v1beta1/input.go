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
// optional; an unknown field is refused.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:categories=crossplane
type Input struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Namespace of the composed objects of a cluster-scoped DittoServer that
	// has no claim. A namespaced DittoServer and a claim bring their own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Defaults for what a DittoServer leaves open.
	// +optional
	Defaults Defaults `json:"defaults,omitempty"`

	// Percona holds defaults for the PostgreSQL clusters.
	// +optional
	Percona PerconaDefaults `json:"percona,omitempty"`

	// WaitForPostgres configures the init container that waits for PostgreSQL.
	// +optional
	WaitForPostgres WaitForPostgres `json:"waitForPostgres,omitempty"`

	// Polling says how often a server is looked at when nothing happens.
	// +optional
	Polling Polling `json:"polling,omitempty"`

	// Policy limits what a DittoServer may ask for.
	// +optional
	Policy Policy `json:"policy,omitempty"`
}

// Defaults for what a DittoServer leaves open.
type Defaults struct {
	// Image of the DittoFS server.
	// +optional
	Image string `json:"image,omitempty"`

	// StorageClassName of the server's volumes.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`

	// ImagePullSecrets of the server's pod and the PostgreSQL cluster, by
	// name, in the server's namespace.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
}

// PerconaDefaults are defaults for the PostgreSQL clusters.
type PerconaDefaults struct {
	// CRVersion of new clusters, 2.9.0 or newer. Unset: the operator pins its
	// own.
	// +optional
	CRVersion string `json:"crVersion,omitempty"`

	// PostgresVersion of new clusters, 14 to 18. Unset: 16.
	// +optional
	PostgresVersion *int32 `json:"postgresVersion,omitempty"`

	// Images of the clusters' containers.
	// +optional
	Images PerconaImages `json:"images,omitempty"`

	// StorageClassName of the clusters' volumes.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// PerconaImages are the images of a PostgreSQL cluster's containers, for a
// mirror or an air gap.
type PerconaImages struct {
	// Postgres maps a PostgreSQL major version, like "16", to its image.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Postgres map[string]string `json:"postgres,omitempty"`

	// PGBackRest is the image of pgBackRest.
	// +optional
	PGBackRest string `json:"pgBackRest,omitempty"`

	// PGBouncer is the image of PgBouncer.
	// +optional
	PGBouncer string `json:"pgBouncer,omitempty"`
}

// WaitForPostgres configures the init container that waits for PostgreSQL.
type WaitForPostgres struct {
	// Image with sh, pg_isready and psql. Unset: docker.io/library/postgres:16-alpine.
	// +optional
	Image string `json:"image,omitempty"`

	// Timeout after which the container fails and is restarted, a Go duration
	// of at least 10s. Unset: 5m.
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// Polling says how often a server is looked at when nothing happens.
type Polling struct {
	// Waiting is the pace while something is awaited, a Go duration of at
	// least 1s. Unset: 15s.
	// +optional
	Waiting *metav1.Duration `json:"waiting,omitempty"`

	// Steady is the pace of a server that has what it needs, a Go duration of
	// at least 1s. Unset: 60s.
	// +optional
	Steady *metav1.Duration `json:"steady,omitempty"`
}

// A PodSecurityLevel is a level of the Pod Security Standards.
// +kubebuilder:validation:Enum=restricted;baseline;privileged
type PodSecurityLevel string

// Policy limits what a DittoServer may ask for. It is closed by default.
type Policy struct {
	// PodSecurity is the level of the Pod Security Standards that every pod
	// must pass. Unset: restricted.
	// +optional
	PodSecurity PodSecurityLevel `json:"podSecurity,omitempty"`

	// AllowServiceAccount lets a DittoServer choose the service account that
	// its pod runs as (spec.pod.serviceAccountName), and so what that account
	// may do.
	// +optional
	AllowServiceAccount bool `json:"allowServiceAccount,omitempty"`

	// AllowPerconaOverrides lets a DittoServer change the spec of its
	// PerconaPGCluster at will (spec.percona.overrides), but for what that
	// field refuses.
	// +optional
	AllowPerconaOverrides bool `json:"allowPerconaOverrides,omitempty"`

	// ImageRegistries that a DittoServer's images may come from, as prefixes
	// like registry.example.org/dittofs. Unset: any. The platform's own
	// defaults are not held to it.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	ImageRegistries []string `json:"imageRegistries,omitempty"`
}
