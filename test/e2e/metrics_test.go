package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/plane"
	"github.com/dittofs/function-dittoserver/test/e2e/world"
)

// series are what a metrics endpoint says: values by names with labels.
type series map[string]float64

// scrape a metrics endpoint.
func scrape(ctx context.Context, client *http.Client, url string) (series, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	rsp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, rsp.Status)
	}
	all := series{}
	lines := bufio.NewScanner(rsp.Body)
	lines.Buffer(nil, 1<<20) //nolint:mnd // More than any line has.
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndex(line, " ")
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		if all[line[:i]], err = strconv.ParseFloat(line[i+1:], 64); err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", line, err)
		}
	}
	return all, lines.Err()
}

// sum of a metric over the series that have all these labels, each as
// name="value".
func (s series) sum(name string, labels ...string) float64 {
	total := 0.0
	for key, value := range s {
		if key != name && !strings.HasPrefix(key, name+"{") {
			continue
		}
		has := true
		for _, l := range labels {
			has = has && strings.Contains(key, l)
		}
		if has {
			total += value
		}
	}
	return total
}

// apiMetrics are the API server's.
func apiMetrics(ctx context.Context, s *world.Scenario) (series, error) {
	client, err := rest.HTTPClientFor(s.Config)
	if err != nil {
		return nil, err
	}
	return scrape(ctx, client, s.Config.Host+"/metrics")
}

// functionMetrics are the function's own.
func functionMetrics(ctx context.Context, s *world.Scenario) (series, error) {
	name, err := functionPod(ctx, s)
	if err != nil {
		return nil, err
	}
	ip, ok := s.Node.IP(plane.CrossplaneNamespace, name)
	if !ok {
		return nil, fmt.Errorf("pod %s does not run", name)
	}
	return scrape(ctx, &http.Client{Timeout: answerTimeout}, "http://"+ip+":8080/metrics")
}

// operatorRests waits until the Percona operator reconciles no cluster, and none
// waits for it: there is nothing left that it has read before and writes later.
func operatorRests(s *world.Scenario) {
	s.Helper()
	s.Eventually("the Percona operator rests", func(ctx context.Context) error {
		var pods corev1.PodList
		if err := s.List(ctx, &pods, client.HasLabels{"pgv2.percona.com/control-plane"}); err != nil {
			return err
		}
		if len(pods.Items) != 1 {
			return fmt.Errorf("the Percona operator has %d pods, want one", len(pods.Items))
		}
		ip, ok := s.Node.IP(pods.Items[0].Namespace, pods.Items[0].Name)
		if !ok {
			return fmt.Errorf("pod %s does not run", pods.Items[0].Name)
		}
		all, err := scrape(ctx, &http.Client{Timeout: answerTimeout}, "http://"+ip+":8080/metrics")
		if err != nil {
			return err
		}
		const clusters = `controller="postgrescluster"`
		for _, name := range []string{"controller_runtime_active_workers", "workqueue_depth"} {
			if n := all.sum(name, clusters); n > 0 {
				return fmt.Errorf("%s of clusters is %.0f", name, n)
			}
		}
		if all.sum("controller_runtime_reconcile_total", clusters) == 0 {
			return errors.New("it has no metrics of clusters")
		}
		return nil
	})
}

// calls of the function so far.
func (s series) calls() float64 {
	return s.sum("grpc_server_handled_total", `grpc_method="RunFunction"`)
}
