package percona

import (
	"fmt"
	"regexp"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// The bounds of the DittoServer API, for callers that no API server has
// checked (apis/v1alpha1/percona.go).
const (
	maxReplicas         = 5
	maxPoolers          = 16
	maxRetentionDays    = 9999999 // pgBackRest's own bound of repo-retention-full.
	maxDatabaseName     = 63
	databaseNamePattern = `^[a-z_][a-z0-9_]*$`
)

var (
	databaseName = regexp.MustCompile(databaseNamePattern)
	// A malformed version makes the operator panic (percona v2.9.0
	// perconapgcluster_types.go, Version), an older one forces a proxy.
	crVersion = regexp.MustCompile(`^([3-9]|[1-9][0-9]+)\.[0-9]+\.[0-9]+$|^2\.(9|[1-9][0-9]+)\.[0-9]+$`)
)

// An Option adds to a cluster's spec what a DittoServer does not say itself.
type Option func(*pgv2.PerconaPGClusterSpec)

// WithImagePullSecrets lets all of the cluster's pods pull their images with
// these Secrets.
func WithImagePullSecrets(secrets []corev1.LocalObjectReference) Option {
	return func(spec *pgv2.PerconaPGClusterSpec) {
		spec.ImagePullSecrets = secrets
	}
}

// BuildPerconaPGClusterSpec returns the spec of a server's cluster, built from
// spec.percona and from the server's name, namespace and UID. Fields that are
// not set take the API's defaults; images then are those of DefaultImages.
// Options come next, and spec.percona.overrides last. ds is not changed.
//
// Nothing that the operator writes itself is in it, but for a pause that the
// server asks for, and nothing that has a default in the operator's schema,
// unless it matters here.
//
// An error is a *field.Error with the path in the DittoServer.
func BuildPerconaPGClusterSpec(ds *v1alpha1.DittoServer, opts ...Option) (pgv2.PerconaPGClusterSpec, error) {
	p := ds.Spec.Percona // A copy; SetDefaults replaces fields and follows no pointer.
	p.SetDefaults()

	version := ptr.Deref(p.PostgresVersion, DefaultPostgresVersion)
	images := imagesOf(p.Images, version)
	spec := pgv2.PerconaPGClusterSpec{
		CRVersion:       p.CRVersion,
		PostgresVersion: int(version),
		Image:           images.Postgres,
		Users: []crunchy.PostgresUserSpec{{
			Name:      User,
			Databases: []crunchy.PostgresIdentifier{crunchy.PostgresIdentifier(p.DatabaseName)},
			// The default, ASCII, has characters that a URL has to escape.
			Password: &crunchy.PostgresPasswordSpec{Type: crunchy.PostgresPasswordTypeAlphaNumeric},
		}},
		Proxy: proxy(p, images.PGBouncer),
	}
	if p.Pause {
		spec.Pause = new(true)
	}

	if err := validate(ds.GetName(), p, images); err != nil {
		return pgv2.PerconaPGClusterSpec{}, err
	}
	for _, part := range []func() error{
		func() (err error) { spec.InstanceSets, err = instanceSets(ds.GetName(), p); return err },
		func() (err error) { spec.Patroni, err = patroni(p); return err },
		func() (err error) { spec.Backups, err = backups(ds, p, images.PGBackRest); return err },
		func() (err error) { spec.DataSource, err = dataSource(ds, p); return err },
	} {
		if err := part(); err != nil {
			return pgv2.PerconaPGClusterSpec{}, err
		}
	}

	for _, opt := range opts {
		opt(&spec)
	}
	return override(*spec.DeepCopy(), p.Overrides)
}

// perconaPath leads to spec.percona in a DittoServer.
func perconaPath(names ...string) *field.Path {
	p := field.NewPath("spec", "percona")
	for _, name := range names {
		p = p.Child(name)
	}
	return p
}

// imagesOf fills in the images that nobody has set.
func imagesOf(set v1alpha1.PerconaImages, version int32) v1alpha1.PerconaImages {
	images := DefaultImages(version)
	if set.Postgres != "" {
		images.Postgres = set.Postgres
	}
	if set.PGBackRest != "" {
		images.PGBackRest = set.PGBackRest
	}
	if set.PGBouncer != "" {
		images.PGBouncer = set.PGBouncer
	}
	return images
}

// validate checks what the operator would choke on.
func validate(server string, p v1alpha1.PerconaSpec, images v1alpha1.PerconaImages) error {
	switch {
	case server == "":
		return field.Required(field.NewPath("metadata", "name"), "the cluster is named after the server")
	case len(server) > maxServerName:
		return field.TooLong(field.NewPath("metadata", "name"), server, maxServerName)
	case *p.Replicas < 1 || *p.Replicas > maxReplicas:
		return field.Invalid(perconaPath("replicas"), *p.Replicas, fmt.Sprintf("must be between 1 and %d", maxReplicas))
	case len(p.DatabaseName) > maxDatabaseName:
		return field.TooLong(perconaPath("databaseName"), p.DatabaseName, maxDatabaseName)
	case !databaseName.MatchString(p.DatabaseName):
		return field.Invalid(perconaPath("databaseName"), p.DatabaseName, "must match "+databaseNamePattern)
	case p.PostgresVersion != nil && (*p.PostgresVersion < 14 || *p.PostgresVersion > 18):
		return field.Invalid(perconaPath("postgresVersion"), *p.PostgresVersion, "must be between 14 and 18")
	case p.CRVersion != "" && !crVersion.MatchString(p.CRVersion):
		return field.Invalid(perconaPath("crVersion"), p.CRVersion, "must be a full version, 2.9.0 or newer")
	case images.Postgres == "":
		return field.Required(perconaPath("images", "postgres"), "there is no default image of this version")
	}
	return validatePods(p)
}

// validatePods checks what the cluster's pods are to be like.
func validatePods(p v1alpha1.PerconaSpec) error {
	switch {
	case *p.PGBouncer.Replicas < 1 || *p.PGBouncer.Replicas > maxPoolers:
		return field.Invalid(perconaPath("pgBouncer", "replicas"), *p.PGBouncer.Replicas, fmt.Sprintf("must be between 1 and %d", maxPoolers))
	case p.Resources != nil && len(p.Resources.Claims) > 0:
		return field.Forbidden(perconaPath("resources", "claims"), "the cluster's pods claim no devices: remove it")
	case p.PGBouncer.Resources != nil && len(p.PGBouncer.Resources.Claims) > 0:
		return field.Forbidden(perconaPath("pgBouncer", "resources", "claims"), "the pooler's pods claim no devices: remove it")
	case p.Synchronous && *p.Replicas < 2:
		return field.Invalid(perconaPath("synchronous"), true, "there is no second PostgreSQL pod to wait for: set spec.percona.replicas to 2 or more")
	}
	return validateScheduling(p.Scheduling)
}

// instanceSets returns the one set of PostgreSQL pods.
func instanceSets(server string, p v1alpha1.PerconaSpec) (pgv2.PGInstanceSets, error) {
	data, err := volumeClaim(perconaPath("storageSize"), p.StorageSize, p.StorageClassName)
	if err != nil {
		return nil, err
	}
	pods := placementOf(p.Scheduling)
	set := pgv2.PGInstanceSetSpec{
		Name:                InstanceSet,
		Replicas:            p.Replicas,
		Affinity:            pods.apart(p.Scheduling.AntiAffinity, server),
		Tolerations:         pods.tolerations,
		PriorityClassName:   pods.priorityClassName,
		Resources:           ptr.Deref(p.Resources, corev1.ResourceRequirements{}),
		DataVolumeClaimSpec: data,
	}

	if p.WALStorageSize != "" {
		wal, err := volumeClaim(perconaPath("walStorageSize"), p.WALStorageSize, p.StorageClassName)
		if err != nil {
			return nil, err
		}
		set.WALVolumeClaimSpec = &wal
	}
	return pgv2.PGInstanceSets{set}, nil
}

// volumeClaim of a size; path is the size's.
func volumeClaim(path *field.Path, size string, class *string) (corev1.PersistentVolumeClaimSpec, error) {
	storage, err := resource.ParseQuantity(size)
	switch {
	case err != nil:
		return corev1.PersistentVolumeClaimSpec{}, field.Invalid(path, size, "must be a quantity, like 10Gi")
	case storage.Sign() <= 0:
		return corev1.PersistentVolumeClaimSpec{}, field.Invalid(path, size, "must be greater than zero")
	}
	return corev1.PersistentVolumeClaimSpec{
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		StorageClassName: class,
		Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: storage},
		},
	}, nil
}

// proxy returns the connection pooler, or nil. The server does not use it: it
// connects to the primary.
func proxy(p v1alpha1.PerconaSpec, image string) *pgv2.PGProxySpec {
	if !*p.PGBouncer.Enabled {
		return nil
	}
	pods := placementOf(p.Scheduling)
	return &pgv2.PGProxySpec{PGBouncer: &pgv2.PGBouncerSpec{
		Image:             image,
		Replicas:          p.PGBouncer.Replicas,
		Resources:         ptr.Deref(p.PGBouncer.Resources, corev1.ResourceRequirements{}),
		Affinity:          pods.affinity,
		Tolerations:       pods.tolerations,
		PriorityClassName: pods.priorityClassName,
	}}
}
