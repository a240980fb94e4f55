package logged

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
)

func TestValues(t *testing.T) {
	cases := map[string]struct {
		reason string
		xr     map[string]any
		want   []any
	}{
		"Namespaced": {
			reason: "Crossplane 2 keeps its own fields in spec.crossplane.",
			xr: map[string]any{
				"kind": "DittoServer", "metadata": map[string]any{"name": "files", "namespace": "team-a"},
				"spec": map[string]any{"crossplane": map[string]any{"compositionRef": map[string]any{"name": "percona"}}},
			},
			want: []any{"xr", "files", "namespace", "team-a", "kind", "DittoServer", "composition", "percona", "tag", "t"},
		},
		"Claimed": {
			reason: "A legacy XR has no namespace, and Crossplane's fields in its spec.",
			xr: map[string]any{
				"kind": "XDittoServer", "metadata": map[string]any{"name": "files-x7k2p"},
				"spec": map[string]any{"compositionRef": map[string]any{"name": "percona"}},
			},
			want: []any{"xr", "files-x7k2p", "namespace", "", "kind", "XDittoServer", "composition", "percona", "tag", "t"},
		},
		"Malformed": {
			reason: "Nothing is made up for what cannot be read.",
			xr:     map[string]any{"kind": 7, "metadata": []any{"name"}, "spec": "x"},
			want:   []any{"xr", "", "namespace", "", "kind", "", "composition", "", "tag", "t"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			xr, err := structpb.NewStruct(tc.xr)
			if err != nil {
				t.Fatal(err)
			}
			got := Values(&fnv1.RunFunctionRequest{Meta: &fnv1.RequestMeta{Tag: "t"}, Observed: &fnv1.State{Composite: &fnv1.Resource{Resource: xr}}})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nValues(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	if diff := cmp.Diff([]any{"xr", "", "namespace", "", "kind", "", "composition", "", "tag", ""}, Values(nil)); diff != "" {
		t.Errorf("Values(nil): -want, +got:\n%s", diff)
	}
}
