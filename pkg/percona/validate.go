package percona

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// The bounds of the DittoServer API, for callers that no API server has
// checked (apis/v1alpha1/percona.go).
const (
	maxReplicas      = 5
	maxPoolers       = 16
	minVersion       = 14
	maxVersion       = 18
	maxRetentionDays = 9999999 // pgBackRest's own bound of repo-retention-full.
	maxDatabaseName  = 63
	// firstYear that data can be restored from: what is older is a slip of the
	// pen, and no backup.
	firstYear = 2000
)

var (
	databaseName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	// A malformed version makes the operator panic (percona v2.9.0
	// perconapgcluster_types.go, Version), an older one forces a proxy.
	crVersion     = regexp.MustCompile(`^([3-9]|[1-9][0-9]+)\.[0-9]+\.[0-9]+$|^2\.(9|[1-9][0-9]+)\.[0-9]+$`)
	parameterName = regexp.MustCompile(`^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$`)
	restorePath   = regexp.MustCompile(`^/[A-Za-z0-9/._-]*$`)
)

// Validate returns all that is wrong with a server's spec.percona, sorted: what
// its schema refuses, for callers that no API server has checked, what the
// operator would choke on, and backups that would start together. Fields that
// are not set take the API's defaults; of backups that are off nothing is
// checked. ds is not changed.
//
// Overrides are judged by the cluster that they make: see
// BuildPerconaPGClusterSpec. Resources and tolerations have rules of every
// pod's, which are not repeated here.
func Validate(ds *v1alpha1.DittoServer) field.ErrorList {
	p := ds.Spec.Percona // A copy; SetDefaults replaces fields and follows no pointer.
	p.SetDefaults()

	errs := slices.Concat(
		validateCluster(p),
		validatePods(p),
		validateParameters(perconaPath("parameters"), p.Parameters),
		validateBackup(p.Backup),
		validateRestore(ds.GetName(), p.RestoreFrom),
	)
	slices.SortFunc(errs, func(a, b *field.Error) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Error(), b.Error()))
	})
	return errs
}

// validateCluster checks what kind of cluster is wanted.
func validateCluster(p v1alpha1.PerconaSpec) field.ErrorList {
	errs := slices.Concat(
		validateEnum(perconaPath("updatePolicy"), p.UpdatePolicy, v1alpha1.UpdateOnCreate, v1alpha1.UpdateAlways),
		validateEnum(perconaPath("sslMode"), p.SSLMode, v1alpha1.SSLModeRequire, v1alpha1.SSLModeVerifyCA, v1alpha1.SSLModeVerifyFull),
		validateRange(perconaPath("replicas"), *p.Replicas, 1, maxReplicas),
		validateRange(perconaPath("postgresVersion"), ptr.Deref(p.PostgresVersion, DefaultPostgresVersion), minVersion, maxVersion),
		validateSize(perconaPath("storageSize"), p.StorageSize),
		validateObjectName(perconaPath("storageClassName"), ptr.Deref(p.StorageClassName, "")),
	)
	if p.WALStorageSize != "" {
		errs = append(errs, validateSize(perconaPath("walStorageSize"), p.WALStorageSize)...)
	}
	if !databaseName.MatchString(p.DatabaseName) || len(p.DatabaseName) > maxDatabaseName {
		errs = append(errs, field.Invalid(perconaPath("databaseName"), p.DatabaseName, fmt.Sprintf(
			"must be lower-case letters, digits and underscores, start with a letter or underscore, and have at most %d characters", maxDatabaseName)))
	}
	if p.CRVersion != "" && !crVersion.MatchString(p.CRVersion) {
		errs = append(errs, field.Invalid(perconaPath("crVersion"), p.CRVersion, "must be a full version of the Percona operator, 2.9.0 or newer"))
	}
	return errs
}

