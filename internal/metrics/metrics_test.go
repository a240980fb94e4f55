package metrics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
)

// fake is a composition function made of a Go function.
type fake struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	run func(req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error)
}

func (f *fake) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	return f.run(req)
}

// request for a server with a status.
func request(t testing.TB, uid string, status map[string]any) *fnv1.RunFunctionRequest {
	t.Helper()
	xr, err := structpb.NewStruct(map[string]any{"metadata": map[string]any{"name": "files", "uid": uid}, "status": status})
	if err != nil {
		t.Fatal(err)
	}

	return &fnv1.RunFunctionRequest{Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: xr}}}
}

// status of a server with conditions, each "Type=Status Reason".
func status(phase string, conditions ...string) map[string]any {
	var list []any
	for _, c := range conditions {
		typ, rest, _ := strings.Cut(c, "=")
		is, reason, _ := strings.Cut(rest, " ")
		list = append(list, map[string]any{"type": typ, "status": is, "reason": reason, "message": "a message"})
	}

	return map[string]any{"phase": phase, "conditions": list}
}

func asking(names ...string) *fnv1.Requirements {
	r := &fnv1.Requirements{Resources: map[string]*fnv1.ResourceSelector{}}
	for _, n := range names {
		r.Resources[n] = &fnv1.ResourceSelector{}
	}

	return r
}

// lines of the text format, without comments.
func lines(t *testing.T, c prometheus.Collector, names ...string) []string {
	t.Helper()
	data, err := testutil.CollectAndFormat(c, expfmt.TypeTextPlain, names...)
	if err != nil {
		t.Fatal(err)
	}

	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(data)), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
}

