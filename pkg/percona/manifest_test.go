package percona

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	pgv2 "github.com/percona/percona-postgresql-operator/v2/pkg/apis/pgv2.percona.com/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
)

func TestManifest(t *testing.T) {
	cases := map[string]struct {
		reason string
		spec   pgv2.PerconaPGClusterSpec
		want   map[string]any
	}{
		"Empty": {
			reason: "What the types write of themselves is not sent: secrets, extensions, repos. A version of zero is a value.",
			spec:   pgv2.PerconaPGClusterSpec{},
			want:   map[string]any{"postgresVersion": int64(0)},
		},
		"FalseAndZero": {
			reason: "A false or a zero that somebody set is sent.",
			spec: pgv2.PerconaPGClusterSpec{
				PostgresVersion: 16,
				Backups:         pgv2.Backups{Enabled: new(false)},
				InstanceSets:    pgv2.PGInstanceSets{{Name: "a", Replicas: ptr.To[int32](0)}},
			},
			want: map[string]any{
				"postgresVersion": int64(16),
				"backups":         map[string]any{"enabled": false},
				"instances":       []any{map[string]any{"name": "a", "replicas": int64(0)}},
			},
		},
		"Quantities": {
			reason: "Quantities are canonical, as the operator writes them back.",
			spec: pgv2.PerconaPGClusterSpec{
				PostgresVersion: 16,
				InstanceSets: pgv2.PGInstanceSets{{
					Name: "a",
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceCPU:    resource.MustParse("1500m"),
						corev1.ResourceMemory: resource.MustParse("1024Mi"),
					}},
				}},
			},
			want: map[string]any{
				"postgresVersion": int64(16),
				"instances": []any{map[string]any{
					"name":      "a",
					"resources": map[string]any{"requests": map[string]any{"cpu": "1500m", "memory": "1Gi"}},
				}},
			},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Manifest(tc.spec)
			if err != nil {
				t.Fatalf("\n%s\nManifest(...): %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nManifest(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// noEmpties checks that nothing in a value says nothing.
func noEmpties(t rapid.TB, v any) {
	t.Helper()

	switch v := v.(type) {
	case nil:
		t.Errorf("A null is sent")
	case map[string]any:
		if len(v) == 0 {
			t.Errorf("An empty object is sent")
		}
		for _, child := range v {
			noEmpties(t, child)
		}
	case []any:
		if len(v) == 0 {
			t.Errorf("An empty list is sent")
		}
		for _, child := range v {
			noEmpties(t, child)
		}
	case float64:
		t.Errorf("A float is sent: %v", v)
	}
}
