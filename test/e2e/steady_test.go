package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

const (
	// steadyVariable says for how long nothing has to be written; steadyTime
	// is that of CI.
	steadyVariable = "E2E_STEADY"
	steadyTime     = 5 * time.Minute

	// settled is a server that nothing was written of for so long: longer than
	// it takes Crossplane to look at a server that waits for something.
	settled = 20 * time.Second

	// settledPoll is how often that is looked at.
	settledPoll = time.Second

	// reconcileTime is more than a reconcile takes.
	reconcileTime = 5 * time.Second

	// What a reconcile may take of the function's calls: one for each round of
	// requirements (R18), and one that shows that they have settled.
	callsPerReconcile = 3

	// steadyPoll is how often Crossplane looks at a server that is as it should
	// be (R20); it varies by a tenth.
	steadyPoll = 54 * time.Second

	crossplaneManager = "apiextensions.crossplane.io"
)

// TestSteady tells that nothing is written while nothing changes: Crossplane
// asks and applies, and the API server finds that all is as it should be.
func TestSteady(t *testing.T) {
	duration := steadyTime
	if text := os.Getenv(steadyVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", steadyVariable, err)
		}
	}
	s := earth.Scenario(t)
	s.Apply(percona + "  metrics: {enabled: true}\n---" + more)
	waitForServer(s, "files")
	s.Eventually("the other server is ready", func(ctx context.Context) error {
		return s.ConditionIs(ctx, world.DittoServer, "more", "Ready", "True")
	})
	servers := []string{"files", "more"}
	s.Eventually("no other story is being cleared up", func(ctx context.Context) error {
		var all corev1.NamespaceList
		if err := s.List(ctx, &all); err != nil {
			return err
		}
		for i := range all.Items {
			if all.Items[i].DeletionTimestamp != nil {
				return fmt.Errorf("namespace %s is being deleted", all.Items[i].Name)
			}
		}
		return nil
	})
	settle(s, servers)

	before := snapshot(s, servers)
	writes := observe(s, before)
	// No reconcile may be under way between the two: its call would be counted
	// before, and its applies after.
	api, function := must(s, apiMetrics), must(s, functionMetrics)
	s.Eventually("nothing is being reconciled", func(context.Context) error {
		begun := must(s, functionMetrics)
		time.Sleep(reconcileTime)
		api = must(s, apiMetrics)
		time.Sleep(reconcileTime)
		if function = must(s, functionMetrics); function.calls() > begun.calls() {
			return fmt.Errorf("the function was called %.0f times meanwhile", function.calls()-begun.calls())
		}
		return nil
	})
	s.Throughout(duration, "the servers are ready", func(ctx context.Context) error {
		time.Sleep(settledPoll)
		return s.ConditionIs(ctx, world.DittoServer, "files", "Ready", "True")
	})
	// Who applies has called before.
	requests := sent(api, must(s, apiMetrics))
	calls := must(s, functionMetrics).calls() - function.calls()
	after := snapshot(s, servers)

	s.Keep("requests.txt", table(requests))
	s.Step("the function was called %.0f times; Crossplane and others sent:\n%s", calls, table(requests))
	for _, w := range writes() {
		t.Errorf("written: %s", w)
	}
	if diff := differences(before, after); len(diff) > 0 {
		t.Errorf("not as before:\n%s", strings.Join(diff, "\n"))
	}
	// A story that failed leaves its servers, which are looked at too.
	if most := float64(count(s)*callsPerReconcile) * (duration.Seconds()/steadyPoll.Seconds() + 1); calls > most {
		t.Errorf("the function was called %.0f times, want %.0f at most", calls, most)
	}
	for key, n := range requests {
		// At each reconcile Crossplane applies each object once, and no other
		// way. Of the Percona operator nothing is said here.
		if !strings.Contains(key, " dittofs.io ") && !strings.Contains(key, " networkpolicies ") && !strings.Contains(key, " perconapgclusters  ") {
			continue
		}
		if !strings.HasPrefix(key, "APPLY ") || !strings.HasSuffix(key, " 200") || n > calls {
			t.Errorf("%.0f requests %q at %.0f calls, want applies alone, one for each call at most", n, key, calls)
		}
	}
	if calls == 0 && duration > steadyPoll+settled {
		t.Error("the function was not called: nothing was put to the test")
	}
}

// record of an object: what tells that it was written.
type record struct {
	gvk             schema.GroupVersionKind
	name            string
	ResourceVersion string
	Generation      int64
	// Managed is what Crossplane's managers own, and since when.
	Managed string
}

// shared objects have a status that another controller writes, so that their
// resourceVersion may move.
func (r record) shared() bool { return r.gvk.GroupKind() == world.PGCluster.GroupKind() }

// snapshot of the servers and of what is composed of them.
func snapshot(s *world.Scenario, servers []string) map[string]record {
	s.Helper()
	records := map[string]record{}
	for _, name := range servers {
		xr, err := s.Find(s.Context(), world.DittoServer, name)
		if err != nil {
			s.Fatal(err)
		}
		composed, err := composedOf(s.Context(), s, name)
		if err != nil {
			s.Fatal(err)
		}
		for _, u := range append(composed, xr) {
			r := recordOf(u)
			records[r.gvk.Kind+" "+r.name] = r
		}
	}
	return records
}