func TestObserve(t *testing.T) {
	answered := func(names ...string) *fnv1.RunFunctionRequest {
		req := &fnv1.RunFunctionRequest{RequiredResources: map[string]*fnv1.Resources{}}
		for _, n := range names {
			req.RequiredResources[n] = nil // So does Crossplane say that there is none.
		}

		return req
	}

	cases := map[string]struct {
		reason        string
		req           *fnv1.RunFunctionRequest
		rsp           *fnv1.RunFunctionResponse
		err           error
		panics        any
		open, settled int
		outcome       string
	}{
		"FirstCall": {
			reason: "Crossplane has to fetch what is asked for.",
			rsp:    &fnv1.RunFunctionResponse{Requirements: asking("namespace")},
			open:   1, outcome: "composed",
		},
		"HalfKnown": {
			reason: "One answer leads to another question.",
			req:    answered("namespace"),
			rsp:    &fnv1.RunFunctionResponse{Requirements: asking("namespace", "cluster")},
			open:   1, outcome: "composed",
		},
		"AllKnown": {
			reason: "Everything is answered, also what does not exist.",
			req:    answered("namespace", "cluster", "of another step"),
			rsp:    &fnv1.RunFunctionResponse{Requirements: asking("namespace", "cluster"), Results: []*fnv1.Result{{Severity: fnv1.Severity_SEVERITY_WARNING}}},
			// An event is no refusal.
			settled: 1, outcome: "composed",
		},
		"Refused": {
			reason:  "Crossplane asks no further after a Fatal result, whatever is required.",
			rsp:     &fnv1.RunFunctionResponse{Requirements: asking("namespace"), Results: []*fnv1.Result{{Severity: fnv1.Severity_SEVERITY_FATAL}}},
			settled: 1, outcome: "refused",
		},
		"Panic": {
			reason: "A panic is a defect, and no call that counts.",
			panics: "at the disco", outcome: "panic",
		},
		"Error": {
			reason: "So is an error of gRPC.",
			err:    errors.New("boom"), outcome: "error",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := New("v1.2.3")
			fn := m.Observe(&fake{run: func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
				if tc.panics != nil {
					panic(tc.panics)
				}

				return tc.rsp, tc.err
			}})

			rsp, err, panicked := call(fn, tc.req)
			if rsp != tc.rsp || !errors.Is(err, tc.err) || panicked != tc.panics {
				t.Errorf("%s\nRunFunction(...): the caller gets something else than what the function returned: %v, %v, %v", tc.reason, rsp, err, panicked)
			}

			want := []string{
				fmt.Sprintf(`function_dittoserver_calls_total{requirements="open"} %d`, tc.open),
				fmt.Sprintf(`function_dittoserver_calls_total{requirements="settled"} %d`, tc.settled),
			}
			for _, o := range []string{"composed", "error", "panic", "refused"} {
				n := 0
				if o == tc.outcome {
					n = 1
				}
				want = append(want, fmt.Sprintf("function_dittoserver_run_duration_seconds_count{outcome=%q} %d", o, n))
			}
			got := slices.DeleteFunc(lines(t, m, "function_dittoserver_calls_total", "function_dittoserver_run_duration_seconds"), func(l string) bool {
				return strings.Contains(l, "_bucket") || strings.Contains(l, "_sum")
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// call a function that may panic.
func call(fn fnv1.FunctionRunnerServiceServer, req *fnv1.RunFunctionRequest) (rsp *fnv1.RunFunctionResponse, err error, panicked any) { //nolint:revive,staticcheck // In the order in which they are looked at.
	defer func() { panicked = recover() }()
	rsp, err = fn.RunFunction(context.Background(), req)

	return rsp, err, nil
}

// none are the servers' metrics when there are none.
func none(change ...string) []string {
	out := []string{
		`function_dittoserver_servers{phase="Pending"} 0`,
		`function_dittoserver_servers{phase="Running"} 0`,
		`function_dittoserver_servers{phase="Stopped"} 0`,
		`function_dittoserver_servers{phase="Unknown"} 0`,
	}
	for _, c := range change {
		series := c[:strings.LastIndex(c, " ")+1]
		if i := slices.IndexFunc(out, func(l string) bool { return strings.HasPrefix(l, series) }); i >= 0 {
			out[i] = c

			continue
		}
		out = append(out, c)
	}

	return out
}

func TestServers(t *testing.T) {
	cases := map[string]struct {
		reason string
		calls  []*fnv1.RunFunctionRequest
		want   []string
	}{
		"None": {
			reason: "Every phase is told from the start, so that a query has something to compare.",
			want:   none(),
		},
		"New": {
			reason: "A server without a status has no phase yet.",
			calls:  []*fnv1.RunFunctionRequest{request(t, "a", nil)},
			want:   none(`function_dittoserver_servers{phase="Unknown"} 1`),
		},
		"Phases": {
			reason: "Servers are told apart by UID.",
			calls: []*fnv1.RunFunctionRequest{
				request(t, "a", status("Running")), request(t, "b", status("Running")), request(t, "c", status("Stopped")), request(t, "d", status("Pending")), request(t, "e", status("Elsewhere")),
			},
			want: none(`function_dittoserver_servers{phase="Pending"} 1`, `function_dittoserver_servers{phase="Running"} 2`, `function_dittoserver_servers{phase="Stopped"} 1`, `function_dittoserver_servers{phase="Unknown"} 1`),
		},
		"Again": {
			reason: "A server counts once, as it was seen last.",
			calls:  []*fnv1.RunFunctionRequest{request(t, "a", status("Pending", "DatabaseReady=False PerconaCreating")), request(t, "a", status("Running", "DatabaseReady=True PerconaReady"))},
			want:   none(`function_dittoserver_servers{phase="Running"} 1`),
		},
		"Unmet": {
			reason: "What is False is told with its reason; Progressing=False is good news, and Ready is Crossplane's.",
			calls: []*fnv1.RunFunctionRequest{
				request(t, "a", status("Pending", "DatabaseReady=False PerconaCreating", "Available=False WaitingForDatabase", "Progressing=True WaitingForDatabase", "Ready=False Creating")),
				request(t, "b", status("Running", "DatabaseReady=False PerconaCreating", "Available=True MinimumReplicasAvailable", "Progressing=False Converged", "ConfigReady=Unknown FatalError")),
			},
			want: none(`function_dittoserver_servers{phase="Pending"} 1`, `function_dittoserver_servers{phase="Running"} 1`,
				`function_dittoserver_unmet_conditions{condition="Available",reason="WaitingForDatabase"} 1`,
				`function_dittoserver_unmet_conditions{condition="DatabaseReady",reason="PerconaCreating"} 2`),
		},
		"ForeignReasons": {
			reason: "Who may write a status cannot make any number of time series.",
			calls: []*fnv1.RunFunctionRequest{
				request(t, "a", status("Running", "DatabaseReady=False Nonsense1")), request(t, "b", status("Running", "DatabaseReady=False Nonsense2")), request(t, "c", status("Running", "DatabaseReady=False")),
			},
			want: none(`function_dittoserver_servers{phase="Running"} 3`, `function_dittoserver_unmet_conditions{condition="DatabaseReady",reason="Other"} 3`),
		},
		"Offline": {
			reason: "What is rendered from a file is no server.",
			calls:  []*fnv1.RunFunctionRequest{request(t, "", status("Running")), nil},
			want:   none(),
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := New("v1.2.3")
			fn := m.Observe(&fake{run: func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
				return &fnv1.RunFunctionResponse{}, nil
			}})
			for _, req := range tc.calls {
				if _, err := fn.RunFunction(t.Context(), req); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, lines(t, m, "function_dittoserver_servers", "function_dittoserver_unmet_conditions")); diff != "" {
				t.Errorf("%s\n-want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// A clock that a test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

// running servers that are counted.
func running(t *testing.T, s *servers) int {
	t.Helper()
	for _, l := range lines(t, s, "function_dittoserver_servers") {
		if n, ok := strings.CutPrefix(l, `function_dittoserver_servers{phase="Running"} `); ok {
			var i int
			if _, err := fmt.Sscan(n, &i); err != nil {
				t.Fatal(err)
			}

			return i
		}
	}
	t.Fatal("there is no such metric")

	return 0
}

// Nobody tells the function that a server is gone.
func TestServersExpire(t *testing.T) {
	cases := map[string]struct {
		reason string
		ttl    time.Duration
		kept   time.Duration
	}{
		"Default": {reason: "A minute's TTL leaves time for some calls to fail.", ttl: time.Minute, kept: 5 * time.Minute},
		"NoTTL":   {reason: "So does no TTL.", kept: 5 * time.Minute},
		"Lazy":    {reason: "Who has servers looked at rarely does not lose sight of them.", ttl: 10 * time.Minute, kept: 30 * time.Minute},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			m := &Metrics{servers: newServers(c.now), composed: New("").composed, settled: New("").settled}
			fn := m.Observe(&fake{run: func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
				return &fnv1.RunFunctionResponse{Meta: &fnv1.ResponseMeta{Ttl: durationpb.New(tc.ttl)}}, nil
			}})
			for _, uid := range []string{"deleted", "alive"} {
				if _, err := fn.RunFunction(t.Context(), request(t, uid, status("Running"))); err != nil {
					t.Fatal(err)
				}
			}

			c.Time = c.Add(tc.kept)
			if got := running(t, m.servers); got != 2 {
				t.Errorf("%s\nafter %s: want 2 servers, got %d", tc.reason, tc.kept, got)
			}
			if _, err := fn.RunFunction(t.Context(), request(t, "alive", status("Running"))); err != nil {
				t.Fatal(err)
			}
			c.Time = c.Add(time.Second)
			if got, held := running(t, m.servers), len(m.servers.seen); got != 1 || held != 1 {
				t.Errorf("%s\na second later: want 1 server, got %d, and %d in memory", tc.reason, got, held)
			}
		})
	}
}

// TestServersAreBounded: memory does not grow with the servers of a year, also
// if nobody collects.
func TestServersAreBounded(t *testing.T) {
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := newServers(c.now)
	req := request(t, "", status("Running"))
	metadata := req.GetObserved().GetComposite().GetResource().GetFields()["metadata"].GetStructValue()
	see := func(from, to int) {
		for i := from; i < to; i++ {
			metadata.Fields["uid"] = structpb.NewStringValue(fmt.Sprintf("server-%d", i))
			s.saw(req, time.Minute)
		}
	}

	see(0, maxServers+10)
	if len(s.seen) != maxServers || testutil.ToFloat64(s.uncounted) != 10 {
		t.Errorf("want %d servers, and 10 calls that are not counted, got %d and %v", maxServers, len(s.seen), testutil.ToFloat64(s.uncounted))
	}
	see(0, 1) // One that is known still is.
	if testutil.ToFloat64(s.uncounted) != 10 {
		t.Error("a server that is counted is not counted any more")
	}

	c.Time = c.Add(time.Hour)
	see(maxServers, maxServers+5)
	if len(s.seen) != 5 || testutil.ToFloat64(s.uncounted) != 10 {
		t.Errorf("an hour later: want 5 servers, got %d; %v calls are not counted", len(s.seen), testutil.ToFloat64(s.uncounted))
	}
}

// TestRoom holds the sizes that sightings are kept in.
func TestRoom(t *testing.T) {
	s := newServers(time.Now)
	if len(s.types) > maxWatched || len(s.reasons) > 255 {
		t.Errorf("%d types of conditions and %d reasons do not fit into a sighting", len(s.types), len(s.reasons))
	}
	if diff := cmp.Diff(len(condition.Types())-1, len(s.types)); diff != "" {
		t.Errorf("watched(): -want, +got:\n%s", diff)
	}
}

// TestConventions has Prometheus' own linter judge names, types and help texts.
func TestConventions(t *testing.T) {
	m := New("v1.2.3")
	fn := m.Observe(&fake{run: func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		return &fnv1.RunFunctionResponse{}, nil
	}})
	if _, err := fn.RunFunction(t.Context(), request(t, "a", status("Pending", "DatabaseReady=False PerconaCreating"))); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.CollectAndLint(m)
	if err != nil || len(problems) > 0 {
		t.Errorf("CollectAndLint(...): %v, %v", problems, err)
	}

	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	want := []string{
		"function_dittoserver_build_info", "function_dittoserver_calls_total", "function_dittoserver_run_duration_seconds",
		"function_dittoserver_servers", "function_dittoserver_uncounted_calls_total", "function_dittoserver_unmet_conditions",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want, +got:\n%s", diff)
	}
}

// TestAtOnce is for the race detector.
func TestAtOnce(t *testing.T) {
	m := New("v1.2.3")
	fn := m.Observe(&fake{run: func(*fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
		return &fnv1.RunFunctionResponse{}, nil
	}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				if _, err := fn.RunFunction(t.Context(), request(t, fmt.Sprint(i, j), status("Running"))); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() { testutil.CollectAndCount(m) })
	}
	wg.Wait()
	if got := running(t, m.servers); got != 400 {
		t.Errorf("want 400 servers, got %d", got)
	}
}

// TestCheap: a server that is known costs no memory.
func TestCheap(t *testing.T) {
	s := newServers(time.Now)
	req := request(t, "a", status("Running", "DatabaseReady=False PerconaNotReady", "Available=True MinimumReplicasAvailable", "Progressing=False Converged"))
	s.saw(req, time.Minute)
	if n := testing.AllocsPerRun(100, func() { s.saw(req, time.Minute) }); n > 0 {
		t.Errorf("a call allocates %v times", n)
	}
}
