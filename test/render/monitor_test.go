package render

import (
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// TestServiceMonitors are what the Prometheus operator's own types know: the
// function builds them without.
func TestServiceMonitors(t *testing.T) {
	found := false
	for _, e := range load(t) {
		for _, step := range render(t, e, false) {
			for _, o := range step.Output.Composed {
				if o.GetKind() != "ServiceMonitor" {
					continue
				}
				found = true
				data, err := yaml.Marshal(o.Object)
				if err != nil {
					t.Fatal(err)
				}
				monitor := &monitoringv1.ServiceMonitor{}
				if err := yaml.UnmarshalStrict(data, monitor); err != nil {
					t.Errorf("%s, stage %s: %v", e.Name, step.Stage.Name, err)
				}
				if gvk := monitoringv1.SchemeGroupVersion.WithKind(monitoringv1.ServiceMonitorsKind); monitor.GroupVersionKind() != gvk {
					t.Errorf("%s, stage %s: it is a %s", e.Name, step.Stage.Name, monitor.GroupVersionKind())
				}
				if len(monitor.Spec.Endpoints) != 1 || monitor.Spec.Endpoints[0].Authorization == nil || monitor.Spec.Endpoints[0].Authorization.Credentials.Name == "" {
					t.Errorf("%s, stage %s: nobody could scrape with %+v", e.Name, step.Stage.Name, monitor.Spec.Endpoints)
				}
			}
		}
	}
	if !found {
		t.Error("No example has a ServiceMonitor")
	}
}
