package percona

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

const (
	// firstRepo is the repository that the API's flat fields are short for.
	firstRepo = "repo1"
	// suffixPath makes of a repository's name the pgBackRest option that says
	// where in it a cluster's backups are.
	suffixPath = "-path"

	defaultRegion        = "eu-west-1"
	defaultRetentionDays = 7
)

// backups returns the section of that name. The image is wanted by the
// operator even while backups are off (percona v2.9.0 VerifyImageValues), and
// enabled must be false in so many words, or a repository is.
func backups(ds *v1alpha1.DittoServer, p v1alpha1.PerconaSpec, image string) pgv2.Backups {
	if !*p.Backup.Enabled {
		return pgv2.Backups{Enabled: new(false), PGBackRest: pgv2.PGBackRestArchive{Image: image}}
	}

	archive := pgv2.PGBackRestArchive{Image: image, Global: map[string]string{}}
	repos := wantedRepos(p.Backup)
	tables, _ := timetables(repos) // Validate has said what is wrong with them.
	for i, wanted := range repos {
		r := located(wanted, p.StorageClassName)
		if r.repo.Volume == nil {
			// A volume is mounted where the operator wants it, /pgbackrest/<name>.
			r.options[wanted.Name+suffixPath] = backupPath(ds, wanted.Name)
		}
		r.schedule(tables[i])
		r.retain(ptr.Deref(wanted.RetentionDays, defaultRetentionDays))

		archive.Repos = append(archive.Repos, r.repo)
		maps.Copy(archive.Global, r.options)
		if r.credentials != nil && !slices.ContainsFunc(archive.Configuration, func(v corev1.VolumeProjection) bool { return v.Secret.Name == r.credentials.Name }) {
			archive.Configuration = append(archive.Configuration, projection(r.credentials))
		}
	}
	if pods := placementOf(p.Scheduling); !pods.isZero() {
		archive.RepoHost = &crunchy.PGBackRestRepoHost{Affinity: pods.affinity, Tolerations: pods.tolerations, PriorityClassName: pods.priorityClassName}
		archive.Jobs = &crunchy.BackupJobs{Affinity: pods.affinity, Tolerations: pods.tolerations, PriorityClassName: pods.priorityClassName}
	}
	return pgv2.Backups{Enabled: new(true), PGBackRest: archive}
}

// projection of a Secret's keys, of which pgBackRest reads those that end in
// .conf.
func projection(ref *v1alpha1.LocalSecretRef) corev1.VolumeProjection {
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{
		LocalObjectReference: corev1.LocalObjectReference{Name: ref.Name},
	}}
}

// A repository is one as the operator knows it, with what is said about it
// elsewhere.
type repository struct {
	repo        crunchy.PGBackRestRepo
	options     map[string]string // Of pgBackRest, for its global section.
	credentials *v1alpha1.LocalSecretRef
}

// A wantedRepo is a repository as the DittoServer asks for it.
type wantedRepo struct {
	v1alpha1.BackupRepo

	path *field.Path
	flat bool // The fields of s3 are those of path itself.
}

// wantedRepos that backups go to: those of repos, or the first one, which the
// flat fields are short for.
func wantedRepos(b v1alpha1.BackupSpec) []wantedRepo {
	path := perconaPath("backup")
	if len(b.Repos) > 0 {
		repos := make([]wantedRepo, len(b.Repos))
		for i, r := range b.Repos {
			repos[i] = wantedRepo{BackupRepo: r, path: path.Child("repos").Index(i)}
		}
		return repos
	}

	r := v1alpha1.BackupRepo{
		Name: firstRepo,
		RepoLocation: v1alpha1.RepoLocation{
			S3:                   &v1alpha1.S3Location{Bucket: b.Bucket, Endpoint: b.Endpoint, Region: b.Region},
			CredentialsSecretRef: b.CredentialsSecretRef,
		},
		FullSchedule:  b.FullSchedule,
		IncrSchedule:  b.IncrSchedule,
		RetentionDays: b.RetentionDays,
	}
	if r.IncrSchedule == defaultIncrSchedule {
		r.IncrSchedule = ""
	}
	return []wantedRepo{{BackupRepo: r, path: path, flat: true}}
}

// identityOfPods has pgBackRest use their service account's.
const identityOfPods = "web-id"

// schedule backups.
func (r *repository) schedule(table timetable) {
	r.repo.BackupSchedules = &crunchy.PGBackRestBackupSchedules{Full: &table.full.expr}
	if table.incr != nil {
		r.repo.BackupSchedules.Incremental = &table.incr.expr
	}
}

// retain backups and WAL for that many days. Without a retention they are kept
// for ever.
func (r *repository) retain(days int32) {
	r.options[r.repo.Name+"-retention-full"] = strconv.Itoa(int(days))
	r.options[r.repo.Name+"-retention-full-type"] = "time"
}

// located returns a repository where it is wanted, with the options that reach
// it. class is that of a volume that has none of its own.
func located(wanted wantedRepo, class *string) repository {
	// Without credentials the identity of the pods' service account is used.
	name := wanted.Name
	r := repository{repo: crunchy.PGBackRestRepo{Name: name}, options: map[string]string{}, credentials: wanted.CredentialsSecretRef}
	switch {
	case wanted.S3 != nil:
		r.repo.S3, r.options = s3(*wanted.S3), s3Options(name)
		if r.credentials == nil {
			r.options[name+"-s3-key-type"] = identityOfPods
		}
	case wanted.GCS != nil:
		r.repo.GCS = &crunchy.RepoGCS{Bucket: wanted.GCS.Bucket}
		if r.credentials == nil {
			r.options[name+"-gcs-key-type"] = "auto"
		}
	case wanted.Azure != nil:
		r.repo.Azure = &crunchy.RepoAzure{Container: wanted.Azure.Container}
	default:
		if own := wanted.Volume.StorageClassName; own != nil && *own != "" {
			class = own
		}
		r.repo.Volume = &crunchy.RepoPVC{VolumeClaimSpec: volumeClaim(wanted.Volume.Size, class)}
	}
	return r
}

func s3(l v1alpha1.S3Location) *crunchy.RepoS3 {
	if l.Region == "" {
		l.Region = defaultRegion
	}
	if l.Endpoint == "" {
		l.Endpoint = "s3." + l.Region + ".amazonaws.com"
	}
	return &crunchy.RepoS3{Bucket: l.Bucket, Endpoint: l.Endpoint, Region: l.Region}
}

func s3Options(repo string) map[string]string {
	return map[string]string{
		repo + "-s3-uri-style":       "path",
		repo + "-storage-verify-tls": "y",
	}
}

// isRepo tells what a repository may be called.
func isRepo(name string) bool {
	number, ok := strings.CutPrefix(name, "repo")
	return ok && len(number) == 1 && number[0] >= '1' && number[0] <= '4'
}

// backupPath returns where in a repository a new cluster's backups go. The
// namespace and the UID keep it apart from every other cluster, a former one of
// the same name included: pgBackRest refuses to write to a foreign one's
// stanza.
func backupPath(ds *v1alpha1.DittoServer, repo string) string {
	name := ds.GetName()
	if uid := string(ds.GetUID()); uid != "" {
		name += "-" + uid[:min(len(uid), 8)]
	}
	return "/pgbackrest/" + ds.GetNamespace() + "/" + name + "/" + repo
}
