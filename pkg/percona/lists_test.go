package percona

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/crdtest"
)

// TestMergeKeys holds what we know about lists to the operator's definition,
// list by list.
func TestMergeKeys(t *testing.T) {
	merged := 0
	for path, want := range crdtest.PerconaPGCluster(t).Lists() {
		path, inSpec := strings.CutPrefix(path, "spec.")
		if !inSpec {
			continue
		}
		got := "atomic"
		if keys := mergeKeys(path); len(keys) > 0 {
			got = "map by " + strings.Join(keys, ", ")
		}
		if isSet(path) {
			got = "set"
		}
		if got != want {
			t.Errorf("%s: the definition says %s, we say %s", path, want, got)
		}
		if want != "atomic" {
			merged++
		}
	}
	if merged < 40 {
		t.Errorf("The definition merges %d lists only: it was not read", merged)
	}
}

func TestOverridesWithDuplicates(t *testing.T) {
	const sidecar = `"name": "a", "image": "x"`
	pooler := func(list string) string {
		return `{"proxy": {"pgBouncer": {"sidecars": [{` + sidecar + `, ` + list + `}]}}}`
	}

	cases := map[string]struct {
		reason string
		patch  string
		want   string
	}{
		"Variables": {
			reason: "A variable has one value.",
			patch:  pooler(`"env": [{"name": "A", "value": "1"}, {"name": "B"}, {"name": "A", "value": "2"}]`),
			want:   `proxy.pgBouncer.sidecars[0].env[2].name: Duplicate value: "A"`,
		},
		"VariablesOfAnother": {
			reason: "In two containers it may have two.",
			patch:  `{"proxy": {"pgBouncer": {"sidecars": [{` + sidecar + `, "env": [{"name": "A"}]}, {"name": "b", "env": [{"name": "A"}]}]}}}`,
		},
		"Ports": {
			reason: "A port without a protocol is one of TCP.",
			patch:  pooler(`"ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}]`),
			want:   `proxy.pgBouncer.sidecars[0].ports[2].containerPort: Duplicate value: 80`,
		},
		"PortsOfProtocols": {
			reason: "Each protocol has ports of its own.",
			patch:  pooler(`"ports": [{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 80}, {"containerPort": 81}]`),
		},
		"Mounts": {
			reason: "One volume is mounted at a path.",
			patch:  `{"backups": {"pgbackrest": {"repoHost": {"sidecars": [{"name": "b"}, {` + sidecar + `, "volumeMounts": [{"name": "v", "mountPath": "/m"}, {"name": "w", "mountPath": "/m"}]}]}}}}`,
			want:   `backups.pgbackrest.repoHost.sidecars[1].volumeMounts[1].mountPath: Duplicate value: "/m"`,
		},
		"Devices": {
			reason: "One device is at a path.",
			patch:  `{"instances": [{"name": "instance1", "initContainers": [{"name": "i", "volumeDevices": [{"name": "v", "devicePath": "/d"}, {"name": "w", "devicePath": "/d"}]}]}]}`,
			want:   `instances[instance1].initContainers[0].volumeDevices[1].devicePath: Duplicate value: "/d"`,
		},
		"Claims": {
			reason: "Also where the list around it is replaced whole.",
			patch:  pooler(`"resources": {"claims": [{"name": "gpu"}, {"name": "gpu", "request": "r"}]}`),
			want:   `proxy.pgBouncer.sidecars[0].resources.claims[1].name: Duplicate value: "gpu"`,
		},
		"Set": {
			reason: "A set has each of its values once.",
			patch:  pooler(`"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1, 2, 1]}}]`),
			want:   `proxy.pgBouncer.sidecars[0].restartPolicyRules[0].exitCodes.values[2]: Duplicate value: 1`,
		},
		"NoKey": {
			reason: "What is merged by a key has one.",
			patch:  pooler(`"env": [{"value": "1"}]`),
			want:   `proxy.pgBouncer.sidecars[0].env[0].name: Required value: items of this list are told apart by it`,
		},
		"Atomic": {
			reason: "Any other list is taken as it is.",
			patch:  `{"imagePullSecrets": [{"name": "a"}, {"name": "a"}], "patroni": {"dynamicConfiguration": {"sidecars": [{"env": [{"name": "A"}, {"name": "A"}]}]}}}`,
		},
	}

	converter := crdtest.PerconaTypeConverter(t)
	applied := func(t *testing.T, patch string) error {
		t.Helper()
		spec := map[string]any{}
		if err := json.Unmarshal([]byte(patch), &spec); err != nil {
			t.Fatal(err)
		}
		cluster := map[string]any{"apiVersion": "pgv2.percona.com/v2", "kind": "PerconaPGCluster", "metadata": map[string]any{"name": "c"}, "spec": spec}
		_, err := converter.ObjectToTyped(&unstructured.Unstructured{Object: cluster})
		return err
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ds := server(v1alpha1.PerconaSpec{PGBouncer: v1alpha1.PGBouncerSpec{Enabled: new(true)}, Overrides: overrides(tc.patch)})
			got, want := "", ""
			if tc.want != "" {
				want = "spec.percona.overrides." + tc.want
			}
			if _, err := BuildPerconaPGClusterSpec(ds); err != nil {
				got = err.Error()
				if _, ok := errors.AsType[*field.Error](err); !ok {
					t.Errorf("\n%s\nBuildPerconaPGClusterSpec(...): %v names no field", tc.reason, err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("\n%s\nBuildPerconaPGClusterSpec(...): -want, +got:\n%s", tc.reason, diff)
			}
			// An API server agrees.
			if err := applied(t, tc.patch); (err != nil) != (tc.want != "") {
				t.Errorf("\n%s\nServer-side apply says: %v", tc.reason, err)
			}
		})
	}
}
