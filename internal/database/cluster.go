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

	live, id := seen.Cluster(), srv.Identity(server.KeyCluster)
	if !p.composes(srv, seen, live, blocked) {
		p.hold(srv, live)

		return nil
	}
	p.ClusterName = id.Name

	wanted, err := wantedSpec(srv)
	if err != nil {
		return err
	}
	if !live.Live() && Survived(srv, seen) {
		// It is created on the volumes that are left: a restore would write
		// over them.
		delete(wanted.Spec, "dataSource")
	}
	metadata := clusterMetadata(srv, seen, live)
	content := map[string]any{"apiVersion": id.APIVersion, "kind": id.Kind, "metadata": metadata}
	spec, diffs := wanted.Spec, []percona.Difference(nil)
	if live.Live() {
		spec, diffs = percona.Send(live.Applied(), wanted, srv.XR.FieldManager(), p.updatePolicy(srv))
		p.Status.LastBackup = lastBackup(live)
	}
	if len(spec) > 0 {
		content["spec"] = spec
	}
	p.objects = append(p.objects, desired.FromMap(id.Key, content, p.clusterReady(seen)))
	p.reportUpToDate(srv, seen, live, diffs)

	return nil
}

// composes tells whether the cluster is composed: it is ours already, or it may
// be created now.
func (p *Plan) composes(srv *server.Server, seen *observed.State, live observed.Object, blocked bool) bool {
	if live.Live() {
		// One that survived an earlier server is only taken over when the
		// administrator's password is known: while it is not, the cluster is
		// the witness that a server has run on it (R4).
		return !blocked || seen.Controlled(live)
	}
	_, ownerKnown := seen.NamespaceOwner(live)
	outlives := !*srv.Spec.Percona.DeleteWithServer

	return *srv.Spec.Percona.Enabled && !p.Refused && !blocked &&
		live.Presence == observed.Absent && seen.PerconaServed && (ownerKnown || !outlives) &&
		userSecret(srv, seen).Presence != observed.Unknown && missingClass(srv, seen) == ""
}

// Survived tells that a cluster of this name has held data before: it was
// ready, or its user's Secret is left, which stays as its volumes do.
func Survived(srv *server.Server, seen *observed.State) bool {
	return srv.XR.EverReady || userSecret(srv, seen).Live()
}

func userSecret(srv *server.Server, seen *observed.State) observed.Secret {
	return seen.Secret(percona.SecretName(srv.Name))
}

// missingClass is a StorageClass that the cluster's volumes are to be claimed
// from and that does not exist, or empty. A claim cannot be corrected; those of
// a cluster that has survived are there already.
func missingClass(srv *server.Server, seen *observed.State) string {
	if Survived(srv, seen) {
		return ""
	}
	for _, name := range srv.StorageClasses(false, true) {
		if !seen.StorageClass(&name) {
			return name
		}
	}

	return ""
}

// clusterMetadata follows the XR, whatever becomes of the spec: the second
// owner keeps the cluster when the XR is deleted, the finalizer takes its
// volumes along (R7).
func clusterMetadata(srv *server.Server, seen *observed.State, live observed.Object) map[string]any {
	id := srv.Identity(server.KeyCluster)
	labels := map[string]any{}
	for name, value := range srv.Labels("database") {
		labels[name] = value
	}
	metadata := map[string]any{"name": id.Name, "namespace": srv.Namespace, "labels": labels}

	if *srv.Spec.Percona.DeleteWithServer {
		metadata["finalizers"] = []any{percona.FinalizerDeletePVC}
	} else if owner, ok := seen.NamespaceOwner(live); ok && owner != nil {
		metadata["ownerReferences"] = []any{map[string]any{
			"apiVersion": *owner.APIVersion, "kind": *owner.Kind, "name": *owner.Name, "uid": string(*owner.UID),
		}}
	}
	if live.ResourceVersion() != "" {
		// A view that went stale is to meet a conflict, not to revert what
		// somebody did in the meantime, a major upgrade above all (R6). The uid
		// says no more than that, and must not be sent: Crossplane puts it into
		// the XR's references, whose schema does not know it, and composes
		// nothing any more (crossplane v2.4.0 UpdateResourceRefs).
		metadata["resourceVersion"] = live.ResourceVersion()
	}

	return metadata
}

// updatePolicy of a live cluster. One that is no longer asked for is left to
// the user, and one that a server runs on is not led elsewhere by an edit that
// was refused, or may have to be: its user Secret would follow (R22).
func (p *Plan) updatePolicy(srv *server.Server) v1alpha1.UpdatePolicy {
	if !*srv.Spec.Percona.Enabled || p.Refused || p.uncertain {
		return v1alpha1.UpdateOnCreate
	}

	return srv.Spec.Percona.UpdatePolicy
}

