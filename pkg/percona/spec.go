package percona

import (
	"cmp"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
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
// not set take the API's defaults; images then are those of DefaultImages, and
// crVersion is DefaultCRVersion.
// Options come next, and spec.percona.overrides last. ds is not changed.
//
// Nothing that the operator writes itself is in it, but for a pause that the
// server asks for, and nothing that has a default in the operator's schema,
// unless it matters here.
//
// An error is a *field.Error with the path in the DittoServer: the first of those
// that Validate returns, or what is wrong with the name or the overrides.
func BuildPerconaPGClusterSpec(ds *v1alpha1.DittoServer, opts ...Option) (pgv2.PerconaPGClusterSpec, error) {
	if err := validateName(ds.GetName()); err != nil {
		return pgv2.PerconaPGClusterSpec{}, err
	}
	if errs := Validate(ds); len(errs) > 0 {
		return pgv2.PerconaPGClusterSpec{}, errs[0]
	}
	p := ds.Spec.Percona // A copy; SetDefaults replaces fields and follows no pointer.
	p.SetDefaults()

	version := ptr.Deref(p.PostgresVersion, DefaultPostgresVersion)
	images := imagesOf(p.Images, version)
	spec := pgv2.PerconaPGClusterSpec{
		CRVersion:       cmp.Or(p.CRVersion, DefaultCRVersion),
		PostgresVersion: int(version),
		Image:           images.Postgres,
		Users: []crunchy.PostgresUserSpec{{
			Name:      User,
			Databases: []crunchy.PostgresIdentifier{crunchy.PostgresIdentifier(p.DatabaseName)},
			// The default, ASCII, has characters that a URL has to escape.
			Password: &crunchy.PostgresPasswordSpec{Type: crunchy.PostgresPasswordTypeAlphaNumeric},
		}},
		InstanceSets: instanceSets(ds.GetName(), p),
		Proxy:        proxy(p, images.PGBouncer),
		Patroni:      patroni(p),
		Backups:      backups(ds, p, images.PGBackRest),
		DataSource:   dataSource(p),
	}
	if p.Pause {
		spec.Pause = new(true)
	}
	for _, opt := range opts {
		opt(&spec)
	}
	return override(*spec.DeepCopy(), p)
}

// validateName of a server, after which its cluster is named.
func validateName(server string) error {
	path := field.NewPath("metadata", "name")
	switch {
	case server == "":
		return field.Required(path, "the cluster is named after the server")
	case len(server) > maxServerName:
		return field.TooLong(path, server, maxServerName)
	default:
		return nil
	}
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

// instanceSets returns the one set of PostgreSQL pods.
func instanceSets(server string, p v1alpha1.PerconaSpec) pgv2.PGInstanceSets {
	pods := placementOf(p.Scheduling)
	set := pgv2.PGInstanceSetSpec{
		Name:                InstanceSet,
		Replicas:            p.Replicas,
		Affinity:            pods.apart(p.Scheduling.AntiAffinity, server),
		Tolerations:         pods.tolerations,
		PriorityClassName:   pods.priorityClassName,
		Resources:           ptr.Deref(p.Resources, corev1.ResourceRequirements{}),
		DataVolumeClaimSpec: volumeClaim(p.StorageSize, p.StorageClassName),
	}
	if p.WALStorageSize != "" {
		set.WALVolumeClaimSpec = new(volumeClaim(p.WALStorageSize, p.StorageClassName))
	}
	return pgv2.PGInstanceSets{set}
}

// volumeClaim of a size, which Validate has read.
func volumeClaim(size string, class *string) corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		StorageClassName: class,
		Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
		},
	}
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
