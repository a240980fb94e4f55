package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// serviceMonitors are what the Prometheus operator defines, as far as it
// matters here: that they are served.
const serviceMonitors = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, listKind: ServiceMonitorList, plural: servicemonitors, singular: servicemonitor}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

var serviceMonitor = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "ServiceMonitor"} //nolint:gochecknoglobals // A name.

// TestSwitchedOff tells that a server keeps its database when the spec does not
// ask for it any more, until somebody says that it may change.
func TestSwitchedOff(t *testing.T) {
	s := together(t)
	s.Apply(percona)
	waitForServer(s, "files")
	mark(s)
	before, database := take(s, "files"), clusterUID(s)

	patchServer(s, map[string]any{"spec": map[string]any{"percona": map[string]any{"enabled": false}}})
	waitForCondition(s, "DatabaseReady", "False", "DatabaseChangeRefused", "spec.database.allowChangeTo: sqlite")
	for range reconciles {
		reconcile(s)
	}
	still(s, "the server and its database are as they were", before.same)
	u, err := s.Find(t.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		t.Fatal(err)
	}
	if u.GetUID() != database || u.GetDeletionTimestamp() != nil {
		t.Errorf("the PerconaPGCluster is %s, deleted at %v, want %s to stay", u.GetUID(), u.GetDeletionTimestamp(), database)
	}
	expectTables(s, "files-postgres")

	patchServer(s, map[string]any{"spec": map[string]any{"percona": map[string]any{"enabled": true}}})
	waitForCondition(s, "DatabaseReady", "True", "PerconaReady", "")
	if err := before.same(t.Context()); err != nil {
		t.Error(err)
	}
	if !marked(s) {
		t.Error("the data is not what it was")
	}
}

// TestPerconaLater tells that a server waits for the Percona operator, and says
// so, if that is installed after it.
func TestPerconaLater(t *testing.T) {
	s := earth.Scenario(t)
	if err := s.UninstallPercona(t.Context()); err != nil {
		t.Fatal(err)
	}
	installed := false
	t.Cleanup(func() {
		if !installed {
			if err := s.InstallPercona(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})

	s.Apply(percona)
	waitForCondition(s, "DatabaseReady", "False", "PerconaOperatorNotInstalled", "install the Percona Operator for PostgreSQL")
	s.Eventually("everything else is composed", func(ctx context.Context) error {
		if _, err := s.Secret(ctx, "files-jwt-secret"); err != nil {
			return err
		}
		return s.ConditionIs(ctx, world.DittoServer, "files", "Synced", "True")
	})
	s.Throughout(quiet, "no StatefulSet exists, and the DittoServer is not ready", func(ctx context.Context) error {
		if err := s.Absent(ctx, &appsv1.StatefulSet{}, "files"); err != nil {
			return err
		}
		return s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "False")
	})

	installed = true
	if err := s.InstallPercona(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Eventually("the function composes a PerconaPGCluster", func(ctx context.Context) error {
		_, err := s.Find(ctx, world.PGCluster, "files-postgres")
		return err
	})
	waitForServer(s, "files")
}

// TestPerconaCrash tells that a server which is created while the Percona
// operator starts again comes to life. (Operator 2.9.0 looks at every
// PerconaPGCluster ten seconds after its start, and ends if one has no
// crVersion. It gives it one when it is the leader, which takes a minute after
// each start: it would end for ever.)
func TestPerconaCrash(t *testing.T) {
	s := earth.Scenario(t)
	var pods corev1.PodList
	if err := s.List(t.Context(), &pods, client.InNamespace(world.PerconaNamespace)); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if err := s.Node.Crash(world.PerconaNamespace, pods.Items[i].Name); err != nil {
			t.Fatal(err)
		}
	}
	s.Apply(percona)
	waitForServer(s, "files")
}

// TestPrometheusLater tells the same of the Prometheus operator, but that the
// server does not wait for it.
func TestPrometheusLater(t *testing.T) {
	s := earth.Scenario(t)
	s.Apply(`
apiVersion: dittofs.io/v1alpha1
kind: DittoServer
metadata: {name: files}
spec:
  storage: {metadataSize: 10Gi}
  metrics: {enabled: true, serviceMonitor: {enabled: true}}
`)
	waitForCondition(s, "MonitoringReady", "False", "PrometheusOperatorNotInstalled", "install the Prometheus operator")
	s.Eventually("the server's pod is ready all the same", func(ctx context.Context) error { return podReady(ctx, s, "files-0") })
	before := take(s, "files")

	s.Apply(serviceMonitors)
	t.Cleanup(func() {
		definition, err := definitionOf(serviceMonitors)
		if err == nil {
			err = s.Undefine(context.Background(), definition)
		}
		if err != nil {
			t.Error(err)
		}
	})
	s.Eventually("its ServiceMonitor is there", func(ctx context.Context) error {
		_, err := s.Find(ctx, serviceMonitor, "files-metrics")
		return err
	})
	waitForCondition(s, "MonitoringReady", "True", "ServiceMonitorComposed", "")
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error {
		return s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "True")
	})
	if err := before.same(t.Context()); err != nil {
		t.Error(err)
	}
	// The kind must not go while something of it is composed.
	deleteServer(s)
}

