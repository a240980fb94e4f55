package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// TestRecreate tells that a deleted server leaves its database, and that a new
// one of the same name goes on with it.
func TestRecreate(t *testing.T) {
	s := together(t)
	s.Apply(percona)
	waitForServer(s, "files")
	mark(s)
	cluster := clusterUID(s)
	password, database := adminPassword(s), databasePassword(s)
	update(s, "kubectl-edit", func(spec map[string]any) {
		set(spec, int64(2), "instances", "0", "replicas")
		set(spec, int64(150), maxConnections...)
	})

	deleteServer(s)
	s.Eventually("its pod is gone", func(ctx context.Context) error {
		return s.Absent(ctx, &corev1.Pod{}, "files-0")
	})
	s.Throughout(quiet, "its database stays", func(ctx context.Context) error {
		u, err := s.Find(ctx, world.PGCluster, "files-postgres")
		if err != nil {
			return err
		}
		if u.GetUID() != cluster || u.GetDeletionTimestamp() != nil {
			return fmt.Errorf("the PerconaPGCluster is %s, deleted at %v, want %s to stay", u.GetUID(), u.GetDeletionTimestamp(), cluster)
		}
		return nil
	})

	s.Apply(percona)
	waitForServer(s, "files")
	if got := clusterUID(s); got != cluster {
		t.Errorf("the new server has the PerconaPGCluster %s, want %s", got, cluster)
	}
	if got := adminPassword(s); got != password {
		t.Error("the administrator has another password than the data has")
	}
	if got := databasePassword(s); got != database {
		t.Error("the database has another password")
	}
	u, err := s.Find(t.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		t.Fatal(err)
	}
	if replicas, connections := at(u.Object, "spec", "instances", "0", "replicas"), at(u.Object["spec"], maxConnections...); replicas != int64(2) || connections != int64(150) {
		t.Errorf("the PerconaPGCluster has %v replicas and max_connections %v, want its owner's 2 and 150", replicas, connections)
	}
	if err := loginWorks(t.Context(), s, "files"); err != nil {
		t.Error(err)
	}
	if !marked(s) {
		t.Error("the data is not what it was")
	}
}

// TestDeleteWithServer tells that a server takes its database with it if that is
// asked for.
func TestDeleteWithServer(t *testing.T) {
	const manifest = `
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi}
  percona: {enabled: true, deleteWithServer: true}
`
	s := earth.Scenario(t)
	s.Apply(manifest)
	waitForServer(s, "files")
	mark(s)
	cluster := clusterUID(s)

	// What the operator has read of a cluster before its deletion, it would
	// write again after it: the user Secret above all (percona issue 1564).
	operatorRests(s)
	deleteServer(s)
	s.Eventually("its database is gone, with volumes and users", func(ctx context.Context) error {
		for _, kind := range []schema.GroupVersionKind{world.PGCluster, world.PostgresCluster} {
			if _, err := s.Find(ctx, kind, "files-postgres"); !apierrors.IsNotFound(err) {
				return fmt.Errorf("the %s: %w", kind.Kind, err)
			}
		}
		var claims corev1.PersistentVolumeClaimList
		if err := s.List(ctx, &claims, client.InNamespace(s.Namespace), client.MatchingLabels{"postgres-operator.crunchydata.com/cluster": "files-postgres"}); err != nil {
			return err
		}
		if len(claims.Items) > 0 {
			return fmt.Errorf("claim %s is there", claims.Items[0].Name)
		}
		return s.Absent(ctx, &corev1.Secret{}, userSecret)
	})

	// What the server itself had stays, until somebody does as the README says.
	own := []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "controlplane-files-0"}}, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "metadata-files-0"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "files-jwt-secret"}}, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "files-admin-bootstrap-credentials"}},
	}
	for _, o := range own {
		if err := s.Get(t.Context(), client.ObjectKey{Namespace: s.Namespace, Name: o.GetName()}, o); err != nil {
			t.Error(err)
		}
	}
	kubectl(s, documented(t, "app=dittofs-server,instance=files", s.Namespace))
	for _, o := range own {
		s.Eventually(o.GetName()+" is removed", func(ctx context.Context) error { return s.Absent(ctx, o, o.GetName()) })
	}

	s.Apply(manifest)
	waitForServer(s, "files")
	if got := clusterUID(s); got == cluster {
		t.Error("the new server has the old database")
	}
	if marked(s) {
		t.Error("the new server has old data")
	}
}

// documented command of the README that has some words in it, for a namespace.
func documented(t *testing.T, words, namespace string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(readme)) {
		if strings.HasPrefix(strings.TrimSpace(line), "kubectl ") && strings.Contains(line, words) {
			return strings.Replace(strings.TrimSpace(line), "-n team-a", "-n "+namespace, 1)
		}
	}
	t.Fatalf("the README has no command with %q", words)
	return ""
}

// deleteServer and wait until it is gone.
func deleteServer(s *world.Scenario) {
	s.Helper()
	deleteNamed(s, "files")
}

func deleteNamed(s *world.Scenario, name string) {
	s.Helper()
	u, err := s.Find(s.Context(), world.DittoServer, name)
	if err != nil {
		s.Fatal(err)
	}
	if err := s.Delete(s.Context(), u); err != nil {
		s.Fatal(err)
	}
	s.Eventually("the DittoServer and its StatefulSet are gone", func(ctx context.Context) error {
		if _, err := s.Find(ctx, world.DittoServer, name); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the DittoServer: %w", err)
		}
		return s.Absent(ctx, &appsv1.StatefulSet{}, name)
	})
}

func clusterUID(s *world.Scenario) types.UID {
	s.Helper()
	u, err := s.Find(s.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		s.Fatal(err)
	}
	return u.GetUID()
}

func databasePassword(s *world.Scenario) string {
	s.Helper()
	secret, err := s.Secret(s.Context(), userSecret)
	if err != nil {
		s.Fatal(err)
	}
	return string(secret.Data["password"])
}

func adminPassword(s *world.Scenario) string {
	s.Helper()
	secret, err := s.Secret(s.Context(), "files-admin-bootstrap-credentials")
	if err != nil {
		s.Fatal(err)
	}
	return string(secret.Data["password"])
}

// mark the data of the database.
func mark(s *world.Scenario) {
	s.Helper()
	if _, err := s.Postgres.Query(s.Context(), s.Namespace, "files-postgres", "dittofs", "create table dittofs.mark ()"); err != nil {
		s.Fatal(err)
	}
}

func marked(s *world.Scenario) bool {
	s.Helper()
	rows, err := s.Postgres.Query(s.Context(), s.Namespace, "files-postgres", "dittofs", "select 1 from pg_tables where tablename = 'mark'")
	if err != nil {
		s.Fatal(err)
	}
	return len(rows) > 0
}