func recordOf(u *unstructured.Unstructured) record {
	r := record{gvk: u.GroupVersionKind(), name: u.GetName(), ResourceVersion: u.GetResourceVersion(), Generation: u.GetGeneration()}
	for _, m := range u.GetManagedFields() {
		if strings.HasPrefix(m.Manager, crossplaneManager) {
			encoded, err := json.Marshal(m)
			r.Managed += fmt.Sprintln(string(encoded), err)
		}
	}
	return r
}

// differences between snapshots.
func differences(before, after map[string]record) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(before)) {
		was, is := before[key], after[key]
		if was.shared() {
			was.ResourceVersion, is.ResourceVersion = "", ""
		}
		if was != is {
			all = append(all, fmt.Sprintf("%s: was %+v, is %+v", key, was, is))
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			all = append(all, key+" is new")
		}
	}
	return all
}

// settle until nothing was written of the servers for a while.
func settle(s *world.Scenario, servers []string) {
	s.Helper()
	last, since := snapshot(s, servers), time.Now()
	err := cluster.Poll(s.Context(), world.Timeout, settledPoll, func(context.Context) (bool, error) {
		now := snapshot(s, servers)
		diff := differences(last, now)
		if len(diff) > 0 {
			last, since = now, time.Now()
		}
		return time.Since(since) > settled, fmt.Errorf("written a moment ago: %v", diff)
	})
	if time.Since(since) < settled {
		s.Fatalf("the servers do not settle: %v", err)
	}
	s.Step("the servers have settled")
}

// observe every write of the objects from now on. It returns what was written
// until it is called.
func observe(s *world.Scenario, records map[string]record) (writes func() []string) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	kinds := map[schema.GroupVersionKind]bool{}
	for _, r := range records {
		kinds[r.gvk] = true
	}
	var mu sync.Mutex
	var seen []string
	var all sync.WaitGroup
	for gvk := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		if err := s.List(ctx, list, client.InNamespace(s.Namespace)); err != nil {
			s.Fatal(err)
		}
		w, err := s.Watch(ctx, list, client.InNamespace(s.Namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}})
		if err != nil {
			s.Fatal(err)
		}
		all.Go(func() {
			for event := range w.ResultChan() {
				if ctx.Err() != nil {
					continue // What the end of the watch says is no write.
				}
				if said := judge(event, records); said != "" {
					mu.Lock()
					seen = append(seen, said)
					mu.Unlock()
				}
			}
			if ctx.Err() == nil {
				s.Errorf("the watch of %s ended", gvk.Kind)
			}
		})
	}
	return func() []string {
		cancel()
		all.Wait()
		return seen
	}
}

// judge what a watch says of an object: a status that is another controller's
// is no write of ours.
func judge(event watch.Event, records map[string]record) string {
	u, ok := event.Object.(*unstructured.Unstructured)
	if !ok {
		return fmt.Sprintf("%s: %v", event.Type, event.Object)
	}
	now := recordOf(u)
	was, known := records[now.gvk.Kind+" "+now.name]
	if !known {
		return ""
	}
	if was.shared() && event.Type == watch.Modified && was.Generation == now.Generation && was.Managed == now.Managed {
		return ""
	}
	return fmt.Sprintf("%s %s %s at %s, was %s", event.Type, now.gvk.Kind, now.name, now.ResourceVersion, was.ResourceVersion)
}

// sent are the requests that write, of the kinds that servers are made of, by
// verb and resource. Most change nothing: Crossplane applies at every reconcile.
func sent(before, after series) map[string]float64 {
	requests := map[string]float64{}
	for key, value := range after {
		if !strings.HasPrefix(key, "apiserver_request_total{") || value == before[key] {
			continue
		}
		labels := map[string]string{}
		for l := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(key, "apiserver_request_total{"), "}"), ",") {
			name, value, _ := strings.Cut(l, "=")
			labels[name] = strings.Trim(value, `"`)
		}
		switch labels["verb"] {
		case "GET", "LIST", "WATCH":
		default:
			requests[strings.Join([]string{labels["verb"], labels["group"], labels["resource"], labels["subresource"], labels["code"]}, " ")] += value - before[key]
		}
	}
	return requests
}

func table(requests map[string]float64) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(requests)) {
		fmt.Fprintf(&b, "%6.0f %s\n", requests[key], key)
	}
	return b.String()
}

// count the servers of all stories.
func count(s *world.Scenario) int {
	s.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(world.DittoServer.GroupVersion().WithKind(world.DittoServer.Kind + "List"))
	if err := s.List(s.Context(), list); err != nil {
		s.Fatal(err)
	}
	return len(list.Items)
}

// must get metrics.
func must(s *world.Scenario, get func(context.Context, *world.Scenario) (series, error)) series {
	s.Helper()
	all, err := get(s.Context(), s)
	if err != nil {
		s.Fatal(err)
	}
	return all
}
