// Package metrics counts what the function does, and the servers that it is
// called for, beside what gRPC's own metrics tell. It watches the function from
// outside: the function knows nothing of it.
package metrics

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

// prefix of every metric.
const prefix = "function_dittoserver_"

// How a call ended.
const (
	// outcomeComposed: the response says what the server is to be.
	outcomeComposed = "composed"
	// outcomeRefused: the response is Fatal, and nothing was changed (R9).
	outcomeRefused = "refused"
	// outcomePanic: a defect of the function; nothing was changed (R21).
	outcomePanic = "panic"
	// outcomeError: there is no response, which the function itself never does.
	outcomeError = "error"
)

// What a call told Crossplane about what it needs to know.
const (
	// requirementsOpen: Crossplane is to fetch more and to call again.
	requirementsOpen = "open"
	// requirementsSettled: everything that was asked for is in the request.
	requirementsSettled = "settled"
)

// buckets of a call's duration, in seconds. A call takes about a millisecond.
func buckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
}

// Metrics of the function. It is a prometheus.Collector.
type Metrics struct {
	servers *servers

	composed, refused, panicked, failed prometheus.Observer
	open, settled                       prometheus.Counter

	collectors []prometheus.Collector
}

// New returns metrics of a function of that version that has not been called.
func New(version string) *Metrics {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    prefix + "run_duration_seconds",
		Help:    "How long calls of the function took, without gRPC's share, by how they ended.",
		Buckets: buckets(),
	}, []string{"outcome"})
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "calls_total",
		Help: "Calls of the function by whether all that it needs to know was in the request (settled), or Crossplane had to fetch more and call again (open).",
	}, []string{"requirements"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        prefix + "build_info",
		Help:        "Always 1; the label has the function's version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)

	m := &Metrics{
		servers:  newServers(time.Now),
		composed: duration.WithLabelValues(outcomeComposed),
		refused:  duration.WithLabelValues(outcomeRefused),
		panicked: duration.WithLabelValues(outcomePanic),
		failed:   duration.WithLabelValues(outcomeError),
		open:     calls.WithLabelValues(requirementsOpen),
		settled:  calls.WithLabelValues(requirementsSettled),
	}
	m.collectors = []prometheus.Collector{m.servers, build, duration, calls}

	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors {
		c.Collect(ch)
	}
}

// Observe returns a function that does what the supplied one does, and counts
// it. A panic is counted and goes on.
func (m *Metrics) Observe(fn fnv1.FunctionRunnerServiceServer) fnv1.FunctionRunnerServiceServer {
	return &observer{wrapped: fn, metrics: m}
}

type observer struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	wrapped fnv1.FunctionRunnerServiceServer
	metrics *Metrics
}

// RunFunction calls the wrapped function.
func (o *observer) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (rsp *fnv1.RunFunctionResponse, err error) {
	start, returned := time.Now(), false
	defer func() {
		took := time.Since(start).Seconds()
		o.metrics.servers.saw(req, rsp.GetMeta().GetTtl().AsDuration())
		switch {
		case !returned:
			o.metrics.panicked.Observe(took)
		case err != nil:
			o.metrics.failed.Observe(took)
		case fatal(rsp):
			o.metrics.refused.Observe(took)
			o.metrics.settled.Inc() // Crossplane asks no further.
		default:
			o.metrics.composed.Observe(took)
			o.metrics.requirements(req, rsp).Inc()
		}
	}()
	rsp, err = o.wrapped.RunFunction(ctx, req)
	returned = true

	return rsp, err
}

// requirements of a response that are not in its request make Crossplane call
// again (crossplane v2.4.0 internal/xfn/required_resources.go).
func (m *Metrics) requirements(req *fnv1.RunFunctionRequest, rsp *fnv1.RunFunctionResponse) prometheus.Counter {
	given := req.GetRequiredResources()
	for name := range rsp.GetRequirements().GetResources() {
		if _, ok := given[name]; !ok {
			return m.open
		}
	}

	return m.settled
}

func fatal(rsp *fnv1.RunFunctionResponse) bool {
	return slices.ContainsFunc(rsp.GetResults(), func(r *fnv1.Result) bool { return r.GetSeverity() == fnv1.Severity_SEVERITY_FATAL })
}
