// Package monitoring loads the dashboard and the alert rules with Prometheus'
// own parser, and compares what they ask for with what the running function
// exports.
package monitoring

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"sigs.k8s.io/yaml"
)

const (
	folder   = root + "/monitoring"
	document = root + "/docs/monitoring.md"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}

	return string(data)
}

// alerts of the rule file, as Prometheus loads it.
func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(read(t, folder+"/alerts.yaml")), false, model.LegacyValidation, newParser(), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatalf("Prometheus does not load the rules: %v", errs)
	}
	var out []rulefmt.Rule
	for _, g := range groups.Groups {
		out = append(out, g.Rules...)
	}

	return out
}

// TestRules: every rule can be evaluated, and says what is going on and what to
// do.
func TestRules(t *testing.T) {
	known, text := all(t), read(t, document)
	for _, r := range alerts(t) {
		judge(t, r.Alert, r.Expr, known)
		for _, what := range []string{"summary", "description", "runbook_url"} {
			if r.Annotations[what] == "" {
				t.Errorf("%s has no %s", r.Alert, what)
			}
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
		}
		if want := "/docs/monitoring.md#" + strings.ToLower(r.Alert); !strings.HasSuffix(r.Annotations["runbook_url"], want) || !strings.Contains(text, "\n### "+r.Alert+"\n") {
			t.Errorf("%s leads to no section of the document: %s", r.Alert, r.Annotations["runbook_url"])
		}
	}
	for _, title := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(text, -1) {
		if !slices.ContainsFunc(alerts(t), func(r rulefmt.Rule) bool { return r.Alert == title[1] }) {
			t.Errorf("the document has a section for %s, which is no alert", title[1])
		}
	}
}

// TestPrometheusRule: the Prometheus operator gets the same rules.
func TestPrometheusRule(t *testing.T) {
	type rules struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec struct {
			Groups any `json:"groups"`
		} `json:"spec"`
	}
	var got rules
	if err := yaml.UnmarshalStrict([]byte(read(t, folder+"/prometheusrule.yaml")), &got); err != nil {
		t.Fatal(err)
	}
	var plain struct {
		Groups any `json:"groups"`
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, folder+"/alerts.yaml")), &plain); err != nil {
		t.Fatal(err)
	}
	want := rules{APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule"}
	want.Metadata.Name = "function-dittoserver"
	want.Spec.Groups = plain.Groups
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-alerts.yaml, +prometheusrule.yaml:\n%s", diff)
	}
}

// A dashboard, as far as it is looked at.
type dashboard struct {
	UID        string `json:"uid"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int    `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	Datasource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	} `json:"datasource"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

// TestDashboard: every panel can be drawn, and has a place of its own.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, folder+"/dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	known := all(t)
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Definition
		if inner, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			metric, _, _ := strings.Cut(inner, ",")
			judge(t, "variable "+v.Name, metric, known)
		}
	}

	taken, ids, shown := map[[2]int]string{}, map[int]bool{}, map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q is not one of its own, with a title, a description and something to draw", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Datasource.Type != "prometheus" || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: the data source cannot be chosen: %v", p.Title, p.Datasource)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is wider than the dashboard", p.Title)
		}
		for _, target := range p.Targets {
			for _, name := range judge(t, p.Title, replaced(t, target.Expr, variables), known) {
				shown[name] = true
			}
		}
	}

	for name := range known {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if strings.HasPrefix(name, "function_dittoserver_") && base != "function_dittoserver_uncounted_calls_total" &&
			!shown[base] && !shown[base+"_bucket"] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// replaced are Grafana's variables, by something of their kind.
func replaced(t *testing.T, expr string, variables map[string]string) string {
	t.Helper()
	for _, v := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(expr, -1) {
		if _, ok := variables[v[1]]; !ok && v[1] != "__rate_interval" {
			t.Errorf("nobody knows the variable %s: %s", v[1], expr)
		}
	}

	return strings.NewReplacer("$__rate_interval", "5m", "$job", ".*").Replace(expr)
}

// TestDocument: every metric of the function's own has a row, with all of its
// labels, and no other has.
func TestDocument(t *testing.T) {
	want := map[string][]string{}
	for name, has := range scrape(t) {
		if !strings.HasPrefix(name, "function_dittoserver_") || strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") {
			continue
		}
		var own []string
		for label := range has {
			if !slices.Contains(added(), label) && label != "le" {
				own = append(own, "`"+label+"`")
			}
		}
		slices.Sort(own)
		want[strings.TrimSuffix(name, "_bucket")] = own
	}

	got := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(function_dittoserver_\\w+)` \\| \\w+ \\|([^|]*)\\|[^|]+\\|$").FindAllStringSubmatch(read(t, document), -1) {
		own := regexp.MustCompile("`\\w+`").FindAllString(row[2], -1)
		slices.Sort(own)
		got[row[1]] = own
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics and their labels: -exported, +%s:\n%s", filepath.Base(document), diff)
	}
}

// TestJudge holds what expressions are held to.
func TestJudge(t *testing.T) {
	known := exported{"a": {"b": true}}
	bad := map[string]string{
		"no expression":    `sum(`,
		"no such metric":   `nobody_exports_this`,
		"no such label":    `a{c="d"}`,
		"no such grouping": `sum by (c) (a)`,
		"no metric":        `1 + 1`,
	}
	for name, expr := range bad {
		t.Run(name, func(t *testing.T) {
			if _, problems := examine(expr, known); len(problems) == 0 {
				t.Errorf("%s is fine", expr)
			}
		})
	}
	if _, problems := examine(`sum by (b, job) (rate(a{b="x", instance="y"}[5m])) > 0`, known); len(problems) > 0 {
		t.Error(problems)
	}
}
