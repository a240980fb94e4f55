package crdtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const minimal = `
apiVersion: pgv2.percona.com/v2
kind: PerconaPGCluster
metadata: {name: c, namespace: ns}
spec:
  postgresVersion: 16
  instances:
  - name: instance1
    dataVolumeClaimSpec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
  users:
  - {name: dittofs, databases: [dittofs]}
  backups: {enabled: false}
`

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(spec map[string]any)
		want   string
	}{
		"Valid": {
			reason: "A minimal cluster is valid, and its numbers may be floats as YAML and protobuf give them.",
			change: func(map[string]any) {},
		},
		"Schema": {
			reason: "The schema bounds postgresVersion.",
			change: func(spec map[string]any) { spec["postgresVersion"] = 19 },
			want:   "spec.postgresVersion",
		},
		"CEL": {
			reason: "A rule wants a repository while backups are on.",
			change: func(spec map[string]any) {
				spec["backups"] = map[string]any{"enabled": true, "pgbackrest": map[string]any{}}
			},
			want: "At least one repository",
		},
		"ListKeys": {
			reason: "A list of type map refuses two items with the same key.",
			change: func(spec map[string]any) {
				spec["users"] = []any{map[string]any{"name": "a"}, map[string]any{"name": "a"}}
			},
			want: "Duplicate value",
		},
		"UnknownField": {
			reason: "A field that the schema does not know is an error, as it is for server-side apply.",
			change: func(spec map[string]any) { spec["nonsense"] = true },
			want:   "spec.nonsense",
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			obj := decode(t, minimal)
			spec, ok := obj["spec"].(map[string]any)
			if !ok {
				t.Fatal("The minimal cluster has no spec")
			}
			tc.change(spec)

			err := PerconaPGCluster(t).Validate(obj)
			if tc.want == "" && err != nil {
				t.Errorf("\n%s\nValidate(...): %v", tc.reason, err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("\n%s\nValidate(...): want an error about %q, got: %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestPerconaFieldManager(t *testing.T) {
	fm := PerconaFieldManager(t, "")
	empty := &unstructured.Unstructured{}
	empty.SetGroupVersionKind(PerconaPGCluster(t).GroupVersionKind())

	obj, err := fm.Apply(empty, &unstructured.Unstructured{Object: copyObject(decode(t, minimal))}, "us", true)
	if err != nil {
		t.Fatal(err)
	}
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		t.Fatalf("Apply(...) returned a %T", obj)
	}

	port, _, _ := unstructured.NestedInt64(u.Object, "spec", "port")
	if diff := cmp.Diff(int64(5432), port); diff != "" {
		t.Errorf("An applied object carries the schema's defaults: -want, +got:\n%s", diff)
	}
	fields := string(u.GetManagedFields()[0].FieldsV1.Raw)
	for _, want := range []string{`k:{\"name\":\"instance1\"}`, `v:\"dittofs\"`} {
		if !strings.Contains(fields, want) {
			t.Errorf("Lists are owned item by item: want %s in %s", want, fields)
		}
	}
	if strings.Contains(fields, "f:port") {
		t.Errorf("A default is nobody's: %s", fields)
	}
}

func TestLists(t *testing.T) {
	v := PerconaPGCluster(t)
	got := v.Lists()
	for path, want := range map[string]string{
		"spec.users":                          "map by name",
		"spec.users[].databases":              "set",
		"spec.instances[].sidecars":           "atomic",
		"spec.instances[].sidecars[].ports":   "map by containerPort, protocol",
		"spec.imagePullSecrets":               "atomic",
		"spec.instances[].sidecars[].env[]":   "",
		"status.conditions[].type":            "",
		"spec.instances[].volumeMounts":       "atomic",
		"spec.backups.pgbackrest.repos":       "map by name",
		"spec.instances[].tablespaceVolumes":  "map by name",
		"spec.proxy.pgBouncer.sidecars[].env": "map by name",
	} {
		if got[path] != want {
			t.Errorf("Lists()[%q]: want %q, got %q", path, want, got[path])
		}
	}
	for path, want := range got {
		if strings.Contains(path, "*") {
			continue // ListType knows no way through these.
		}
		if got := v.ListType(strings.Split(strings.ReplaceAll(path, "[]", ""), ".")...); got != want {
			t.Errorf("ListType(...) of %s: want %q as Lists() has it, got %q", path, want, got)
		}
	}
}

func decode(t *testing.T, s string) map[string]any {
	t.Helper()

	obj := map[string]any{}
	if err := yaml.Unmarshal([]byte(s), &obj); err != nil {
		t.Fatal(err)
	}
	return obj
}
