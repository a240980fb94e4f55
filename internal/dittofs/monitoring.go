package dittofs

import (
	"strconv"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// portMetrics is the name of the metrics' port on their Service.
const portMetrics = "metrics"

// metricsService leads to the metrics. Its annotations are what a Prometheus
// without the operator goes by.
func metricsService(srv *server.Server, seen *observed.State) desired.Object {
	m := srv.Spec.Metrics
	svc := service(srv, server.KeyMetricsService, v1alpha1.ServiceSpec{}, adapterPort(portMetrics, m.Port, m.Port)).
		WithLabels(map[string]string{server.LabelMetrics: "true"}).
		WithAnnotations(map[string]string{
			"prometheus.io/scrape": "true",
			"prometheus.io/port":   strconv.Itoa(int(m.Port)),
			"prometheus.io/path":   m.Path,
		})

	return desired.New(server.KeyMetricsService, svc, seen.Get(server.KeyMetricsService).Live())
}

// serviceMonitor has the Prometheus operator scrape the metrics. It is built
// without that operator's types: five fields do not warrant them.
func serviceMonitor(srv *server.Server, seen *observed.State) desired.Object {
	m, id := srv.Spec.Metrics, srv.Identity(server.KeyServiceMonitor)

	labels := map[string]any{}
	for name, value := range m.ServiceMonitor.Labels {
		labels[name] = value
	}
	for name, value := range srv.Labels("monitoring") {
		labels[name] = value
	}
	endpoint := map[string]any{"port": portMetrics, "path": m.Path}
	if m.ServiceMonitor.Interval != "" {
		endpoint["interval"] = m.ServiceMonitor.Interval
	}
	if ref := m.BearerTokenSecret; ref != nil {
		endpoint["authorization"] = map[string]any{"credentials": map[string]any{"name": ref.Name, "key": ref.Key}}
	}

	return desired.FromMap(id.Key, map[string]any{
		"apiVersion": id.APIVersion,
		"kind":       id.Kind,
		"metadata":   map[string]any{"name": id.Name, "namespace": srv.Namespace, "labels": labels},
		"spec": map[string]any{
			"selector":          map[string]any{"matchLabels": map[string]any{server.LabelServer: srv.Name, server.LabelMetrics: "true"}},
			"namespaceSelector": map[string]any{"matchNames": []any{srv.Namespace}},
			"endpoints":         []any{endpoint},
		},
	}, seen.Get(id.Key).Live())
}

// Monitoring tells a person whether the metrics are scraped.
func Monitoring(srv *server.Server, seen *observed.State) condition.Condition {
	typ := condition.TypeMonitoringReady
	switch {
	case !*srv.Spec.Metrics.Enabled:
		return condition.True(typ, condition.ReasonNotRequested, "No monitoring is asked for")
	case !srv.WantsMonitor():
		return condition.True(typ, condition.ReasonNotRequested, "Metrics are served by Service "+srv.Identity(server.KeyMetricsService).Name+"; no ServiceMonitor is asked for")
	case seen.MonitoringServed:
		return condition.True(typ, condition.ReasonServiceMonitorComposed, "ServiceMonitor "+srv.Identity(server.KeyServiceMonitor).Name+" has Prometheus scrape the metrics")
	}

	return condition.False(typ, condition.ReasonPrometheusOperatorNotInstalled, "The cluster does not serve ServiceMonitor: install the Prometheus operator, or set spec.metrics.serviceMonitor.enabled: false")
}
