package percona

import (
	"crypto/sha256"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	// APIVersion of a PerconaPGCluster.
	APIVersion = "pgv2.percona.com/v2"
	// Kind of a PerconaPGCluster.
	Kind = "PerconaPGCluster"
	// APIService tells, by its existence, that the kind is served.
	APIService = "v2.pgv2.percona.com"

	// User that the server connects to PostgreSQL as.
	User = "dittofs"
	// InstanceSet is the name of the one set of PostgreSQL pods. It is part of
	// the volumes' identity and never changes.
	InstanceSet = "instance1"
	// DefaultPostgresVersion is the major version that nobody has to choose.
	DefaultPostgresVersion = 16

	// FinalizerDeletePVC makes the operator delete the volumes and user
	// Secrets with the cluster (percona v2.9.0
	// percona/controller/pgcluster/finalizer.go).
	FinalizerDeletePVC = "percona.com/delete-pvc"
)

// maxServerName is how long a server's name may be: cluster and instance set
// share 46 characters (percona v2.9.0 perconapgcluster_types.go,
// PGInstanceSetSpec.Name).
const maxServerName = 46 - len("-postgres") - len(InstanceSet)

// ClusterName returns the name of a server's PerconaPGCluster.
func ClusterName(server string) string {
	return server + "-postgres"
}

// SecretName returns the name of the Secret that the operator makes for User,
// with the keys host, port, dbname, user, password and uri (percona v2.9.0
// internal/naming/names.go, PostgresUserSecret).
func SecretName(server string) string {
	return ClusterName(server) + "-pguser-" + User
}

// CASecretName returns the name of the Secret whose key ca.crt verifies the
// cluster's server certificate. It is not <cluster>-cluster-ca-cert, which
// holds the CA's private key (percona v2.9.0 internal/naming/names.go).
func CASecretName(server string) string {
	return ClusterName(server) + "-cluster-cert"
}

// FieldManager returns the name that Crossplane applies the composed resources
// of a composite resource (XR) with: by the XR's own name, group and kind
// (crossplane v2.4.0 internal/controller/apiextensions/composite,
// ComposedFieldOwnerName).
func FieldManager(xrName string, gk schema.GroupKind) string {
	sum := sha256.Sum256([]byte(xrName + gk.String()))
	return "apiextensions.crossplane.io/composed/" + hex.EncodeToString(sum[:])
}