// hold the cluster back: it is neither created nor taken over yet.
func (p *Plan) hold(srv *server.Server, live observed.Object) {
	p.Held = *srv.Spec.Percona.Enabled && !p.Refused
	if live.Presence != observed.Absent {
		p.ClusterName = srv.XR.ClusterName
	}
}

func wantedSpec(srv *server.Server) (percona.Wanted, error) {
	ds := srv.Defaulted()
	spec, err := percona.BuildPerconaPGClusterSpec(ds, percona.WithImagePullSecrets(srv.Input.Defaults.ImagePullSecrets))
	if err != nil {
		return percona.Wanted{}, err
	}
	m, err := percona.Manifest(spec)
	// A default that is overridden is somebody's choice.
	defaults := slices.DeleteFunc(slices.Clone(srv.DatabaseDefaults), func(path string) bool { return percona.Overrides(ds, path) })

	return percona.Wanted{Spec: m, Defaults: defaults}, errors.Wrap(err, "cannot build the spec of the PerconaPGCluster")
}

// clusterReady as far as the XR is concerned: a database pod that restarts is
// not an outage of a running server, and a cluster that no server uses is
// waited for by nobody (R15).
func (p *Plan) clusterReady(seen *observed.State) bool {
	typed := typedCluster(seen.Cluster())
	used := p.Kind == v1alpha1.DatabasePercona && !p.Refused || strings.HasPrefix(p.RunningID, observed.DatabasePercona+":")

	return percona.IsReady(typed) || (seen.StatefulSet().Live() && restarts(typed)) || (typed != nil && !used)
}

// reportUpToDate tells a person what is asked for and not so.
func (p *Plan) reportUpToDate(srv *server.Server, seen *observed.State, live observed.Object, diffs []percona.Difference) {
	name := srv.Identity(server.KeyCluster).Name
	onDelete := ""
	if live.Live() && !seen.Offline {
		onDelete = p.onDelete(srv, live)
	}

	texts := make([]string, 0, len(diffs)+1)
	reason := condition.ReasonSpecDiffers
	for _, d := range diffs {
		texts = append(texts, fmt.Sprintf("%s: asked for %s, has %s (%s)", d.Path, orNothing(d.Want), orNothing(d.Have), d.Remedy))
		if d.Refused {
			reason = condition.ReasonChangeRefused
		}
	}

	enabled := *srv.Spec.Percona.Enabled
	switch {
	case enabled && len(texts) > 0:
		if onDelete != "" {
			texts = append(texts, onDelete)
		}
		p.UpToDate = condition.False(condition.TypeDatabaseUpToDate, reason, "PerconaPGCluster "+name+" differs from the spec: "+strings.Join(texts, "; "))
	case onDelete != "":
		p.UpToDate = condition.False(condition.TypeDatabaseUpToDate, condition.ReasonOnDeleteDiffers, onDelete)
	case enabled && live.Live():
		p.UpToDate = condition.True(condition.TypeDatabaseUpToDate, condition.ReasonMatches, "PerconaPGCluster "+name+" is as the spec asks")
	case enabled:
		p.UpToDate = condition.True(condition.TypeDatabaseUpToDate, condition.ReasonMatches, "PerconaPGCluster "+name+" is created as the spec asks")
	}
}

// orNothing says that there is no value.
func orNothing(value string) string {
	if value == "" {
		return "nothing"
	}

	return value
}

// onDelete finds out what deleting the XR does to the live cluster: Kubernetes
// keeps an object that has another owner than the one that is deleted (R7).
// The text is empty if that is what the spec asks.
func (p *Plan) onDelete(srv *server.Server, live observed.Object) string {
	p.Status.OnDelete = v1alpha1.OnDeleteDelete
	if _, retained := live.NamespaceOwner(); retained {
		p.Status.OnDelete = v1alpha1.OnDeleteRetain
	}

	want := v1alpha1.OnDeleteRetain
	if *srv.Spec.Percona.DeleteWithServer {
		want = v1alpha1.OnDeleteDelete
	}
	if p.Status.OnDelete == want {
		return ""
	}

	return fmt.Sprintf("spec.percona.deleteWithServer asks for %s, but deleting this server would %s PerconaPGCluster %s as it is now: wait a moment; if this stays, remove or add the ownerReference to the Namespace on it",
		want, strings.ToLower(string(p.Status.OnDelete)), live.Name())
}

// lastBackup is when the newest backup of a live cluster completed, RFC 3339.
func lastBackup(live observed.Object) string {
	var last string
	for _, b := range live.Items("status", "pgbackrest", "scheduledBackups") {
		last = max(last, b.Text("completionTime"))
	}

	return max(last, live.Text("status", "pgbackrest", "manualBackup", "completionTime"))
}
