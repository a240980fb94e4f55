package percona

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	"github.com/robfig/cron/v3"
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
func backups(ds *v1alpha1.DittoServer, p v1alpha1.PerconaSpec, image string) (pgv2.Backups, error) {
	if !*p.Backup.Enabled {
		return pgv2.Backups{Enabled: new(false), PGBackRest: pgv2.PGBackRestArchive{Image: image}}, nil
	}
	repos, err := repositories(ds, p)
	if err != nil {
		return pgv2.Backups{}, err
	}

	archive := pgv2.PGBackRestArchive{Image: image, Global: map[string]string{}}
	for _, r := range repos {
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
	return pgv2.Backups{Enabled: new(true), PGBackRest: archive}, nil
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

// repositories that backups go to.
func repositories(ds *v1alpha1.DittoServer, p v1alpha1.PerconaSpec) ([]repository, error) {
	path := perconaPath("backup")
	b := p.Backup
	switch {
	case len(b.Repos) == 0:
		r, err := flatRepository(ds, b)
		return []repository{r}, err
	case b.Bucket != "":
		return nil, field.Forbidden(path.Child("repos"), "bucket is short for a first repository: set either bucket or repos, not both")
	}

	var out []repository
	names := map[string]bool{}
	for i, r := range b.Repos {
		at := path.Child("repos").Index(i)
		if names[r.Name] {
			return nil, field.Duplicate(at.Child("name"), r.Name)
		}
		names[r.Name] = true

		built, err := scheduledRepository(ds, p, at, r)
		if err != nil {
			return nil, err
		}
		out = append(out, built)
	}
	return out, nil
}

// identityOfPods has pgBackRest use their service account's.
const identityOfPods = "web-id"

// flatRepository is what the flat fields say.
func flatRepository(ds *v1alpha1.DittoServer, b v1alpha1.BackupSpec) (repository, error) {
	path := perconaPath("backup")
	if b.Bucket == "" {
		return repository{}, field.Required(path.Child("bucket"), "backups need a bucket, or repos")
	}
	l := v1alpha1.RepoLocation{
		S3:                   &v1alpha1.S3Location{Bucket: b.Bucket, Endpoint: b.Endpoint, Region: b.Region},
		CredentialsSecretRef: b.CredentialsSecretRef,
	}
	if err := validateCredentials(path, firstRepo, l); err != nil {
		return repository{}, err
	}

	r := repository{
		repo:        crunchy.PGBackRestRepo{Name: firstRepo, S3: s3(*l.S3)},
		options:     s3Options(firstRepo),
		credentials: b.CredentialsSecretRef,
	}
	r.options[firstRepo+suffixPath] = backupPath(ds, firstRepo)
	if r.credentials == nil {
		r.options[firstRepo+"-s3-key-type"] = identityOfPods
	}
	for _, when := range []struct{ name, expr string }{{"fullSchedule", b.FullSchedule}, {"incrSchedule", b.IncrSchedule}} {
		if _, err := parseSchedule(path.Child(when.name), when.expr); err != nil {
			return repository{}, err
		}
	}
	r.schedule(b.FullSchedule, b.IncrSchedule)
	err := r.retain(path, *b.RetentionDays)
	return r, err
}

// scheduledRepository is one of repos.
func scheduledRepository(ds *v1alpha1.DittoServer, p v1alpha1.PerconaSpec, path *field.Path, b v1alpha1.BackupRepo) (repository, error) {
	r, err := located(path, b.Name, b.RepoLocation, p.StorageClassName)
	if err != nil {
		return repository{}, err
	}
	if r.repo.Volume == nil {
		// A volume is mounted where the operator wants it, /pgbackrest/<name>.
		r.options[b.Name+suffixPath] = backupPath(ds, b.Name)
	}
	full, incr, err := schedules(path, b)
	if err != nil {
		return repository{}, err
	}
	r.schedule(full, incr)
	err = r.retain(path, ptr.Deref(b.RetentionDays, defaultRetentionDays))
	return r, err
}

// schedule backups; an empty schedule is none.
func (r *repository) schedule(full, incr string) {
	r.repo.BackupSchedules = &crunchy.PGBackRestBackupSchedules{Full: &full}
	if incr != "" {
		r.repo.BackupSchedules.Incremental = &incr
	}
}

// retain backups and WAL for that many days. Without a retention they are kept
// for ever.
func (r *repository) retain(path *field.Path, days int32) error {
	if days < 1 || days > maxRetentionDays {
		return field.Invalid(path.Child("retentionDays"), days, fmt.Sprintf("must be between 1 and %d", maxRetentionDays))
	}
	r.options[r.repo.Name+"-retention-full"] = strconv.Itoa(int(days))
	r.options[r.repo.Name+"-retention-full-type"] = "time"
	return nil
}

// located returns a repository that is in exactly one place, with the options
// that reach it. class is that of a volume that has none of its own.
func located(path *field.Path, name string, l v1alpha1.RepoLocation, class *string) (repository, error) {
	if !isRepo(name) {
		return repository{}, field.NotSupported(path.Child("name"), name, []string{"repo1", "repo2", "repo3", "repo4"})
	}
	if places(l) != 1 {
		return repository{}, field.Invalid(path, name, "a repository is in exactly one place: set one of s3, gcs, azure and volume")
	}
	if err := validatePlace(path, name, l); err != nil {
		return repository{}, err
	}

	// Without credentials the identity of the pods' service account is used.
	r := repository{repo: crunchy.PGBackRestRepo{Name: name}, options: map[string]string{}, credentials: l.CredentialsSecretRef}
	switch {
	case l.S3 != nil:
		r.repo.S3, r.options = s3(*l.S3), s3Options(name)
		if r.credentials == nil {
			r.options[name+"-s3-key-type"] = identityOfPods
		}
	case l.GCS != nil:
		r.repo.GCS = &crunchy.RepoGCS{Bucket: l.GCS.Bucket}
		if r.credentials == nil {
			r.options[name+"-gcs-key-type"] = "auto"
		}
	case l.Azure != nil:
		r.repo.Azure = &crunchy.RepoAzure{Container: l.Azure.Container}
	default:
		if l.Volume.StorageClassName != nil && *l.Volume.StorageClassName != "" {
			class = l.Volume.StorageClassName
		}
		claim, err := volumeClaim(path.Child("volume", "size"), l.Volume.Size, class)
		if err != nil {
			return repository{}, err
		}
		r.repo.Volume = &crunchy.RepoPVC{VolumeClaimSpec: claim}
	}
	return r, nil
}

func places(l v1alpha1.RepoLocation) int {
	n := 0
	for _, is := range []bool{l.S3 != nil, l.GCS != nil, l.Azure != nil, l.Volume != nil} {
		if is {
			n++
		}
	}
	return n
}

// validatePlace checks what goes into pgBackRest's configuration, line by line.
func validatePlace(path *field.Path, name string, l v1alpha1.RepoLocation) error {
	type line struct {
		path     *field.Path
		value    string
		required bool
	}
	var lines []line
	switch {
	case l.S3 != nil:
		lines = []line{{path.Child("s3", "bucket"), l.S3.Bucket, true}, {path.Child("s3", "endpoint"), l.S3.Endpoint, false}, {path.Child("s3", "region"), l.S3.Region, false}}
	case l.GCS != nil:
		lines = []line{{path.Child("gcs", "bucket"), l.GCS.Bucket, true}}
	case l.Azure != nil:
		lines = []line{{path.Child("azure", "container"), l.Azure.Container, true}}
	}
	for _, l := range lines {
		if l.required && l.value == "" {
			return field.Required(l.path, "backups need a place to go to")
		}
		if !isOneLine(l.value) {
			return field.Invalid(l.path, l.value, "must be one line")
		}
	}
	return validateCredentials(path, name, l)
}

func validateCredentials(path *field.Path, name string, l v1alpha1.RepoLocation) error {
	at, ref := path.Child("credentialsSecretRef"), l.CredentialsSecretRef
	switch {
	case ref != nil && l.Volume != nil:
		return field.Forbidden(at, "a volume needs no credentials: remove it")
	case ref != nil && ref.Name == "":
		return field.Required(at.Child("name"), "names a Secret with a key that ends in .conf")
	case ref == nil && l.Azure != nil:
		return field.Required(at, fmt.Sprintf("Azure needs to know the storage account: name a Secret with a key that ends in .conf, with %[1]s-azure-account, and %[1]s-azure-key or %[1]s-azure-key-type", name))
	default:
		return nil
	}
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

// schedules of a repository's backups: the chosen ones, else those that come
// with its number. One backup of a cluster runs at a time, so each repository
// has a quarter of an hour to itself, and an hour with full backups has no
// incremental ones. Where full backups run in every hour there are none at all.
func schedules(path *field.Path, b v1alpha1.BackupRepo) (full, incr string, err error) {
	const quarter = 15
	minute := quarter * int(b.Name[len(b.Name)-1]-'1')

	full = b.FullSchedule
	if full == "" {
		full = fmt.Sprintf("%d 2 * * *", minute)
	}
	when, err := parseSchedule(path.Child("fullSchedule"), full)
	if err != nil {
		return "", "", err
	}

	if b.IncrSchedule != "" {
		_, err = parseSchedule(path.Child("incrSchedule"), b.IncrSchedule)
		return full, b.IncrSchedule, err
	}
	if hours := hoursWithout(when.Hour); hours != "" {
		incr = fmt.Sprintf("%d %s * * *", minute, hours)
	}
	return full, incr, nil
}

// parseSchedule reads what the operator reads, but for intervals like
// @every 1h, at which it panics (percona v2.9.0
// percona/controller/pgcluster/cron.go).
func parseSchedule(path *field.Path, expr string) (*cron.SpecSchedule, error) {
	const want = "must be a cron expression of five fields, like 0 2 * * *"

	s, err := cron.ParseStandard(expr)
	if err != nil {
		return nil, field.Invalid(path, expr, want+": "+err.Error())
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, field.Invalid(path, expr, want)
	}
	return spec, nil
}

// hoursWithout returns the hours of a day without those in a set of bits, as
// cron writes them: 0-1,3-23.
func hoursWithout(taken uint64) string {
	const day = 24

	var ranges []string
	for from := 0; from < day; from++ {
		if taken&(1<<from) != 0 {
			continue
		}
		to := from
		for to+1 < day && taken&(1<<(to+1)) == 0 {
			to++
		}
		if to == from {
			ranges = append(ranges, strconv.Itoa(from))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", from, to))
		}
		from = to
	}
	return strings.Join(ranges, ",")
}
