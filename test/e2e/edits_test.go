package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

const (
	// reconciles that an edit has to outlive.
	reconciles = 10

	// perconaManager is who the operator is among an object's managers.
	perconaManager = "postgres-operator"

	postgresImage   = "docker.io/percona/percona-distribution-postgresql:"
	pgBackRestImage = "docker.io/percona/percona-pgbackrest:"
)

// backedUp is a server whose database can be backed up, to a volume.
const backedUp = `
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi}
  percona:
    enabled: true
    backup: {enabled: true, repos: [{name: repo1, volume: {size: 1Gi}}]}
`

// maxConnections is a setting that the server's spec does not speak of.
var maxConnections = []string{"patroni", "dynamicConfiguration", "postgresql", "parameters", "max_connections"} //nolint:gochecknoglobals // A path.

// TestEdits tells that what a user does to the PerconaPGCluster, with whatever
// command, stays: nothing is reverted, and nothing that was removed comes back.
func TestEdits(t *testing.T) {
	s := together(t)
	s.Apply(percona)
	waitForServer(s, "files")
	before := take(s, "files")

	// kubectl edit: a value of ours, a field of ours that goes, a new field.
	update(s, "kubectl-edit", func(spec map[string]any) {
		set(spec, int64(2), "instances", "0", "replicas")
		unset(spec, "users", "0", "password")
		set(spec, int64(150), maxConnections...)
	})
	// kubectl patch.
	patchCluster(s, map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"example.org/team": "a"}, "annotations": map[string]any{"example.org/note": "b"}},
		"spec":     map[string]any{"image": postgresImage + "16.12-1"},
	})
	// kubectl apply --server-side --force-conflicts.
	s.Apply(`
apiVersion: pgv2.percona.com/v2
kind: PerconaPGCluster
metadata: {name: files-postgres}
spec:
  backups: {pgbackrest: {image: ` + pgBackRestImage + `2.57.0-1}}
  instances:
  - name: instance1
    dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 12Gi}}}
    resources: {limits: {memory: 1Gi}}
  users:
  - name: dittofs
    options: NOSUPERUSER
`)

	spec := outlive(s)
	for path, want := range map[string]any{
		"instances.0.replicas": int64(2), "instances.0.dataVolumeClaimSpec.resources.requests.storage": "12Gi", "instances.0.resources.limits.memory": "1Gi",
		"patroni.dynamicConfiguration.postgresql.parameters.max_connections": int64(150), "image": postgresImage + "16.12-1",
		"backups.pgbackrest.image": pgBackRestImage + "2.57.0-1", "users.0.options": "NOSUPERUSER", "users.0.password": nil,
		// What nobody touched is as it was.
		"postgresVersion": int64(16), "instances.0.name": "instance1", "users.0.name": "dittofs", "users.0.databases.0": "dittofs",
	} {
		if diff := cmp.Diff(want, at(spec, strings.Split(path, ".")...)); diff != "" {
			t.Errorf("spec.%s: -want +got:\n%s", path, diff)
		}
	}
	u, err := s.Find(t.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		t.Fatal(err)
	}
	if u.GetLabels()["example.org/team"] != "a" || u.GetAnnotations()["example.org/note"] != "b" {
		t.Errorf("the labels are %v and the annotations %v, want the user's among them", u.GetLabels(), u.GetAnnotations())
	}
	if err := before.same(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBackup tells that the operator can take a backup: what it writes into the
// PerconaPGCluster for that stays, under both policies.
func TestBackup(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"OnCreate", "Always"} {
		t.Run(policy, func(t *testing.T) {
			s := together(t)
			s.Apply(backedUp + "    updatePolicy: " + policy + "\n")
			waitForServer(s, "files")
			before := take(s, "files")
			keepWaitingForBackup(s)

			s.Apply(`
apiVersion: pgv2.percona.com/v2
kind: PerconaPGBackup
metadata: {name: by-hand}
spec:
  pgCluster: files-postgres
  repoName: repo1
  options: ["--type=full"]
`)
			s.Eventually("the operator asks for the backup in the PerconaPGCluster", func(ctx context.Context) error {
				return backupAskedFor(ctx, s)
			})
			for i := range reconciles {
				reconcile(s)
				if err := backupAskedFor(t.Context(), s); err != nil {
					t.Fatalf("after reconcile %d: %v", i+1, err)
				}
			}
			s.Step("it still does after %d reconciles", reconciles)
			if err := before.same(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// keepWaitingForBackup has the operator ask for a backup as long as the story
// takes. It gives up two minutes after a cluster was not ready for one, which
// no cluster of pretended pods ever is (percona v2.9.0
// percona/controller/pgbackup/controller.go failIfClusterIsNotReady): that is an
// hour from now.
func keepWaitingForBackup(s *world.Scenario) {
	s.Helper()
	s.Eventually("the operator waits for a backup", func(ctx context.Context) error {
		u, err := s.Find(ctx, world.PGCluster, "files-postgres")
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, c := range conditions {
			if c, ok := c.(map[string]any); ok && c["type"] == "ReadyForBackup" && c["status"] == "False" {
				c["lastTransitionTime"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
				if err := unstructured.SetNestedSlice(u.Object, conditions, "status", "conditions"); err != nil {
					return err
				}
				return s.Status().Update(ctx, u)
			}
		}
		return fmt.Errorf("the PerconaPGCluster does not say that it is not ready for a backup: %v", conditions)
	})
}

func backupAskedFor(ctx context.Context, s *world.Scenario) error {
	u, err := s.Find(ctx, world.PGCluster, "files-postgres")
	if err != nil {
		return err
	}
	// The operator adds an option of its own to those of the PerconaPGBackup.
	manual := at(u.Object, "spec", "backups", "pgbackrest", "manual")
	if at(manual, "repoName") != "repo1" || at(manual, "options", "0") != "--type=full" {
		return fmt.Errorf("spec.backups.pgbackrest.manual is %v", manual)
	}
	if by := u.GetAnnotations()["pgv2.percona.com/backup-in-progress"]; by != "by-hand" {
		return fmt.Errorf("the backup in progress is %q", by)
	}
	return nil
}

// TestAlways tells that updatePolicy: Always reverts what differs from the spec
// and leaves what the spec does not speak of.
func TestAlways(t *testing.T) {
	s := together(t)
	s.Apply(`
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi}
  percona: {enabled: true, updatePolicy: Always, replicas: 1, resources: {limits: {memory: 1Gi}}}
`)
	waitForServer(s, "files")
	before := take(s, "files")
	update(s, "kubectl-edit", func(spec map[string]any) {
		set(spec, int64(2), "instances", "0", "replicas")
		set(spec, "2Gi", "instances", "0", "resources", "limits", "memory")
		set(spec, int64(150), maxConnections...)
	})
	s.Eventually("what the spec says is in force again", func(ctx context.Context) error {
		u, err := s.Find(ctx, world.PGCluster, "files-postgres")
		if err != nil {
			return err
		}
		replicas, memory := at(u.Object, "spec", "instances", "0", "replicas"), at(u.Object, "spec", "instances", "0", "resources", "limits", "memory")
		if replicas != int64(1) || memory != "1Gi" {
			return fmt.Errorf("%v replicas with %v of memory", replicas, memory)
		}
		return nil
	})
	spec := outlive(s)
	if got := at(spec, maxConnections...); got != int64(150) {
		t.Errorf("max_connections is %v, want the user's 150: the spec does not speak of it", got)
	}
	if err := s.ConditionIs(t.Context(), world.DittoServer, "files", "DatabaseUpToDate", "True"); err != nil {
		t.Error(err)
	}
	if err := before.same(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBusy tells that somebody who writes to the PerconaPGCluster all the time
// loses no edit, and that reconciling goes on when the writer stops, although
// Crossplane waits longer after each conflict, up to half a minute.
func TestBusy(t *testing.T) {
	const (
		edits = 30
		pause = 300 * time.Millisecond
		soon  = 2 * time.Minute
	)
	s := together(t)
	s.Apply(percona)
	waitForServer(s, "files")
	before := take(s, "files")
	start := counts(s)

	// A field of ours and one that we never had.
	for i := range int64(edits) {
		err := write(t.Context(), s, "kubectl-edit", func(spec map[string]any) error {
			if i > 0 && (at(spec, "instances", "0", "replicas") != i%3+1 || at(spec, maxConnections...) != 100+i) {
				return fmt.Errorf("edit %d is lost", i)
			}
			set(spec, (i+1)%3+1, "instances", "0", "replicas")
			set(spec, 101+i, maxConnections...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// It changes what is composed too, so that every reconcile applies.
		patchServer(s, map[string]any{"spec": map[string]any{"service": map[string]any{"annotations": map[string]any{"example.org/edit": fmt.Sprint(i)}}}})
		time.Sleep(pause)
	}
	busy := counts(s)
	s.Step("during %d edits the server was reconciled %d times, and met %d conflicts", edits, busy.Composed-start.Composed, busy.Conflicts-start.Conflicts)

	s.Within(soon, "the server is reconciled, up to its last edit", func(ctx context.Context) error {
		u, err := s.Find(ctx, schema.GroupVersionKind{Version: "v1", Kind: "Service"}, "files-api")
		if err != nil {
			return err
		}
		if got := u.GetAnnotations()["example.org/edit"]; got != fmt.Sprint(edits-1) {
			return fmt.Errorf("the Service is of edit %q", got)
		}
		// What is composed beside the cluster may get through with a conflict.
		if now, err := s.Reconciles("files"); err != nil || now.Composed == busy.Composed {
			return errors.Join(err, fmt.Errorf("%d conflicts, and nothing but them", now.Conflicts-busy.Conflicts))
		}
		return errors.Join(s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "True"), s.ConditionIs(ctx, world.DittoServer, "files", "Synced", "True"))
	})
	after := counts(s)
	s.Step("it took %d more reconciles and %d conflicts", after.Composed-busy.Composed, after.Conflicts-busy.Conflicts)
	if after.Failed > start.Failed {
		t.Errorf("%d reconciles failed: %s", after.Failed-start.Failed, after.Last)
	}
	u, err := s.Find(t.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		t.Fatal(err)
	}
	if got := at(u.Object["spec"], maxConnections...); got != int64(100+edits) {
		t.Errorf("max_connections is %v, want the last edit's %d", got, 100+edits)
	}
	if got := at(u.Object["spec"], "instances", "0", "replicas"); got != int64(edits%3+1) {
		t.Errorf("there are %v replicas, want the last edit's %d", got, edits%3+1)
	}
	if err := before.same(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestUpgrade tells that a major upgrade, which the operator brings about in the
// PerconaPGCluster, is never rolled back, not even with updatePolicy: Always.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"OnCreate", "Always"} {
		t.Run(policy, func(t *testing.T) {
			s := together(t)
			s.Apply(`
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi}
  percona: {enabled: true, postgresVersion: 16, updatePolicy: ` + policy + `}
`)
			waitForServer(s, "files")
			before := take(s, "files")

			// As a PerconaPGUpgrade does it, while the server is reconciled.
			update(s, perconaManager, func(spec map[string]any) { set(spec, true, "pause") })
			for range reconciles / 2 {
				reconcile(s)
			}
			update(s, perconaManager, func(spec map[string]any) {
				set(spec, int64(17), "postgresVersion")
				set(spec, postgresImage+"17.9-1", "image")
				set(spec, pgBackRestImage+"2.59.0-1", "backups", "pgbackrest", "image")
			})
			reconcile(s)
			update(s, perconaManager, func(spec map[string]any) { unset(spec, "pause") })

			spec := outlive(s)
			if got := at(spec, "postgresVersion"); got != int64(17) {
				t.Errorf("postgresVersion is %v, want 17", got)
			}
			if got := at(spec, "image"); got != postgresImage+"17.9-1" {
				t.Errorf("image is %v, want that of 17", got)
			}
			if got := at(spec, "backups", "pgbackrest", "image"); got != pgBackRestImage+"2.59.0-1" {
				t.Errorf("the image of pgBackRest is %v, want what the upgrade set", got)
			}
			s.Eventually("the server says which version to write down", func(ctx context.Context) error {
				u, err := s.Find(ctx, world.DittoServer, "files")
				if err != nil {
					return err
				}
				if c := world.Condition(u, "DatabaseUpToDate"); c.Status != "False" || !strings.Contains(c.Message, "spec.postgresVersion") {
					return fmt.Errorf("DatabaseUpToDate is %s, %s: %s", c.Status, c.Reason, c.Message)
				}
				return nil
			})
			if err := before.same(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// outlive reconciles the server again and again, and fails if the spec of its
// PerconaPGCluster is touched by that. It returns the spec.
func outlive(s *world.Scenario) map[string]any {
	s.Helper()
	before, err := s.Find(s.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		s.Fatal(err)
	}
	start := counts(s)
	for i := range reconciles {
		reconcile(s)
		now, err := s.Find(s.Context(), world.PGCluster, "files-postgres")
		if err != nil {
			s.Fatal(err)
		}
		if diff := cmp.Diff(before.Object["spec"], now.Object["spec"]); diff != "" || now.GetUID() != before.GetUID() {
			s.Fatalf("reconcile %d touched the PerconaPGCluster: -want +got:\n%s", i+1, diff)
		}
	}
	end := counts(s)
	s.Step("the spec of the PerconaPGCluster is untouched by %d reconciles, with %d conflicts", end.Composed-start.Composed, end.Conflicts-start.Conflicts)
	spec, _ := before.Object["spec"].(map[string]any)
	return spec
}

// reconcile the server once, successfully.
func reconcile(s *world.Scenario) {
	s.Helper()
	if r := s.Reconcile("files"); r.Failed > 0 {
		s.Fatalf("Crossplane cannot compose the server: %s", r.Last)
	}
}

func counts(s *world.Scenario) world.Reconciles {
	s.Helper()
	r, err := s.Reconciles("files")
	if err != nil {
		s.Fatal(err)
	}
	return r
}

// update the PerconaPGCluster, as kubectl edit and the operator do.
func update(s *world.Scenario, manager string, change func(spec map[string]any)) {
	s.Helper()
	err := write(s.Context(), s, manager, func(spec map[string]any) error {
		change(spec)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// write the PerconaPGCluster as it is read, until that meets no conflict.
func write(ctx context.Context, s *world.Scenario, manager string, change func(spec map[string]any) error) error {
	for {
		u, err := s.Find(ctx, world.PGCluster, "files-postgres")
		if err != nil {
			return err
		}
		spec, _ := u.Object["spec"].(map[string]any)
		if err := change(spec); err != nil {
			return err
		}
		if err := s.Update(ctx, u, client.FieldOwner(manager)); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// patchCluster as kubectl patch --type merge does.
func patchCluster(s *world.Scenario, patch map[string]any) {
	s.Helper()
	patchObject(s, world.PGCluster, "files-postgres", patch, "kubectl-patch")
}

func patchServer(s *world.Scenario, patch map[string]any) {
	s.Helper()
	patchObject(s, world.DittoServer, "files", patch, "kubectl-patch")
}

func patchObject(s *world.Scenario, gvk schema.GroupVersionKind, name string, patch map[string]any, manager string) {
	s.Helper()
	encoded, err := json.Marshal(patch)
	if err != nil {
		s.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	u.SetNamespace(s.Namespace)
	u.SetName(name)
	if err := s.Patch(s.Context(), u, client.RawPatch(types.MergePatchType, encoded), client.FieldOwner(manager)); err != nil {
		s.Fatal(err)
	}
}

// at a path of an object; list items go by their numbers. It is nil if there is
// nothing.
func at(object any, path ...string) any {
	for _, key := range path {
		switch o := object.(type) {
		case map[string]any:
			object = o[key]
		case []any:
			var i int
			if _, err := fmt.Sscan(key, &i); err != nil || i >= len(o) {
				return nil
			}
			object = o[i]
		default:
			return nil
		}
	}
	return object
}

// set a value at a path, whose maps are made as needed.
func set(object map[string]any, value any, path ...string) {
	for i, key := range path[:len(path)-1] {
		if list, ok := object[key].([]any); ok {
			item, _ := at(list, path[i+1]).(map[string]any) //nolint:gosec // No path ends at a list: behind it comes an index.
			set(item, value, path[i+2:]...)
			return
		}
		next, ok := object[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			object[key] = next
		}
		object = next
	}
	object[path[len(path)-1]] = value
}

// unset what is at a path.
func unset(object map[string]any, path ...string) {
	if holder, ok := at(object, path[:len(path)-1]...).(map[string]any); ok {
		delete(holder, path[len(path)-1])
	}
}
