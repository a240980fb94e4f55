package database

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// BackupProblems are with the Secrets that backups are made with. The server
// does without: nothing is held back for them.
func BackupProblems(srv *server.Server, seen *observed.State) []condition.Problem {
	var problems []condition.Problem
	for _, ref := range srv.BackupCredentials() {
		without := "no backup is made without"
		if ref.Restore {
			if srv.XR.EverReady || percona.IsReady(typedCluster(seen.Cluster())) {
				continue // It has been read, or never will be.
			}
			without = "the cluster cannot be filled without"
		}
		secret := seen.Secret(ref.Name)
		where := fmt.Sprintf("%s (%s)", observed.Describe(ref.Kind, srv.Namespace, ref.Name), ref.Path)
		switch {
		case secret.Presence == observed.Absent:
			problems = append(problems, condition.Problem{Reason: condition.ReasonSecretNotFound, Message: where + " is not there, and " + without + ": create it with a key that ends in .conf"})
		case secret.Live() && !slices.ContainsFunc(secret.Keys("data"), isConf):
			problems = append(problems, condition.Problem{Reason: condition.ReasonSecretKeyMissing, Message: where + " has no key that ends in .conf, and pgBackRest reads no other: add one with the options of the repository"})
		}
	}

	return problems
}

// isConf tells whether pgBackRest includes a file of that name (percona v2.9.0
// mounts the Secret at /etc/pgbackrest/conf.d).
func isConf(key string) bool { return strings.HasSuffix(key, ".conf") }