// TestPermissionsLater tells what a DittoServer says while Crossplane is not
// allowed to compose it, and that it comes to life once it is.
func TestPermissionsLater(t *testing.T) {
	s := earth.Scenario(t)
	if err := s.Forbid(t.Context()); err != nil {
		t.Fatal(err)
	}
	allow(t, s)

	s.Apply(percona)
	waitForHint(s)
	if err := s.Absent(t.Context(), &appsv1.StatefulSet{}, "files"); err != nil {
		t.Error(err)
	}

	if err := s.Allow(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitForServer(s, "files")
}

// TestPermissionMissing tells that a first apply that is refused half way goes
// on where it stopped: what was made by then is not made again.
func TestPermissionMissing(t *testing.T) {
	s := earth.Scenario(t)
	if err := s.ForbidWrites(t.Context(), "networkpolicies"); err != nil {
		t.Fatal(err)
	}
	allow(t, s)

	s.Apply(percona)
	s.Eventually("the DittoServer says why it is refused", func(ctx context.Context) error { return says(ctx, s, "is forbidden") })
	// Crossplane applies in no order, and stops at what is refused.
	s.Eventually("something is made", func(ctx context.Context) error {
		if len(madeOnce(ctx, s)) == 0 {
			return errors.New("no Secret is made")
		}
		return nil
	})
	if err := s.Absent(t.Context(), &networkingv1.NetworkPolicy{}, "files-baseline"); err != nil {
		t.Error(err)
	}
	made := madeOnce(t.Context(), s)
	s.Throughout(quiet, "it does not make again what is made", func(ctx context.Context) error { return made.same(ctx, s) })

	if err := s.Allow(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitForServer(s, "files")
	if err := made.same(t.Context(), s); err != nil {
		t.Error(err)
	}
}

// allow Crossplane everything again when the story ends.
func allow(t *testing.T, s *world.Scenario) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Allow(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// waitForHint that a permission is missing. Crossplane cannot tell better: it
// waits for two minutes until it has read what it may not read.
func waitForHint(s *world.Scenario) {
	s.Helper()
	const patience = 5 * time.Minute
	s.Within(patience, "the DittoServer says that something cannot be read", func(ctx context.Context) error {
		return says(ctx, s, "Informer to sync")
	})
}

// says is no error if the condition Synced of the DittoServer says no for a
// reason.
func says(ctx context.Context, s *world.Scenario, why string) error {
	u, err := s.Find(ctx, world.DittoServer, "files")
	if err != nil {
		return err
	}
	c := world.Condition(u, "Synced")
	if c.Status != "False" || !strings.Contains(c.Message, why) {
		return fmt.Errorf("Synced is %q, %s: %s", c.Status, c.Reason, c.Message)
	}
	s.Step("Synced is False: %s", c.Message)
	return nil
}

// made is what is generated once: the values of Secrets by their names.
type made map[string]map[string][]byte

// madeOnce so far.
func madeOnce(ctx context.Context, s *world.Scenario) made {
	s.Helper()
	m := made{}
	for _, name := range []string{"files-jwt-secret", "files-admin-bootstrap-credentials", "files-connection"} {
		secret, err := s.Secret(ctx, name)
		if client.IgnoreNotFound(err) != nil {
			s.Fatal(err)
		}
		if err == nil {
			m[name] = secret.Data
		}
	}
	return m
}

func (m made) same(ctx context.Context, s *world.Scenario) error {
	for name, data := range m {
		secret, err := s.Secret(ctx, name)
		if err != nil {
			return err
		}
		for key, value := range data {
			if !bytes.Equal(secret.Data[key], value) {
				return fmt.Errorf("key %s of Secret %s has another value", key, name)
			}
		}
	}
	return nil
}

// waitForCondition of the DittoServer, with a text in its message.
func waitForCondition(s *world.Scenario, name, status, reason, text string) string {
	s.Helper()
	var message string
	s.Eventually(fmt.Sprintf("%s is %s: %s", name, status, reason), func(ctx context.Context) error {
		u, err := s.Find(ctx, world.DittoServer, "files")
		if err != nil {
			return err
		}
		c := world.Condition(u, name)
		if string(c.Status) != status || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("%s is %q, %s: %s", name, c.Status, c.Reason, c.Message)
		}
		message = c.Message
		return nil
	})
	return message
}

func definitionOf(manifest string) (*unstructured.Unstructured, error) {
	objects, err := cluster.Manifests([]byte(manifest))
	if err != nil {
		return nil, err
	}
	return objects[0], nil
}
