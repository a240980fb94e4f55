package database

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/pkg/percona"
)

// composeCluster creates the cluster once it may, and keeps an existing one
// for good: only deleting the XR deletes it (R7).
func (p *Plan) composeCluster(srv *server.Server, seen *observed.State, blocked bool) error {
	p.UpToDate = condition.True(condition.TypeDatabaseUpToDate, condition.ReasonNotManaged, "No PostgreSQL cluster is composed for this server")
	if !seen.WantsDatabase() {
		return nil
	}

	live := seen.Cluster()
	enabled := *srv.Spec.Percona.Enabled
	keep := !*srv.Spec.Percona.DeleteWithServer
	owner, ownerKnown := seen.NamespaceOwner(live)

	// A cluster that survived an earlier server is only taken over when the
	// administrator's password is known: while it is not, the cluster is the
	// witness that a server has run on it (R4).
	survivor := live.Live() && !seen.Controlled(live)
	create := enabled && !p.Refused && live.Presence == observed.Absent && seen.PerconaServed && (ownerKnown || !keep)
	if (blocked && survivor) || (!live.Live() && (blocked || !create)) {
		p.hold(srv, live, enabled)

		return nil
	}

	wanted, err := wantedSpec(srv)
	if err != nil {
		return err
	}

	id := srv.Identity(server.KeyCluster)
	p.ClusterName = id.Name
	meta := map[string]any{
		"name":      id.Name,
		"namespace": srv.Namespace,
		"labels":    anyMap(srv.Labels("database")),
	}
	if keep && ownerKnown && owner != nil {
		meta["ownerReferences"] = []any{map[string]any{
			"apiVersion": *owner.APIVersion, "kind": *owner.Kind, "name": *owner.Name, "uid": string(*owner.UID),
		}}
	}
	if !keep {
		meta["finalizers"] = []any{percona.FinalizerDeletePVC}
	}

	spec := wanted.Spec
	var diffs []percona.Difference
	if live.Live() {
		policy := srv.Spec.Percona.UpdatePolicy
		if !enabled {
			policy = v1alpha1.UpdateOnCreate
		}
		spec, diffs = percona.Send(live.Content(), wanted, srv.XR.FieldManager(), policy)
		if policy == v1alpha1.UpdateOnCreate {
			// A view that went stale is to meet a conflict, not to revert what
			// somebody did in the meantime (R6).
			meta["uid"] = string(live.UID())
			meta["resourceVersion"] = live.ResourceVersion()
			dropEmpty(meta, "uid", "resourceVersion")
		}
		if !seen.Offline {
			p.reportOnDelete(live, keep)
		}
		p.Status.LastBackup = lastBackup(live)
	}
	if enabled {
		p.UpToDate = p.upToDate(live, diffs, srv)
	}

	content := map[string]any{"apiVersion": id.APIVersion, "kind": id.Kind, "metadata": meta}
	if len(spec) > 0 {
		content["spec"] = spec
	}
	p.objects = append(p.objects, desired.FromMap(id.Key, content, p.clusterReady(seen)))

	return nil
}

// hold the cluster back: it is neither created nor taken over yet.
func (p *Plan) hold(srv *server.Server, live observed.Object, enabled bool) {
	p.Held = enabled && !p.Refused
	if live.Presence != observed.Absent {
		p.ClusterName = srv.XR.ClusterName
	}
}

func wantedSpec(srv *server.Server) (percona.Wanted, error) {
	spec, err := percona.BuildPerconaPGClusterSpec(srv.Defaulted(), percona.WithImagePullSecrets(srv.Input.Defaults.ImagePullSecrets))
	if err != nil {
		return percona.Wanted{}, err
	}
	m, err := percona.Manifest(spec)

	return percona.Wanted{Spec: m, Defaults: srv.DatabaseDefaults}, errors.Wrap(err, "cannot build the spec of the PerconaPGCluster")
}

// clusterReady as far as the XR is concerned: a database pod that restarts is
// not an outage of a running server, and a cluster that no server uses is
// waited for by nobody (R15).
func (p *Plan) clusterReady(seen *observed.State) bool {
	typed := typedCluster(seen.Cluster())
	used := p.Kind == v1alpha1.DatabasePercona && !p.Refused || strings.HasPrefix(p.RunningID, observed.DatabasePercona+":")

	return percona.IsReady(typed) || (seen.StatefulSet().Live() && restarts(typed)) || (typed != nil && !used)
}

// reportOnDelete tells what deleting the XR does to the live cluster: Kubernetes
// keeps an object that has another owner than the one that is deleted (R7).
func (p *Plan) reportOnDelete(live observed.Object, keep bool) {
	p.Status.OnDelete = v1alpha1.OnDeleteDelete
	if _, retained := live.NamespaceOwner(); retained {
		p.Status.OnDelete = v1alpha1.OnDeleteRetain
	}

	want := v1alpha1.OnDeleteDelete
	if keep {
		want = v1alpha1.OnDeleteRetain
	}
	if p.Status.OnDelete != want {
		p.UpToDate = condition.False(condition.TypeDatabaseUpToDate, condition.ReasonOnDeleteDiffers, fmt.Sprintf(
			"spec.percona.deleteWithServer asks for %s, but deleting this server would %s PerconaPGCluster %s as it is now: wait a moment; if this stays, remove or add the ownerReference to the Namespace on it",
			want, strings.ToLower(string(p.Status.OnDelete)), live.Name()))
	}
}

func (p *Plan) upToDate(live observed.Object, diffs []percona.Difference, srv *server.Server) condition.Condition {
	name := srv.Identity(server.KeyCluster).Name
	if p.UpToDate.Reason != condition.ReasonOnDeleteDiffers {
		p.UpToDate = condition.True(condition.TypeDatabaseUpToDate, condition.ReasonMatches, "PerconaPGCluster "+name+" is as the spec asks")
	}
	if !live.Live() {
		p.UpToDate.Message = "PerconaPGCluster " + name + " is created as the spec asks"

		return p.UpToDate
	}
	if len(diffs) == 0 {
		return p.UpToDate
	}

	reason := condition.ReasonSpecDiffers
	if slices.ContainsFunc(diffs, func(d percona.Difference) bool { return d.Refused }) {
		reason = condition.ReasonChangeRefused
	}
	texts := make([]string, 0, len(diffs)+1)
	for _, d := range diffs {
		have := d.Have
		if have == "" {
			have = "nothing"
		}
		texts = append(texts, fmt.Sprintf("%s: asked for %s, has %s (%s)", d.Path, d.Want, have, d.Remedy))
	}
	if p.UpToDate.Reason == condition.ReasonOnDeleteDiffers {
		texts = append(texts, p.UpToDate.Message)
	}

	return condition.False(condition.TypeDatabaseUpToDate, reason, "PerconaPGCluster "+name+" differs from the spec: "+strings.Join(texts, "; "))
}

// lastBackup is when the newest backup of a live cluster completed, RFC 3339.
func lastBackup(live observed.Object) string {
	var last string
	for _, b := range live.Items("status", "pgbackrest", "scheduledBackups") {
		last = max(last, b.Text("completionTime"))
	}

	return max(last, live.Text("status", "pgbackrest", "manualBackup", "completionTime"))
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}

	return out
}

func dropEmpty(m map[string]any, names ...string) {
	for _, n := range names {
		if m[n] == "" {
			delete(m, n)
		}
	}
}