// validatePods checks what the cluster's pods are to be like.
func validatePods(p v1alpha1.PerconaSpec) field.ErrorList {
	scheduling := perconaPath("scheduling")
	errs := slices.Concat(
		validateRange(perconaPath("pgBouncer", "replicas"), *p.PGBouncer.Replicas, 1, maxPoolers),
		validateObjectName(scheduling.Child("priorityClassName"), p.Scheduling.PriorityClassName),
		metav1validation.ValidateLabels(p.Scheduling.NodeSelector, scheduling.Child("nodeSelector")),
	)
	if how := p.Scheduling.AntiAffinity; how != "" {
		errs = append(errs, validateEnum(scheduling.Child("antiAffinity"), how, v1alpha1.AntiAffinityPreferred, v1alpha1.AntiAffinityRequired)...)
	}
	if r := p.Resources; r != nil && len(r.Claims) > 0 {
		errs = append(errs, field.Forbidden(perconaPath("resources", "claims"), "the cluster's pods claim no devices: remove it"))
	}
	if r := p.PGBouncer.Resources; r != nil && len(r.Claims) > 0 {
		errs = append(errs, field.Forbidden(perconaPath("pgBouncer", "resources", "claims"), "the pooler's pods claim no devices: remove it"))
	}
	if p.Synchronous && *p.Replicas == 1 {
		errs = append(errs, field.Invalid(perconaPath("synchronous"), true, "a synchronous cluster needs a second PostgreSQL pod to wait for: set spec.percona.replicas to 2 or more"))
	}
	return errs
}

// validateBackup checks where backups go, and when.
func validateBackup(b v1alpha1.BackupSpec) field.ErrorList {
	if !*b.Enabled {
		return nil
	}
	path := perconaPath("backup")
	var errs field.ErrorList
	if len(b.Repos) > 0 && b.Bucket != "" {
		errs = append(errs, field.Forbidden(path.Child("repos"), "bucket is short for a first repository: set either bucket or repos, not both"))
	}

	repos := wantedRepos(b)
	names := map[string]bool{}
	for _, r := range repos {
		if names[r.Name] {
			errs = append(errs, field.Duplicate(r.path.Child("name"), r.Name))
		}
		names[r.Name] = true
		errs = append(errs, validateRange(r.path.Child("retentionDays"), ptr.Deref(r.RetentionDays, defaultRetentionDays), 1, maxRetentionDays)...)
		errs = append(errs, validateRepo(r, "s3, gcs, azure or volume")...)
	}

	_, wrong := timetables(repos)
	return append(errs, wrong...)
}

// validateRepo checks which repository it is, and that it is in one of the
// places.
func validateRepo(r wantedRepo, places string) field.ErrorList {
	errs := validateRepoName(r.path.Child("name"), r.Name)
	n := 0
	for _, is := range []bool{r.S3 != nil, r.GCS != nil, r.Azure != nil, r.Volume != nil} {
		if is {
			n++
		}
	}
	if n != 1 {
		errs = append(errs, field.Invalid(r.path, fmt.Sprintf("%d places", n), "a repository is in exactly one place: "+places))
	}
	return slices.Concat(errs, validatePlace(r), validateCredentials(r))
}

// validatePlace checks a place's name, and all else that goes into pgBackRest's
// configuration, which has lines.
func validatePlace(r wantedRepo) field.ErrorList {
	var errs field.ErrorList
	line := func(path *field.Path, value, required string) {
		switch {
		case required != "" && strings.TrimSpace(value) == "":
			errs = append(errs, field.Required(path, required))
		case !isOneLine(value):
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, "must be one line"))
		}
	}
	if r.S3 != nil {
		at, required := r.path.Child("s3"), "backups need somewhere to go: name a bucket"
		if r.flat {
			at, required = r.path, "backups need somewhere to go: set bucket, or repos"
		}
		line(at.Child("bucket"), r.S3.Bucket, required)
		line(at.Child("endpoint"), r.S3.Endpoint, "")
		line(at.Child("region"), r.S3.Region, "")
	}
	if r.GCS != nil {
		line(r.path.Child("gcs", "bucket"), r.GCS.Bucket, "backups need somewhere to go: name a bucket")
	}
	if r.Azure != nil {
		line(r.path.Child("azure", "container"), r.Azure.Container, "backups need somewhere to go: name a container")
	}
	if r.Volume != nil {
		at := r.path.Child("volume")
		errs = append(errs, validateSize(at.Child("size"), r.Volume.Size)...)
		errs = append(errs, validateObjectName(at.Child("storageClassName"), ptr.Deref(r.Volume.StorageClassName, ""))...)
	}
	return errs
}

