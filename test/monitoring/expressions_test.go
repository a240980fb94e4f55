package monitoring

import (
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// elsewhere are metrics of others, with the labels that are used of them.
func elsewhere() exported {
	has := func(names ...string) map[string]bool {
		out := map[string]bool{}
		for _, n := range names {
			out[n] = true
		}

		return out
	}

	return exported{
		// crossplane v2.4.0 internal/xfn/function_runner_metrics.go.
		"function_run_function_response_total": has("function_name", "function_package", "grpc_target", "grpc_method", "grpc_code", "result_severity"),
		"function_run_function_seconds_bucket": has("function_name", "function_package", "grpc_target", "grpc_method", "grpc_code", "result_severity", "le"),
		// kube-state-metrics v2, docs/metrics/workload/pod-metrics.md.
		"kube_pod_container_status_restarts_total": has("container", "namespace", "pod", "uid"),
	}
}

// added are the labels that Prometheus adds to what it scrapes.
func added() []string { return []string{model.MetricNameLabel, "job", "instance"} }

func values[K comparable, V any](m map[K]V) []V { return slices.Collect(maps.Values(m)) }

// newParser of the language that Prometheus speaks by default.
func newParser() parser.Parser { return parser.NewParser(parser.Options{}) }

// judge an expression of a file, and return the names that it asks for.
func judge(t *testing.T, where, text string, known exported) []string {
	t.Helper()
	names, problems := examine(text, known)
	for _, p := range problems {
		t.Errorf("%s: %s", where, p)
	}

	return names
}

// examine an expression: it is one, and everything that it asks for is exported
// by somebody, with these labels.
func examine(text string, known exported) (names, problems []string) {
	expr, err := newParser().ParseExpr(text)
	if err != nil {
		return nil, []string{err.Error()}
	}

	var grouped []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.AggregateExpr:
			grouped = append(grouped, node.Grouping...)
		case *parser.VectorSelector:
			names = append(names, node.Name)
			has, ok := known[node.Name]
			if !ok {
				problems = append(problems, "nobody exports "+node.Name)
			}
			for _, m := range node.LabelMatchers {
				if !has[m.Name] && !slices.Contains(added(), m.Name) {
					problems = append(problems, node.Name+" has no label "+m.Name)
				}
			}
		}

		return nil
	})
	for _, label := range grouped {
		if !slices.Contains(added(), label) && !slices.ContainsFunc(names, func(n string) bool { return known[n][label] }) {
			problems = append(problems, "nothing that it sums up has the label "+label)
		}
	}
	if len(names) == 0 {
		problems = append(problems, "it asks for no metric")
	}

	return names, problems
}

// all that can be asked for.
func all(t *testing.T) exported {
	t.Helper()
	known := scrape(t)
	maps.Copy(known, elsewhere())

	return known
}
