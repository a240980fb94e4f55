package percona

import (
	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
)

// GetState returns what the operator says about a cluster: initializing,
// ready, stopping, paused, or "" before it has said anything.
func GetState(c *pgv2.PerconaPGCluster) pgv2.AppState {
	if c == nil {
		return ""
	}
	return c.Status.State
}

// IsReady tells whether a cluster may be started on. One that is being deleted
// is not ready, whatever its state: the operator stops updating it (percona
// v2.9.0 percona/controller/pgcluster/controller.go).
func IsReady(c *pgv2.PerconaPGCluster) bool {
	return GetState(c) == pgv2.AppStateReady && c.GetDeletionTimestamp() == nil
}
