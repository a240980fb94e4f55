package percona

import (
	"fmt"
	"regexp"
	"strconv"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// The bounds of the DittoServer API, for callers that no API server has
// checked (apis/v1alpha1/types.go).
const (
	maxReplicas         = 5
	maxRetentionDays    = 9999999 // pgBackRest's own bound of repo-retention-full.
	maxDatabaseName     = 63
	databaseNamePattern = `^[a-z_][a-z0-9_]*$`
)

// repoPath is the pgBackRest option that says where in the bucket a cluster's
// backups are.
const repoPath = "repo1-path"

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
// not set take the API's defaults; images then are those of DefaultImages. ds
// is not changed.
//
// Nothing that the operator writes itself is in it, and nothing that has a
// default in the operator's schema, unless it matters here. It has no proxy:
// the server connects to the primary.
//
// An error is a *field.Error with the path in the DittoServer.
func BuildPerconaPGClusterSpec(ds *v1alpha1.DittoServer, opts ...Option) (pgv2.PerconaPGClusterSpec, error) {
	p := ds.Spec.Percona // A copy; SetDefaults replaces fields and follows no pointer.
	p.SetDefaults()

	version := ptr.Deref(p.PostgresVersion, DefaultPostgresVersion)
	images := imagesOf(p.Images, version)

	storage, err := validate(ds.GetName(), p, images)
	if err != nil {
		return pgv2.PerconaPGClusterSpec{}, err
	}

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
		InstanceSets: pgv2.PGInstanceSets{{
			Name:     InstanceSet,
			Replicas: p.Replicas,
			DataVolumeClaimSpec: corev1.PersistentVolumeClaimSpec{
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				StorageClassName: p.StorageClassName,
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: storage},
				},
			},
		}},
		Backups: backups(ds, p.Backup, images.PGBackRest),
	}
	for _, opt := range opts {
		opt(&spec)
	}
	return *spec.DeepCopy(), nil
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

// validate checks what the operator would choke on, and returns the size of
// the volumes.
func validate(server string, p v1alpha1.PerconaSpec, images v1alpha1.PerconaImages) (resource.Quantity, error) {
	path := field.NewPath("spec", "percona")
	storage, err := resource.ParseQuantity(p.StorageSize)

	switch {
	case server == "":
		return storage, field.Required(field.NewPath("metadata", "name"), "the cluster is named after the server")
	case len(server) > maxServerName:
		return storage, field.TooLong(field.NewPath("metadata", "name"), server, maxServerName)
	case err != nil:
		return storage, field.Invalid(path.Child("storageSize"), p.StorageSize, "must be a quantity, like 10Gi")
	case storage.Sign() <= 0:
		return storage, field.Invalid(path.Child("storageSize"), p.StorageSize, "must be greater than zero")
	case *p.Replicas < 1 || *p.Replicas > maxReplicas:
		return storage, field.Invalid(path.Child("replicas"), *p.Replicas, fmt.Sprintf("must be between 1 and %d", maxReplicas))
	case len(p.DatabaseName) > maxDatabaseName:
		return storage, field.TooLong(path.Child("databaseName"), p.DatabaseName, maxDatabaseName)
	case !databaseName.MatchString(p.DatabaseName):
		return storage, field.Invalid(path.Child("databaseName"), p.DatabaseName, "must match "+databaseNamePattern)
	case p.PostgresVersion != nil && (*p.PostgresVersion < 14 || *p.PostgresVersion > 18):
		return storage, field.Invalid(path.Child("postgresVersion"), *p.PostgresVersion, "must be between 14 and 18")
	case p.CRVersion != "" && !crVersion.MatchString(p.CRVersion):
		return storage, field.Invalid(path.Child("crVersion"), p.CRVersion, "must be a full version, 2.9.0 or newer")
	case images.Postgres == "":
		return storage, field.Required(path.Child("images", "postgres"), "there is no default image of this version")
	}
	return storage, validateBackup(path.Child("backup"), p.Backup)
}

func validateBackup(path *field.Path, b v1alpha1.BackupSpec) error {
	switch {
	case !*b.Enabled:
		return nil
	case b.Bucket == "":
		return field.Required(path.Child("bucket"), "backups need a bucket")
	case b.CredentialsSecretRef != nil && b.CredentialsSecretRef.Name == "":
		return field.Required(path.Child("credentialsSecretRef", "name"), "names a Secret with a key that ends in .conf")
	case *b.RetentionDays < 1 || *b.RetentionDays > maxRetentionDays:
		return field.Invalid(path.Child("retentionDays"), *b.RetentionDays, fmt.Sprintf("must be between 1 and %d", maxRetentionDays))
	default:
		return nil
	}
}

// backups returns the section of that name. The image is wanted by the
// operator even while backups are off (percona v2.9.0 VerifyImageValues), and
// enabled must be false in so many words, or a repository is.
func backups(ds *v1alpha1.DittoServer, b v1alpha1.BackupSpec, image string) pgv2.Backups {
	if !*b.Enabled {
		return pgv2.Backups{Enabled: new(false), PGBackRest: pgv2.PGBackRestArchive{Image: image}}
	}

	endpoint := b.Endpoint
	if endpoint == "" {
		endpoint = "s3." + b.Region + ".amazonaws.com"
	}
	archive := pgv2.PGBackRestArchive{
		Image: image,
		Repos: []crunchy.PGBackRestRepo{{
			Name: "repo1",
			S3:   &crunchy.RepoS3{Bucket: b.Bucket, Endpoint: endpoint, Region: b.Region},
			BackupSchedules: &crunchy.PGBackRestBackupSchedules{
				Full:        new(b.FullSchedule),
				Incremental: new(b.IncrSchedule),
			},
		}},
		Global: map[string]string{
			repoPath:                   backupPath(ds),
			"repo1-s3-uri-style":       "path",
			"repo1-storage-verify-tls": "y",
			// Without a retention backups and WAL are kept for ever.
			"repo1-retention-full":      strconv.Itoa(int(*b.RetentionDays)),
			"repo1-retention-full-type": "time",
		},
	}
	if b.CredentialsSecretRef != nil {
		archive.Configuration = []corev1.VolumeProjection{{
			Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: b.CredentialsSecretRef.Name},
			},
		}}
	}
	return pgv2.Backups{Enabled: new(true), PGBackRest: archive}
}

// backupPath returns where in the bucket a new cluster's backups go. The
// namespace and the UID keep it apart from every other cluster, a former one of
// the same name included: pgBackRest refuses to write to a foreign one's
// stanza.
func backupPath(ds *v1alpha1.DittoServer) string {
	name := ds.GetName()
	if uid := string(ds.GetUID()); uid != "" {
		name += "-" + uid[:min(len(uid), 8)]
	}
	return "/pgbackrest/" + ds.GetNamespace() + "/" + name + "/repo1"
}