func validateCredentials(r wantedRepo) field.ErrorList {
	var errs field.ErrorList
	at, ref := r.path.Child("credentialsSecretRef"), r.CredentialsSecretRef
	switch {
	case ref == nil && r.Azure != nil:
		errs = append(errs, field.Required(at, fmt.Sprintf(
			"Azure needs to know the storage account: name a Secret with a key that ends in .conf, with %[1]s-azure-account, and %[1]s-azure-key or %[1]s-azure-key-type", r.Name)))
	case ref == nil:
	case r.Volume != nil:
		errs = append(errs, field.Forbidden(at, "a volume needs no credentials: remove it"))
	case ref.Name == "":
		errs = append(errs, field.Required(at.Child("name"), "names a Secret with a key that ends in .conf"))
	default:
		errs = append(errs, validateObjectName(at.Child("name"), ref.Name)...)
	}
	return errs
}

// validateRestore checks whose data a server's new cluster is to have.
func validateRestore(server string, from *v1alpha1.RestoreSpec) field.ErrorList {
	if from == nil {
		return nil
	}
	path := perconaPath("restoreFrom")
	var errs field.ErrorList
	if (from.Cluster == nil) == (from.Repo == nil) {
		errs = append(errs, field.Invalid(path, "", "data comes from one place: set either restoreFrom.cluster or restoreFrom.repo"))
	}
	if c := from.Cluster; c != nil {
		errs = append(errs, validateRestoreCluster(path.Child("cluster"), server, *c)...)
	}
	if r := from.Repo; r != nil {
		at := path.Child("repo")
		errs = append(errs, validateRepo(restoredRepo(at, *r), "s3, gcs or azure")...)
		if !restorePath.MatchString(r.Path) {
			errs = append(errs, field.Invalid(at.Child("path"), r.Path, "must be an absolute path of letters, digits, '/', '.', '_' and '-'"))
		}
		if r.Volume != nil {
			errs = append(errs, field.Forbidden(at.Child("volume"), "a volume is read through the cluster that it belongs to: set restoreFrom.cluster"))
		}
	}
	if _, err := restoreOptions(path.Child("targetTime"), from.TargetTime); err != nil {
		errs = append(errs, err)
	}
	return errs
}

func validateRestoreCluster(path *field.Path, server string, c v1alpha1.RestoreCluster) field.ErrorList {
	errs := validateRepoName(path.Child("repo"), c.Repo)
	switch c.Name {
	case "":
		return append(errs, field.Required(path.Child("name"), "names a PerconaPGCluster that has backups"))
	case ClusterName(server):
		return append(errs, field.Invalid(path.Child("name"), c.Name, "a new cluster has no backups of its own yet: restore from another one, or from restoreFrom.repo with the path of a former one"))
	default:
		return append(errs, validateObjectName(path.Child("name"), c.Name)...)
	}
}

func validateRepoName(path *field.Path, name string) field.ErrorList {
	return validateEnum(path, name, "repo1", "repo2", "repo3", "repo4")
}

func validateSize(path *field.Path, size string) field.ErrorList {
	if size == "" {
		return field.ErrorList{field.Required(path, "how large the volume is to be, like 10Gi")}
	}
	if q, err := resource.ParseQuantity(size); err != nil || q.Sign() <= 0 {
		return field.ErrorList{field.Invalid(path, size, "must be a quantity greater than zero, like 10Gi")}
	}
	return nil
}

func validateRange(path *field.Path, n, from, to int32) field.ErrorList {
	if n < from || n > to {
		return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("must be %d to %d", from, to))}
	}
	return nil
}

func validateEnum[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// validateObjectName takes an empty name for none.
func validateObjectName(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return nil
	}
	messages := validation.IsDNS1123Subdomain(name)
	errs := make(field.ErrorList, 0, len(messages))
	for _, msg := range messages {
		errs = append(errs, field.Invalid(path, name, msg))
	}
	return errs
}
