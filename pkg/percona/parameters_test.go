package percona

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// TestOperatorsParameters reads the operator's source for the parameters that
// it overwrites, and its definition for those that it refuses. None of them
// can be set here.
func TestOperatorsParameters(t *testing.T) {
	dir, err := crdtest.ModuleDir("github.com/percona/percona-postgresql-operator/v2")
	if err != nil {
		t.Fatal(err)
	}

	names := map[string]string{}
	mandatory := regexp.MustCompile(`Mandatory\.Add\("([^"]+)"`)
	source := os.DirFS(filepath.Join(dir, "internal"))
	err = fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(source, path)
		for _, m := range mandatory.FindAllStringSubmatch(string(data), -1) {
			names[m[1]] = "is overwritten"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 12 {
		t.Errorf("Only %v were found in the operator's source", slices.Sorted(maps.Keys(names)))
	}

	v := crdtest.PerconaPGCluster(t)
	refuses := func(name, value string) bool {
		spec := wantedOf(t, server(v1alpha1.PerconaSpec{})).Spec
		spec["config"] = map[string]any{"parameters": map[string]any{name: value}}
		return v.Validate(map[string]any{"apiVersion": APIVersion, "kind": Kind, "metadata": map[string]any{"name": "files-postgres", "namespace": "team-a"}, "spec": spec}) != nil
	}
	if refuses("max_connections", "1") || !refuses("wal_level", "minimal") {
		t.Errorf("The operator's definition does not judge parameters")
	}
	data, err := os.ReadFile(filepath.Join(dir, "config", "crd", "bases", "pgv2.percona.com_perconapgclusters.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, rule := range regexp.MustCompile(`(?s)rule: .*?\n {20,}(?:- |[a-z]+:)`).FindAllString(string(data), -1) {
		for _, m := range regexp.MustCompile(`has\(self\.([a-z_]+)\)`).FindAllStringSubmatch(rule, -1) {
			if refuses(m[1], "x") && m[1] != "wal_level" {
				names[m[1]] = "is refused by the definition"
				rules++
			}
		}
		for _, m := range regexp.MustCompile(`k\.startsWith\("([a-z_]+)"\)`).FindAllStringSubmatch(rule, -1) {
			names[m[1]+"x"] = "is refused by the definition"
			rules++
		}
	}
	if rules < 20 {
		t.Errorf("Only %d names were found in the rules of the operator's definition", rules)
	}

	for _, name := range slices.Sorted(maps.Keys(names)) {
		if validateParameter(perconaPath("parameters").Key(name), name, "x") == nil {
			t.Errorf("%s %s by the operator, and can be set here", name, names[name])
		}
	}
	for _, name := range []string{"ssl_groups", "ssl_ecdh_curve", "max_connections", "shared_preload_libraries", "archive_timeout", "jit", "huge_pages", "auto_explain.log_min_duration"} {
		if err := validateParameter(perconaPath("parameters").Key(name), name, "x"); err != nil || refuses(name, "x") {
			t.Errorf("%s is left to people by the operator, and cannot be set here: %v", name, err)
		}
	}
}
