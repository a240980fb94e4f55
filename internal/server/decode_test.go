package server

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

func TestDecodeSpecNamesTheField(t *testing.T) {
	cases := map[string]struct {
		reason string
		spec   map[string]any
		want   string
	}{
		"Number":      {"A text stands where a number belongs.", map[string]any{"replicas": "one"}, `spec.replicas: Invalid value: "one"`},
		"Nested":      {"The smallest field is named.", map[string]any{"controlPlane": map[string]any{"port": true}}, "spec.controlPlane.port: Invalid value: true"},
		"Quantity":    {"Quantities do not say where they are.", map[string]any{"resources": map[string]any{"limits": map[string]any{"cpu": "lots"}}}, `spec.resources.limits.cpu: Invalid value: "lots"`},
		"Object":      {"A text stands where an object belongs.", map[string]any{"storage": "10Gi"}, `spec.storage: Invalid value: "10Gi"`},
		"ListElement": {"A list is named as a whole.", map[string]any{"networkPolicy": map[string]any{"from": []any{"x"}}}, "spec.networkPolicy.from: Invalid value"},
		"FirstOfTwo":  {"The first by name comes first, every time.", map[string]any{"replicas": "one", "image": 7.0}, "spec.image: Invalid value: 7"},
		"Overflow":    {"A number can be too large.", map[string]any{"replicas": 1e12}, "spec.replicas: Invalid value"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := structpb.NewStruct(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			err = decodeSpec(s, &v1alpha1.DittoServerSpec{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\ndecodeSpec(...): want %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestDecodeSpecIsCaseSensitive(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"Replicas": 0.0, "unknown": "x"})
	if err != nil {
		t.Fatal(err)
	}
	spec := v1alpha1.DittoServerSpec{}
	if err := decodeSpec(s, &spec); err != nil || spec.Replicas != nil {
		t.Errorf("decodeSpec(...): a field of another name is read: %v, %v", spec.Replicas, err)
	}
}
