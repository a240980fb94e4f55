package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// theirs are objects that somebody else has under a server's names.
const theirs = `
apiVersion: v1
kind: ConfigMap
metadata: {name: files-config}
data: {theirs: "yes"}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: files-baseline}
spec: {podSelector: {matchLabels: {app: theirs}}, policyTypes: [Ingress]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: files}
spec:
  serviceName: theirs
  replicas: 0
  selector: {matchLabels: {app: theirs}}
  template:
    metadata: {labels: {app: theirs}}
    spec: {containers: [{name: theirs, image: "example.org/theirs:v1"}]}
`

// theirDatabase is one more of them.
const theirDatabase = `
apiVersion: pgv2.percona.com/v2
kind: PerconaPGCluster
metadata: {name: files-postgres}
spec:
  postgresVersion: 17
  image: ` + postgresImage + `17.9-1
  instances:
  - name: theirs
    replicas: 2
    dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 20Gi}}}
  users:
  - {name: dittofs, databases: [dittofs]}
  backups: {enabled: false, pgbackrest: {image: "` + pgBackRestImage + `2.58.0-1"}}
`

// TestNameTaken tells that what is somebody else's is left alone, until a person
// hands it over with the command that the server names.
func TestNameTaken(t *testing.T) {
	s := together(t)
	s.Apply(theirs + "---" + theirDatabase)
	s.Eventually("their database is ready", func(ctx context.Context) error { return databaseReady(ctx, s) })
	mark(s)
	database := clusterUID(s)
	annotate := regexp.MustCompile(`kubectl -n \S+ annotate \S+ \S+ dittofs.io/adopt=\S+ crossplane.io/composition-resource-name=[-a-z]+`)
	s.Apply(percona)
	// The database is looked for once the rest is settled.
	for _, taken := range []struct {
		objects string
		names   []string
	}{
		{theirs, []string{"ConfigMap files-config", "NetworkPolicy files-baseline", "StatefulSet files"}},
		{theirDatabase, []string{"PerconaPGCluster files-postgres"}},
	} {
		before := belongings(s, taken.objects)
		message := waitForCondition(s, "ConfigReady", "False", "NameTaken", taken.names[0])
		for _, name := range taken.names {
			if !strings.Contains(message, name+" ") {
				t.Errorf("the server does not say that %s is taken: %s", name, message)
			}
		}
		for range reconciles / 2 {
			s.Reconcile("files")
		}
		if diff := cmp.Diff(before, belongings(s, taken.objects)); diff != "" {
			t.Errorf("what is theirs was touched: -want +got:\n%s", diff)
		}
		for _, name := range []string{"files-jwt-secret", "files-admin-bootstrap-credentials", "files-connection"} {
			if err := s.Absent(t.Context(), &corev1.Secret{}, name); err != nil {
				t.Errorf("something was composed: %v", err)
			}
		}
		commands := annotate.FindAllString(message, -1)
		if len(commands) != len(taken.names) {
			t.Fatalf("the server names the commands %q, want one for each of %q", commands, taken.names)
		}
		for _, command := range commands {
			// A pod of theirs cannot become the server's.
			if strings.Contains(command, "statefulset") {
				command = "kubectl -n " + s.Namespace + " delete statefulset files"
			}
			kubectl(s, command)
		}
	}
	// A database that is there may hold an administrator with a password that
	// nobody here knows.
	waitForCondition(s, "ConfigReady", "False", "AdminPasswordLost", "spec.identity.admin.passwordSecretRef")
	s.Apply("{apiVersion: v1, kind: Secret, metadata: {name: first}, stringData: {password: a-password-that-is-known}}")
	patchServer(s, map[string]any{"spec": map[string]any{"identity": map[string]any{"admin": map[string]any{"passwordSecretRef": map[string]any{"name": "first", "key": "password"}}}}})
	waitForServer(s, "files")
	if got := clusterUID(s); got != database {
		t.Errorf("the PerconaPGCluster is %s, want theirs, %s", got, database)
	}
	if !marked(s) {
		t.Error("their data is not there any more")
	}
	u, err := s.Find(t.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{"postgresVersion": int64(17), "instances.0.name": "theirs", "instances.0.replicas": int64(2), "instances.1": nil} {
		if diff := cmp.Diff(want, at(u.Object["spec"], strings.Split(path, ".")...)); diff != "" {
			t.Errorf("spec.%s of their PerconaPGCluster: -want +got:\n%s", path, diff)
		}
	}
	outlive(s)
	expectTables(s, "files-postgres")
}

// belongings are objects as their owner left them, by kind and name. Status,
// versions and fields that the operators of their kinds write are not part of
// it, but for objects that nobody else writes to.
func belongings(s *world.Scenario, stream string) map[string]map[string]any {
	s.Helper()
	objects, err := cluster.Manifests([]byte(stream))
	if err != nil {
		s.Fatal(err)
	}
	seen := map[string]map[string]any{}
	for _, o := range objects {
		u, err := s.Find(s.Context(), o.GroupVersionKind(), o.GetName())
		if err != nil {
			s.Fatal(err)
		}
		has := map[string]any{"uid": u.GetUID(), "generation": u.GetGeneration(), "labels": u.GetLabels(), "owners": u.GetOwnerReferences(), "spec": u.Object["spec"], "data": u.Object["data"]}
		if o.GetKind() != world.PGCluster.Kind {
			has["resourceVersion"] = u.GetResourceVersion()
		}
		for _, m := range u.GetManagedFields() {
			if strings.HasPrefix(m.Manager, "apiextensions.crossplane.io/") {
				has["managed by Crossplane"] = true
			}
		}
		seen[o.GetKind()+" "+o.GetName()] = has
	}
	return seen
}

func databaseReady(ctx context.Context, s *world.Scenario) error {
	u, err := s.Find(ctx, world.PGCluster, "files-postgres")
	if err != nil {
		return err
	}
	if state := at(u.Object, "status", "state"); state != "ready" {
		return fmt.Errorf("the database is %v", state)
	}
	secret, err := s.Secret(ctx, userSecret)
	if err == nil && len(secret.Data["verifier"]) == 0 {
		err = errors.New("its user has no verifier yet")
	}
	if err != nil {
		return err
	}
	rows, err := s.Postgres.Query(ctx, s.Namespace, "files-postgres", "dittofs", "select 1 from pg_namespace where nspname = 'dittofs'")
	if err == nil && len(rows) == 0 {
		err = errors.New("its user has no schema yet")
	}
	return err
}

// operatorsServers is as much of the DittoFS operator's definition as it takes
// to have one of its DittoServers.
const operatorsServers = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: dittoservers.dittofs.dittofs.com}
spec:
  group: dittofs.dittofs.com
  names: {kind: DittoServer, listKind: DittoServerList, plural: dittoservers, singular: dittoserver}
  scope: Namespaced
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

