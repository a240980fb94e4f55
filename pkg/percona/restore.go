package percona

import (
	"regexp"
	"time"

	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// stanza is what the operator calls a cluster in a repository (percona v2.9.0
// internal/pgbackrest/config.go, DefaultStanzaName).
const stanza = "db"

const restorePathPattern = `^/[A-Za-z0-9/._-]*$`

var restorePath = regexp.MustCompile(restorePathPattern)

// dataSource returns whose data a new cluster is filled with, or nil.
func dataSource(ds *v1alpha1.DittoServer, p v1alpha1.PerconaSpec) (*crunchy.DataSource, error) {
	if p.RestoreFrom == nil {
		return nil, nil //nolint:nilnil // An empty cluster is no error.
	}
	path, from := perconaPath("restoreFrom"), *p.RestoreFrom
	if (from.Cluster != nil) == (from.Repo != nil) {
		return nil, field.Invalid(path, "", "data comes from one place: set either cluster or repo")
	}
	options, err := restoreOptions(path.Child("targetTime"), from.TargetTime)
	if err != nil {
		return nil, err
	}

	pods := placementOf(p.Scheduling)
	if from.Cluster != nil {
		at := path.Child("cluster")
		switch {
		case from.Cluster.Name == "":
			return nil, field.Required(at.Child("name"), "names a PerconaPGCluster that has backups")
		case from.Cluster.Name == ClusterName(ds.GetName()):
			return nil, field.Invalid(at.Child("name"), from.Cluster.Name, "a new cluster has no backups of its own yet: restore from another one, or from restoreFrom.repo with the path of a former one")
		case !isRepo(from.Cluster.Repo):
			return nil, field.NotSupported(at.Child("repo"), from.Cluster.Repo, []string{"repo1", "repo2", "repo3", "repo4"})
		}
		return &crunchy.DataSource{PostgresCluster: &crunchy.PostgresClusterDataSource{
			ClusterName:       from.Cluster.Name,
			RepoName:          from.Cluster.Repo,
			Options:           options,
			Affinity:          pods.affinity,
			Tolerations:       pods.tolerations,
			PriorityClassName: pods.priorityClassName,
		}}, nil
	}

	at := path.Child("repo")
	switch {
	case from.Repo.Volume != nil:
		return nil, field.Forbidden(at.Child("volume"), "a volume is read through the cluster that it belongs to: set restoreFrom.cluster")
	case !restorePath.MatchString(from.Repo.Path):
		return nil, field.Invalid(at.Child("path"), from.Repo.Path, "must be an absolute path and match "+restorePathPattern)
	}
	r, err := located(at, from.Repo.Name, from.Repo.RepoLocation, nil)
	if err != nil {
		return nil, err
	}
	r.options[r.repo.Name+suffixPath] = from.Repo.Path

	source := &crunchy.PGBackRestDataSource{
		Stanza:            stanza,
		Repo:              r.repo,
		Global:            r.options,
		Options:           options,
		Affinity:          pods.affinity,
		Tolerations:       pods.tolerations,
		PriorityClassName: pods.priorityClassName,
	}
	if r.credentials != nil {
		source.Configuration = []corev1.VolumeProjection{projection(r.credentials)}
	}
	return &crunchy.DataSource{PGBackRest: source}, nil
}

// restoreOptions returns the options of pgBackRest that restore the state of a
// moment, none for the newest state.
//
// The operator joins options with blanks and has a shell read the line (percona
// v2.9.0 internal/pgbackrest/config.go, RestoreCommand), so the time, in which
// pgBackRest wants a blank, is quoted; and as it is written anew from what was
// read, nothing else can be in it.
func restoreOptions(path *field.Path, target string) ([]string, error) {
	if target == "" {
		return nil, nil
	}
	t, err := time.Parse(time.RFC3339, target)
	if err != nil {
		return nil, field.Invalid(path, target, "must be a time of RFC 3339, like 2026-05-01T12:00:00Z")
	}
	// PostgreSQL's times have microseconds.
	return []string{"--type=time", `--target="` + t.UTC().Format("2006-01-02 15:04:05.999999") + `+00"`}, nil
}
