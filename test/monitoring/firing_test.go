package monitoring

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

// healthy are two hours of two replicas of the function, Crossplane, and a
// server that runs, minute by minute.
const healthy = `
  function_dittoserver_build_info{version="v1", job="f", instance="a"} 1x120
  function_dittoserver_build_info{version="v1", job="f", instance="b"} 1x120
  function_dittoserver_servers{phase="Running", job="f", instance="a"} 1x120
  function_dittoserver_servers{phase="Running", job="f", instance="b"} 1x120
  function_dittoserver_servers{phase="Pending", job="f", instance="a"} 0x120
  function_dittoserver_calls_total{requirements="open", job="f", instance="a"} 0+1x120
  function_dittoserver_calls_total{requirements="settled", job="f", instance="a"} 0+1x120
  function_dittoserver_run_duration_seconds_count{outcome="composed", job="f", instance="a"} 0+2x120
  function_dittoserver_run_duration_seconds_count{outcome="refused", job="f", instance="a"} 0+1x120
  function_dittoserver_run_duration_seconds_count{outcome="panic", job="f", instance="a"} 0x120
  function_dittoserver_run_duration_seconds_bucket{outcome="composed", le="0.0025", job="f", instance="a"} 0+2x120
  function_dittoserver_run_duration_seconds_bucket{outcome="composed", le="1", job="f", instance="a"} 0+2x120
  function_dittoserver_run_duration_seconds_bucket{outcome="composed", le="+Inf", job="f", instance="a"} 0+2x120
  grpc_server_handled_total{grpc_method="RunFunction", grpc_code="OK", job="f", instance="a"} 0+2x120
  grpc_server_handled_total{grpc_method="RunFunction", grpc_code="Unavailable", job="another function", instance="c"} 0+2x120
  function_run_function_response_total{function_name="function-dittoserver", grpc_code="OK", result_severity="Normal"} 0+2x120
  function_run_function_response_total{function_name="function-kro", grpc_code="Unavailable", result_severity="Normal"} 0+2x120
  kube_pod_container_status_restarts_total{container="package-runtime", namespace="crossplane-system", pod="function-dittoserver-x"} 1x120
`

