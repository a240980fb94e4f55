package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/plane"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

const (
	// fleetVariable says how many servers are made at once, in one run after
	// the other; fleetSizes are those of CI.
	fleetVariable = "E2E_FLEET"
	fleetSizes    = "50,200"

	// perconaEvery server of a fleet has a database of its own.
	perconaEvery = 10

	// fleetTimeout is for servers to converge, and to be gone: the API server
	// and Crossplane share a machine with few processors, and it with others.
	fleetTimeout = 15 * time.Minute
	fleetPoll    = time.Second

	// fleetSlack is how many more calls and applies a server of a larger fleet
	// may take than one of the smallest: reconciles do not come at the same
	// moments.
	fleetSlack = 1.25

	// callSlack is how much more of a processor a call may take in a larger
	// fleet: processors are shared.
	callSlack = 1.5

	// waitingPoll is how often Crossplane looks at a server that waits (R20).
	waitingPoll = 13500 * time.Millisecond

	crossplaneMetrics = "http://127.0.0.1:28080/metrics"
)

// fleetFlags of Crossplane for a machine with few processors. By default it
// reconciles a hundred things at the same time, which then all take long
// enough to be looked at again before they are done.
const fleetFlags = "--max-reconcile-rate=10"

// A cost is what something takes: calls of the function, seconds of its and of
// Crossplane's processor, and applies of XRs and their status.
type cost struct {
	at                          time.Time
	elapsed                     time.Duration
	calls, cpu, crossplane, api float64
}

// TestFleet tells that many servers at once all converge, and that the work
// grows no faster than their number. The pods are pretended.
func TestFleet(t *testing.T) {
	sizes := os.Getenv(fleetVariable)
	if sizes == "" {
		sizes = fleetSizes
	}
	s := earth.Scenario(t)
	if err := s.Plane.Pretend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Plane.CrashCrossplane(t.Context(), fleetFlags); err != nil {
		t.Fatal(err)
	}

	report := fmt.Sprintf("%8s %9s %9s %9s %15s %16s %14s %9s\n", "servers", "ready s", "calls", "calls/XR", "function ms/XR", "Crossplane ms/XR", "XR applies/XR", "peak MiB")
	var least, leastApplied, perCall float64
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", fleetVariable, err)
		}
		took := fleet(s, n)
		each, applied := took.calls/float64(n), took.api/float64(n)
		const ms = 1000
		report += fmt.Sprintf("%8d %9.0f %9.0f %9.1f %15.1f %16.1f %14.1f %9.0f\n", n, took.elapsed.Seconds(), took.calls, each,
			took.cpu*ms/float64(n), took.crossplane*ms/float64(n), applied, peak(s))
		s.Step("so far:\n%s", report)
		s.Keep("fleet.txt", report)
		if least == 0 {
			least, leastApplied, perCall = each, applied, took.cpu/took.calls
		}
		// While it takes longer, those that wait for a database are looked at
		// more often.
		polls := took.elapsed.Seconds() / waitingPoll.Seconds() / perconaEvery
		if most := least*fleetSlack + callsPerReconcile*polls; each > most {
			t.Errorf("of %d servers each took %.1f calls, want %.1f at most, as %.1f were enough in the smallest fleet", n, each, most, least)
		}
		if got, most := took.cpu/took.calls, perCall*callSlack; got > most {
			t.Errorf("with %d servers a call took %.2f ms of the function, want %.2f at most, as %.2f were enough in the smallest fleet", n, got*ms, most*ms, perCall*ms)
		}
		// Each reconcile applies the XR twice: itself and its status.
		if most := leastApplied*fleetSlack + 2*polls; applied > most {
			t.Errorf("of %d servers each was applied %.1f times, want %.1f at most, as %.1f were enough in the smallest fleet", n, applied, most, leastApplied)
		}
	}
}

