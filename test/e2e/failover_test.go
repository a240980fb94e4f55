package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// flips of the database's state, each out of ready and back. Crossplane is
// waited for at some of them: of those that follow each other at once it may
// see the last only.
const (
	flips     = 100
	seenEvery = 10
	flipPoll  = 50 * time.Millisecond
)

// TestFailover tells that a server stays as it is while its database leaves and
// reaches the state ready, again and again, whatever the reason.
func TestFailover(t *testing.T) {
	s := earth.Scenario(t)
	patient(t)
	s.Apply(percona)
	waitForServer(s, "files")
	before := take(s, "files")

	stop := serve(s)
	for i := range flips {
		for _, ready := range []bool{false, true} {
			if err := setDatabaseReady(t.Context(), s, ready); err != nil {
				t.Fatal(err)
			}
			waitForState(s, ready)
			switch {
			case i%seenEvery > 0:
			case ready:
				waitForCondition(s, "DatabaseReady", "True", "PerconaReady", "")
			default:
				waitForCondition(s, "DatabaseReady", "False", "PerconaNotReady", "keeps running")
			}
		}
		if err := before.same(t.Context()); err != nil {
			t.Fatalf("after flip %d: %v", i+1, err)
		}
	}
	s.Step("the database left and reached ready %d times", flips)
	for _, state := range []string{"initializing", "stopping", "paused", "unheard of", ""} {
		patchState(s, state)
		waitForState(s, true) // The operator says better.
	}
	still(s, "the server is as it was, also after false states", before.same)

	// A PostgreSQL that does not run is no reason to stop serving files.
	patchServer(s, map[string]any{"spec": map[string]any{"percona": map[string]any{"pause": true}}})
	waitForCondition(s, "DatabaseReady", "False", "PerconaPaused", "percona.pause")
	still(s, "the server is as it was, while its database is paused", before.same)
	patchServer(s, map[string]any{"spec": map[string]any{"percona": map[string]any{"pause": false}}})
	waitForCondition(s, "DatabaseReady", "True", "PerconaReady", "")
	still(s, "the server is as it was, now that its database is back", before.same)
	stop()
	s.Eventually("the DittoServer is ready", func(ctx context.Context) error {
		return s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "True")
	})
}

// serve asks the server, which answers, all the time until it is stopped: then
// it must not have failed once.
func serve(s *world.Scenario) (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	answered, failed := 0, 0
	var last error
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond) //nolint:mnd // Often.
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := nfs(ctx, "files-adapter-nfs."+s.Namespace+".svc:2049")
			switch {
			case err == nil:
				answered++
			case ctx.Err() == nil:
				failed++
				last = err
				s.Step("the server does not answer: %v", err)
			}
		}
	}()
	return func() {
		s.Helper()
		cancel()
		<-done
		if failed > 0 || answered == 0 {
			s.Errorf("the server answered %d times and failed %d times, want no failure; the last: %v", answered, failed, last)
		}
	}
}

// setDatabaseReady says of the database's pods whether they are ready, as their
// kubelet does.
func setDatabaseReady(ctx context.Context, s *world.Scenario, ready bool) error {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	var pods corev1.PodList
	if err := s.List(ctx, &pods, client.InNamespace(s.Namespace), client.MatchingLabels{"postgres-operator.crunchydata.com/data": "postgres"}); err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		return errors.New("the database has no pods")
	}
	patch := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":%q},{"type":"ContainersReady","status":%q}]}}`, status, status)
	for i := range pods.Items {
		if err := s.Status().Patch(ctx, &pods.Items[i], client.RawPatch(types.StrategicMergePatchType, patch)); err != nil {
			return err
		}
	}
	return nil
}

// patchState of the database, in the operator's place.
func patchState(s *world.Scenario, state string) {
	s.Helper()
	u, err := s.Find(s.Context(), world.PGCluster, "files-postgres")
	if err != nil {
		s.Fatal(err)
	}
	if err := s.Status().Patch(s.Context(), u, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"state":%q}}`, state))); err != nil {
		s.Fatal(err)
	}
}

// waitForState of the database, as the operator sees it.
func waitForState(s *world.Scenario, ready bool) {
	s.Helper()
	err := cluster.Poll(s.Context(), world.Timeout, flipPoll, func(ctx context.Context) (bool, error) {
		u, err := s.Find(ctx, world.PGCluster, "files-postgres")
		if err != nil {
			return false, err
		}
		state, _, _ := unstructured.NestedString(u.Object, "status", "state")
		if (state == "ready") != ready {
			return false, fmt.Errorf("the database is %q; its pods are ready: %t", state, ready)
		}
		return true, nil
	})
	if err != nil {
		s.Fatal(err)
	}
}
