package e2e

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// TestRecreate tells that a deleted server leaves its database, and that a new
// one of the same name goes on with it.
func TestRecreate(t *testing.T) {
	s := earth.Scenario(t)
	s.Apply(percona)
	waitForServer(s, "files")
	mark(s)
	cluster := clusterUID(s)
	password := adminPassword(s)

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

	deleteServer(s)
	s.Eventually("its database is gone, with volumes and users", func(ctx context.Context) error {
		if _, err := s.Find(ctx, world.PGCluster, "files-postgres"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the PerconaPGCluster: %w", err)
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

	s.Apply(manifest)
	waitForServer(s, "files")
	if got := clusterUID(s); got == cluster {
		t.Error("the new server has the old database")
	}
	if marked(s) {
		t.Error("the new server has old data")
	}
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
