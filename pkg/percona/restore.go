package percona

import (
	"time"

	crunchy "github.com/percona/percona-postgresql-operator/v2/pkg/apis/postgres-operator.crunchydata.com/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// stanza is what the operator calls a cluster in a repository (percona v2.9.0
// internal/pgbackrest/config.go, DefaultStanzaName).
const stanza = "db"

// dataSource returns whose data a new cluster is filled with, or nil.
func dataSource(p v1alpha1.PerconaSpec) *crunchy.DataSource {
	if p.RestoreFrom == nil {
		return nil
	}
	from, pods := *p.RestoreFrom, placementOf(p.Scheduling)
	options, _ := restoreOptions(perconaPath("restoreFrom", "targetTime"), from.TargetTime) // Validate has said what is wrong with it.
	if from.Cluster != nil {
		return &crunchy.DataSource{PostgresCluster: &crunchy.PostgresClusterDataSource{
			ClusterName:       from.Cluster.Name,
			RepoName:          from.Cluster.Repo,
			Options:           options,
			Affinity:          pods.affinity,
			Tolerations:       pods.tolerations,
			PriorityClassName: pods.priorityClassName,
		}}
	}

	r := located(restoredRepo(perconaPath("restoreFrom", "repo"), *from.Repo), nil)
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
	return &crunchy.DataSource{PGBackRest: source}
}

// restoredRepo is a repository to restore from, which is asked for like one that
// backups go to.
func restoredRepo(path *field.Path, r v1alpha1.RestoreRepo) wantedRepo {
	return wantedRepo{BackupRepo: v1alpha1.BackupRepo{Name: r.Name, RepoLocation: r.RepoLocation}, path: path}
}

// restoreOptions returns the options of pgBackRest that restore the state of a
// moment, none for the newest state.
//
// The operator joins options with blanks and has a shell read the line (percona
// v2.9.0 internal/pgbackrest/config.go, RestoreCommand), so the time, in which
// pgBackRest wants a blank, is quoted; and as it is written anew from what was
// read, nothing else can be in it.
func restoreOptions(path *field.Path, target string) ([]string, *field.Error) {
	if target == "" {
		return nil, nil
	}
	t, err := time.Parse(time.RFC3339, target)
	if err != nil || t.Year() < firstYear {
		return nil, field.Invalid(path, target, "must be a time of RFC 3339, like 2026-05-01T12:00:00Z")
	}
	// PostgreSQL's times have microseconds.
	return []string{"--type=time", `--target="` + t.UTC().Format("2006-01-02 15:04:05.999999") + `+00"`}, nil
}
