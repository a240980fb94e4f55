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
		"ListElement": {"An item of a list is named.", map[string]any{"networkPolicy": map[string]any{"from": []any{map[string]any{}, "x"}}}, `spec.networkPolicy.from[1]: Invalid value: "x"`},
		"InListItem":  {"So is a field of one.", map[string]any{"pod": map[string]any{"tolerations": []any{map[string]any{}, map[string]any{"key": 7.0}}}}, "spec.pod.tolerations[1].key: Invalid value: 7"},
		"List":        {"A list does not stand for an object.", map[string]any{"storage": []any{"x"}}, "spec.storage: Invalid value: cannot be read"},
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

func TestDecodeSpecSaysWhatBelongsThere(t *testing.T) {
	const begin = "cannot be read, correct its type or format: "
	cases := map[string]struct {
		reason string
		spec   map[string]any
		want   string
	}{
		"Number":   {"A number is not too large either.", map[string]any{"replicas": "one"}, "it must be a whole number, at most 2147483647"},
		"Seconds":  {"Some may be larger.", map[string]any{"terminationGracePeriodSeconds": 0.5}, "it must be a whole number, at most 9223372036854775807"},
		"Text":     {"YAML takes a bare 7 for a number.", map[string]any{"image": 7.0}, "it must be text, in quotes if it looks like something else"},
		"Bool":     {"Yes is a word.", map[string]any{"percona": map[string]any{"enabled": "yes"}}, "it must be true or false"},
		"List":     {"One item is no list.", map[string]any{"networkPolicy": map[string]any{"from": "x"}}, "it must be a list"},
		"Object":   {"A size is below storage.", map[string]any{"storage": "10Gi"}, "it must be an object with fields"},
		"Map":      {"Labels have names.", map[string]any{"pod": map[string]any{"labels": "a"}}, "it must be an object with fields"},
		"Quantity": {"Its decoder says it itself.", map[string]any{"resources": map[string]any{"limits": map[string]any{"cpu": "lots"}}}, "quantities must match the regular expression"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := structpb.NewStruct(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			said := decodeSpec(s, &v1alpha1.DittoServerSpec{})
			if said == nil || !strings.Contains(said.Error(), ": "+begin+tc.want) {
				t.Fatalf("%s\ndecodeSpec(...): want %q, got %v", tc.reason, begin+tc.want, said)
			}
			if strings.Contains(said.Error(), "Go ") || strings.Contains(said.Error(), "json") {
				t.Errorf("%s\ndecodeSpec(...) speaks of how it is made: %v", tc.reason, said)
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