// TestAlertsFire evaluates every rule after two hours, in which its condition
// has lasted for longer than the rule waits.
func TestAlertsFire(t *testing.T) {
	cases := map[string]struct {
		reason string
		series string
		// want are the labels that the alert comes with, empty where it does not.
		want []string
	}{
		"FunctionDittoserverAbsent": {
			reason: "Nobody is there.", series: `up{job="other"} 1x120`, want: []string{"{}"},
		},
		"FunctionDittoserverRestarts": {
			reason: "A pod that restarts every ten minutes.",
			series: `kube_pod_container_status_restarts_total{container="package-runtime", namespace="crossplane-system", pod="dittofs-function-dittoserver-1-x"} 0+0.1x120`,
			want:   []string{`{namespace="crossplane-system", pod="dittofs-function-dittoserver-1-x"}`},
		},
		"FunctionDittoserverCallsFail": {
			reason: "Crossplane is refused.",
			series: `function_run_function_response_total{function_name="dittofs-function-dittoserver", grpc_code="Unavailable", result_severity="Normal"} 0+2x120`,
			want:   []string{`{function_name="dittofs-function-dittoserver", grpc_code="Unavailable"}`},
		},
		"FunctionDittoserverErrors": {
			reason: "The function itself answers with an error; another function's are not its own.",
			series: `function_dittoserver_build_info{version="v1", job="f", instance="a"} 1x120
  grpc_server_handled_total{grpc_method="RunFunction", grpc_code="Internal", job="f", instance="a"} 0+2x120
  grpc_server_handled_total{grpc_method="RunFunction", grpc_code="Unknown", job="g", instance="a"} 0+2x120`,
			want: []string{`{grpc_code="Internal"}`},
		},
		"FunctionDittoserverPanics": {
			reason: "One panic a while ago.",
			series: `function_dittoserver_run_duration_seconds_count{outcome="panic", job="f", instance="a"} 0x112 1x8`,
			want:   []string{"{}"},
		},
		"FunctionDittoserverSlow": {
			reason: "Every call takes up to a second.",
			series: `function_dittoserver_run_duration_seconds_bucket{outcome="composed", le="0.25", job="f", instance="a"} 0x120
  function_dittoserver_run_duration_seconds_bucket{outcome="composed", le="1", job="f", instance="a"} 0+2x120
  function_dittoserver_run_duration_seconds_bucket{outcome="composed", le="+Inf", job="f", instance="a"} 0+2x120`,
			want: []string{"{}"},
		},
		"FunctionDittoserverNotCalled": {
			reason: "Crossplane is gone, and what was counted with it.",
			series: `function_dittoserver_calls_total{requirements="settled", job="f", instance="a"} 0+1x90 90x30
  function_dittoserver_servers{phase="Running", job="f", instance="a"} 1x95 0x25`,
			want: []string{"{}"},
		},
		"FunctionDittoserverAsksOn": {
			reason: "Requirements never settle.",
			series: `function_dittoserver_calls_total{requirements="open", job="f", instance="a"} 0+5x120
  function_dittoserver_calls_total{requirements="settled", job="f", instance="a"} 0x120`,
			want: []string{"{}"},
		},
		"DittoServersRefused": {
			reason: "The replicas have seen different servers.",
			series: `function_dittoserver_unmet_conditions{condition="ConfigReady", reason="InvalidSpec", job="f", instance="a"} 2x120
  function_dittoserver_unmet_conditions{condition="ConfigReady", reason="InvalidSpec", job="f", instance="b"} 1x120
  function_dittoserver_unmet_conditions{condition="ConfigReady", reason="SecretNotFound", job="f", instance="b"} 1x120`,
			want: []string{`{reason="InvalidSpec"}`},
		},
		"DittoServersWait": {
			reason: "A Secret is missing; a refusal has an alert of its own.",
			series: `function_dittoserver_unmet_conditions{condition="ConfigReady", reason="InvalidSpec", job="f", instance="a"} 2x120
  function_dittoserver_unmet_conditions{condition="ConfigReady", reason="SecretNotFound", job="f", instance="b"} 1x120`,
			want: []string{`{condition="ConfigReady", reason="SecretNotFound"}`},
		},
		"DittoServersDiffer": {
			reason: "A volume cannot grow.",
			series: `function_dittoserver_unmet_conditions{condition="StorageUpToDate", reason="ExpansionRequired", job="f", instance="a"} 1x120
  function_dittoserver_unmet_conditions{condition="Available", reason="NoReplicasAvailable", job="f", instance="a"} 1x120`,
			want: []string{`{condition="StorageUpToDate", reason="ExpansionRequired"}`},
		},
	}

	store := promqltest.LoadedStorage(t, "load 1m"+healthy)
	for _, r := range alerts(t) {
		t.Run(r.Alert, func(t *testing.T) {
			if got := evaluate(t, store, r.Expr); len(got) > 0 {
				t.Errorf("%s is raised though all is well: %v", r.Alert, got)
			}
			tc, ok := cases[r.Alert]
			if !ok {
				t.Fatalf("%s has no case", r.Alert)
			}
			if diff := cmp.Diff(tc.want, lasting(t, promqltest.LoadedStorage(t, "load 1m\n  "+tc.series), r.Expr, r.For)); diff != "" {
				t.Errorf("%s\n%s: -want, +got:\n%s", tc.reason, r.Alert, diff)
			}
			delete(cases, r.Alert)
		})
	}
	for name := range cases {
		t.Errorf("%s is no alert", name)
	}
}

// end of the series.
func end() time.Time { return time.Unix(0, 0).Add(2 * time.Hour) }

// evaluate an expression at the end, as Prometheus does.
func evaluate(t *testing.T, store storage.Queryable, expr string) []string {
	t.Helper()

	return at(t, store, expr, end())
}

// lasting is what an expression has come to, minute by minute, for as long as a
// rule waits.
func lasting(t *testing.T, store storage.Queryable, expr string, wait model.Duration) []string {
	t.Helper()
	last := evaluate(t, store, expr)
	for ago := time.Duration(0); ago <= time.Duration(wait); ago += time.Minute {
		then := at(t, store, expr, end().Add(-ago))
		last = slices.DeleteFunc(last, func(l string) bool { return !slices.Contains(then, l) })
	}

	return last
}

func at(t *testing.T, store storage.Queryable, expr string, when time.Time) []string {
	t.Helper()
	engine := promqltest.NewTestEngine(t, false, 0, 100000)
	query, err := engine.NewInstantQuery(context.Background(), store, promql.NewPrometheusQueryOpts(false, 0), expr, when)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	result := query.Exec(context.Background())
	vector, err := result.Vector()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range vector {
		out = append(out, s.Metric.DropReserved(func(name string) bool { return name == model.MetricNameLabel }).String())
	}
	slices.Sort(out)

	return out
}
