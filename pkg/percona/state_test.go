package percona

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestState(t *testing.T) {
	in := func(s pgv2.AppState) *pgv2.PerconaPGCluster {
		return &pgv2.PerconaPGCluster{Status: pgv2.PerconaPGClusterStatus{State: s}}
	}
	deleted := in(pgv2.AppStateReady)
	deleted.DeletionTimestamp = new(metav1.Unix(1, 0))

	type want struct {
		State pgv2.AppState
		Ready bool
	}
	cases := map[string]struct {
		reason  string
		cluster *pgv2.PerconaPGCluster
		want    want
	}{
		"None":         {reason: "No cluster is not ready.", want: want{"", false}},
		"NoStatus":     {reason: "Before the first status nothing is known.", cluster: in(""), want: want{"", false}},
		"Initializing": {reason: "A cluster on its way is not ready.", cluster: in(pgv2.AppStateInit), want: want{"initializing", false}},
		"Paused":       {reason: "A paused cluster is not ready.", cluster: in(pgv2.AppStatePaused), want: want{"paused", false}},
		"Stopping":     {reason: "A stopping cluster is not ready.", cluster: in(pgv2.AppStateStopping), want: want{"stopping", false}},
		"Ready":        {reason: "Ready is ready.", cluster: in(pgv2.AppStateReady), want: want{"ready", true}},
		"Deleted":      {reason: "A cluster that is being deleted stays in the state ready.", cluster: deleted, want: want{"ready", false}},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := want{GetState(tc.cluster), IsReady(tc.cluster)}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nGetState(...), IsReady(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