// fleet of n servers, from their making until all are ready. It is gone
// afterwards.
func fleet(s *world.Scenario, n int) cost {
	s.Helper()
	ctx := s.Context()
	home := &corev1.Namespace{}
	home.Name, home.Labels = fmt.Sprintf("%s-%d", s.Namespace, n), plane.PretendedLabels()
	if err := s.Create(ctx, home); err != nil {
		s.Fatal(err)
	}

	before := costs(s)
	for i := range n {
		if err := s.ApplyYAMLIn(ctx, home.Name, []byte(member(i))); err != nil {
			s.Fatal(err)
		}
	}
	s.Step("%d servers are made in %.1fs", n, time.Since(before.at).Seconds())
	last := -1
	err := cluster.Poll(ctx, fleetTimeout, fleetPoll, func(ctx context.Context) (bool, error) {
		ready, waits, err := readyServers(ctx, s, home.Name)
		if err == nil && ready < n {
			err = fmt.Errorf("%d of %d servers are ready: %s", ready, n, waits)
		}
		if ready/10 != last/10 {
			last = ready
			s.Step("%d of %d servers are ready after %.0fs", ready, n, time.Since(before.at).Seconds())
		}
		return err == nil, err
	})
	if err != nil {
		s.Fatal(err)
	}
	after := costs(s)
	after.calls -= before.calls
	after.cpu -= before.cpu
	after.crossplane -= before.crossplane
	after.api -= before.api
	after.elapsed = after.at.Sub(before.at)

	s.Step("%d servers are ready after %.0fs", n, time.Since(before.at).Seconds())
	disband(s, home)
	return after
}

// member of a fleet.
func member(i int) string {
	spec := "  storage: {metadataSize: 1Gi}\n"
	if i%perconaEvery == perconaEvery-1 {
		spec += "  percona: {enabled: true, storageSize: 1Gi}\n"
	}
	return fmt.Sprintf("apiVersion: dittofs.io/v1alpha1\nkind: DittoServer\nmetadata: {name: files-%d}\nspec:\n%s", i, spec)
}

// readyServers of a namespace, and what one that is not ready waits for.
func readyServers(ctx context.Context, s *world.Scenario, namespace string) (ready int, waits string, err error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(world.DittoServer.GroupVersion().WithKind(world.DittoServer.Kind + "List"))
	if err := s.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return 0, "", err
	}
	for i := range list.Items {
		u := &list.Items[i]
		if c := world.Condition(u, "Ready"); c.Status == "True" {
			ready++
			continue
		}
		available := world.Condition(u, "Available")
		synced := world.Condition(u, "Synced")
		waits = fmt.Sprintf("%s: Synced %s %s, Available %s: %s", u.GetName(), synced.Status, synced.Message, available.Reason, available.Message)
	}
	return ready, waits, nil
}

// disband a fleet: its servers first, then its namespace with all databases.
func disband(s *world.Scenario, home *corev1.Namespace) {
	s.Helper()
	servers := &unstructured.Unstructured{}
	servers.SetGroupVersionKind(world.DittoServer)
	if err := s.DeleteAllOf(s.Context(), servers, client.InNamespace(home.Name)); err != nil {
		s.Fatal(err)
	}
	if err := s.Delete(s.Context(), home); err != nil {
		s.Fatal(err)
	}
	s.Within(fleetTimeout, "they are gone", func(ctx context.Context) error {
		time.Sleep(fleetPoll)
		err := s.Get(ctx, client.ObjectKeyFromObject(home), home)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		}
		return errors.New("the namespace is there")
	})
}

// costs so far.
func costs(s *world.Scenario) cost {
	s.Helper()
	function, api := must(s, functionMetrics), must(s, apiMetrics)
	crossplane, err := scrape(s.Context(), http.DefaultClient, crossplaneMetrics)
	if err != nil {
		s.Fatal(err)
	}
	const cpu = "process_cpu_seconds_total"
	return cost{at: time.Now(), calls: function.calls(), cpu: function.sum(cpu), crossplane: crossplane.sum(cpu), api: api.sum("apiserver_request_total", `group="dittofs.io"`, `verb="APPLY"`)}
}

// peak of the function's memory, in MiB, as the kernel knows it.
func peak(s *world.Scenario) float64 {
	s.Helper()
	name, err := functionPod(s.Context(), s)
	if err != nil {
		s.Fatal(err)
	}
	pids, err := s.Node.Processes(plane.CrossplaneNamespace, name)
	if err != nil {
		s.Fatal(err)
	}
	most := 0.0
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			s.Fatal(err)
		}
		for line := range strings.SplitSeq(string(status), "\n") {
			if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				n, err := strconv.ParseFloat(strings.Fields(kib)[0], 64)
				if err != nil {
					s.Fatal(err)
				}
				most = max(most, n)
			}
		}
	}
	const mebibyte = 1024
	return most / mebibyte
}