// TestMigration tells that docs/migration.md moves a server of the DittoFS
// operator over: its pod restarts once, and nothing that holds data, nor any
// secret, is replaced.
func TestMigration(t *testing.T) {
	s := together(t)
	operatorMade(t, s, "sqlite")
	before := inherit(s)
	untouched := belongings(s, controlled(before))

	// Too early: nothing has been handed over.
	s.Apply(`
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi, contentSize: 100Gi, controlPlaneSize: 1Gi}
  metrics: {enabled: true}
`)
	waitForCondition(s, "ConfigReady", "False", "NameTaken", "it is controlled by DittoServer files")
	for range reconciles / 2 {
		s.Reconcile("files")
	}
	if diff := cmp.Diff(untouched, belongings(s, controlled(before))); diff != "" {
		t.Errorf("what is the operator's was touched: -want +got:\n%s", diff)
	}

	handOver(s)
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error {
		return errors.Join(s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "True"), s.ConditionIs(ctx, world.DittoServer, "files", "Synced", "True"))
	})
	after := inherit(s)
	after.expect(t, before)
	if after.standing.generation != before.standing.generation+1 || after.standing.pod == before.standing.pod {
		t.Errorf("the StatefulSet is %+v, was %+v: want one change", after.standing, before.standing)
	}
	still(s, "the server stays as it is", after.standing.same)

	// Clean up.
	handOver(s)
	for _, policy := range []string{"files-adapter-nfs", "files-adapter-smb"} {
		if _, err := s.Find(t.Context(), schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}, policy); !apierrors.IsNotFound(err) {
			t.Errorf("the operator's NetworkPolicy %s: %v, want it to be gone", policy, err)
		}
	}
	reconcile(s)
	s.Eventually("NFS answers at its Service", func(ctx context.Context) error {
		return nfs(ctx, "files-adapter-nfs."+s.Namespace+".svc:2049")
	})
	if err := after.standing.same(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMigrationToPercona tells that a server of the operator, which runs on
// SQLite whatever its PerconaPGCluster is for, goes on with that until somebody
// says that it may change, and then starts on PostgreSQL.
func TestMigrationToPercona(t *testing.T) {
	s := together(t)
	operatorMade(t, s, "percona")
	s.Eventually("the database is ready", func(ctx context.Context) error { return databaseReady(ctx, s) })
	before := inherit(s)
	database, err := s.Find(t.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		t.Fatal(err)
	}

	handOver(s)
	s.Apply(`
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi, controlPlaneSize: 1Gi}
  percona: {enabled: true, replicas: 2, storageSize: 20Gi}
`)
	waitForCondition(s, "DatabaseReady", "False", "DatabaseChangeRefused", "spec.database.allowChangeTo: percona")
	spec := outlive(s)
	if diff := cmp.Diff(database.Object["spec"], any(spec)); diff != "" || clusterUID(s) != database.GetUID() {
		t.Errorf("the PerconaPGCluster was touched: -want +got:\n%s", diff)
	}
	if err := before.standing.same(t.Context()); err != nil {
		t.Errorf("the server does not go on: %v", err)
	}
	inherit(s).expect(t, before)

	patchServer(s, map[string]any{"spec": map[string]any{"database": map[string]any{"allowChangeTo": "percona"}}})
	s.Eventually("the server is another pod, and ready", func(ctx context.Context) error {
		pod, err := s.Pod(ctx, "files-0")
		if err != nil {
			return err
		}
		if pod.UID == before.standing.pod {
			return fmt.Errorf("pod %s is the one that was", pod.Name)
		}
		return podReady(ctx, s, "files-0")
	})
	expectTables(s, "files-postgres")
	after := inherit(s)
	after.expect(t, before)
	if clusterUID(s) != database.GetUID() {
		t.Error("the PerconaPGCluster is another one")
	}
	still(s, "the server stays as it is", after.standing.same)
}

// operatorMade makes what the DittoFS operator makes of a DittoServer, as
// testdata/operator has it, and waits until the server runs.
func operatorMade(t *testing.T, s *world.Scenario, folder string) {
	t.Helper()
	// The operator's init container runs as the image's root (C21): the level
	// of other stories refuses it.
	home := &corev1.Namespace{}
	home.Name = s.Namespace
	if err := s.Patch(t.Context(), home, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}`))); err != nil {
		t.Fatal(err)
	}
	// Other stories need the definition too, so it stays.
	s.Apply(operatorsServers)
	var owner types.UID
	for _, name := range []string{"dittoserver", "secrets", "configmap", "services", "networkpolicies", "perconapgcluster", "statefulset"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "testdata", "operator", folder, name+".yaml"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		objects, err := cluster.Manifests(content)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range objects {
			asWritten(u, s.Namespace, owner)
			// The definition is not served at once.
			err := cluster.Poll(t.Context(), world.Timeout, flipPoll, func(ctx context.Context) (bool, error) {
				err := s.Create(ctx, u, client.FieldOwner("manager"))
				return !meta.IsNoMatchError(err), err
			})
			if err != nil {
				t.Fatal(err)
			}
			if name == "dittoserver" {
				owner = u.GetUID()
			}
		}
	}
	s.Eventually("the operator's server is ready", func(ctx context.Context) error {
		sts, err := s.StatefulSet(ctx, "files")
		if err != nil {
			return err
		}
		// The controller writes the status after the pod is ready.
		if st := sts.Status; st.ObservedGeneration != sts.Generation || st.ReadyReplicas != 1 || st.AvailableReplicas != 1 || st.UpdatedReplicas != 1 || st.CurrentRevision != st.UpdateRevision {
			return fmt.Errorf("the status of its StatefulSet is %+v", st)
		}
		return podReady(ctx, s, "files-0")
	})
}

// asWritten turns an object as an API server held it into one to create.
func asWritten(u *unstructured.Unstructured, namespace string, owner types.UID) {
	u.SetNamespace(namespace)
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	delete(u.Object, "status")
	owners := u.GetOwnerReferences()
	for i := range owners {
		owners[i].UID = owner
	}
	u.SetOwnerReferences(owners)
	// The node knows images by their full names.
	inits, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "initContainers")
	for _, c := range inits {
		if container, ok := c.(map[string]any); ok {
			container["image"] = "docker.io/library/" + fmt.Sprint(container["image"])
		}
	}
	if len(inits) > 0 {
		_ = unstructured.SetNestedSlice(u.Object, inits, "spec", "template", "spec", "initContainers")
	}
	if u.GetKind() != "Service" {
		return
	}
	// What the API server and the cloud give a Service is their own business.
	u.SetFinalizers(nil)
	for _, field := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
		if at(u.Object, "spec", field) != "None" {
			unstructured.RemoveNestedField(u.Object, "spec", field)
		}
	}
	ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
	_ = unstructured.SetNestedSlice(u.Object, ports, "spec", "ports")
}

// handOver runs what docs/migration.sh prints for use, line by line.
func handOver(s *world.Scenario) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), filepath.Join("..", "..", "docs", "migration.sh"), s.Namespace, "files")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Plane.Kubeconfig)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("migration.sh: %v: %s", err, complaints.String())
	}
	s.Keep("migration.txt", string(out)+complaints.String())
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "kubectl ") {
			kubectl(s, strings.TrimSpace(line))
		}
	}
}

// An inheritance is what must be the same before and after a server is taken
// over.
type inheritance struct {
	standing  standing
	selector  any
	templates map[string]string
	claims    map[string]types.UID
	secrets   made
	// sqlite is the file that the operator's server keeps its data in.
	sqlite os.FileInfo
}

// inherit what there is now.
func inherit(s *world.Scenario) inheritance {
	s.Helper()
	set, err := s.StatefulSet(s.Context(), "files")
	if err != nil {
		s.Fatal(err)
	}
	h := inheritance{standing: take(s, "files"), selector: set.Spec.Selector, templates: templatesOf(set), claims: map[string]types.UID{}, secrets: madeOnce(s.Context(), s)}
	delete(h.secrets, "files-connection")
	for name := range h.templates {
		var claim corev1.PersistentVolumeClaim
		if err := s.Get(s.Context(), client.ObjectKey{Namespace: s.Namespace, Name: name + "-files-0"}, &claim); err != nil {
			s.Fatal(err)
		}
		h.claims[name] = claim.UID
	}
	folder, err := s.VolumeFolder(s.Context(), "controlplane-files-0")
	if err != nil {
		s.Fatal(err)
	}
	if h.sqlite, err = os.Stat(filepath.Join(folder, "controlplane.db")); err != nil {
		s.Fatal(err)
	}
	return h
}

// templatesOf claims, by their names: what they ask for.
func templatesOf(set *appsv1.StatefulSet) map[string]string {
	templates := map[string]string{}
	for _, c := range set.Spec.VolumeClaimTemplates {
		templates[c.Name] = fmt.Sprint(c.Spec.AccessModes, c.Spec.Resources.Requests.Storage(), c.Spec.StorageClassName)
	}
	return templates
}

// controlled objects of the operator's server, as a stream of their kinds and
// names.
func controlled(h inheritance) string {
	stream := "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: files}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: files-config}\n"
	for _, name := range slices.Sorted(maps.Keys(h.secrets)) {
		stream += "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\n"
	}
	return stream
}

// expect that everything is what it was.
func (h inheritance) expect(t *testing.T, before inheritance) {
	t.Helper()
	if h.standing.uid != before.standing.uid {
		t.Error("the StatefulSet is another one")
	}
	if diff := cmp.Diff(before.selector, h.selector); diff != "" {
		t.Errorf("the selector: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before.templates, h.templates); diff != "" {
		t.Errorf("the claim templates: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before.claims, h.claims); diff != "" {
		t.Errorf("the claims: -want +got:\n%s", diff)
	}
	for name, data := range before.secrets {
		for key, value := range data {
			if !bytes.Equal(value, h.secrets[name][key]) {
				t.Errorf("key %s of Secret %s has another value", key, name)
			}
		}
	}
	if !os.SameFile(before.sqlite, h.sqlite) || h.sqlite.Size() == 0 {
		t.Error("the SQLite file is another one")
	}
}

// TestQuota tells that a first apply that a ResourceQuota refuses goes on once
// there is room: no Secret is made twice meanwhile.
func TestQuota(t *testing.T) {
	s := together(t)
	s.Apply(`
apiVersion: v1
kind: ResourceQuota
metadata: {name: small}
spec: {hard: {count/secrets: "1", count/services: "1"}}
`)
	s.Eventually("the quota is in force", func(ctx context.Context) error {
		var quota corev1.ResourceQuota
		if err := s.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: "small"}, &quota); err != nil {
			return err
		}
		if len(quota.Status.Hard) == 0 {
			return errors.New("it has no status")
		}
		return nil
	})
	s.Apply(`
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi}
`)
	s.Eventually("the DittoServer says why it is refused", func(ctx context.Context) error { return says(ctx, s, "exceeded quota") })
	s.Eventually("as much as may be is made", func(ctx context.Context) error {
		if got := len(madeOnce(ctx, s)); got != 1 {
			return fmt.Errorf("%d Secrets are made, want 1", got)
		}
		return nil
	})
	secrets := madeOnce(t.Context(), s)
	s.Throughout(quiet, "it does not make again what is made", func(ctx context.Context) error { return secrets.same(ctx, s) })

	var quota corev1.ResourceQuota
	quota.Namespace, quota.Name = s.Namespace, "small"
	if err := s.Delete(t.Context(), &quota); err != nil {
		t.Fatal(err)
	}
	s.Eventually("the server's pod is ready", func(ctx context.Context) error { return podReady(ctx, s, "files-0") })
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error {
		return errors.Join(s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "True"), s.ConditionIs(ctx, world.DittoServer, "files", "Synced", "True"))
	})
	if err := secrets.same(t.Context(), s); err != nil {
		t.Error(err)
	}
}
