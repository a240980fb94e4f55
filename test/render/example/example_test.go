package example

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dittofs/function-dittoserver/test/render/engine"
)

func obj(kind, name string, fields map[string]any) unstructured.Unstructured {
	o := map[string]any{"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}
	merge(o, fields)
	return unstructured.Unstructured{Object: o}
}

func secret(resourceName, key, value string) unstructured.Unstructured {
	return obj("Secret", resourceName, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{engine.AnnotationResourceName: resourceName}},
		"data":     map[string]any{key: value},
	})
}

func hashed(hash string) unstructured.Unstructured {
	return obj("StatefulSet", "files", map[string]any{"spec": map[string]any{"template": map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{AnnotationConfigHash: hash}},
	}}})
}

const (
	hashA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestMaskApply(t *testing.T) {
	cases := map[string]struct {
		reason string
		in     []unstructured.Unstructured
		want   []unstructured.Unstructured
	}{
		"SameValueSameNumber": {
			reason: "A value that comes up twice keeps its number, so that a file tells it is the same.",
			in:     []unstructured.Unstructured{secret("admin-credentials", "password", "b25l"), secret("connection", "password", "b25l"), secret("jwt-secret", "jwt-secret", "dHdv")},
			want:   []unstructured.Unstructured{secret("admin-credentials", "password", "(generated 1)"), secret("connection", "password", "(generated 1)"), secret("jwt-secret", "jwt-secret", "(generated 2)")},
		},
		"OtherKeysStay": {
			reason: "What is not generated is compared.",
			in:     []unstructured.Unstructured{secret("connection", "api-url", "b25l"), secret("other", "password", "b25l")},
			want:   []unstructured.Unstructured{secret("connection", "api-url", "b25l"), secret("other", "password", "b25l")},
		},
		"NotBase64Stays": {
			reason: "A value that the API server would refuse is for all to see.",
			in:     []unstructured.Unstructured{secret("connection", "password", "not base64")},
			want:   []unstructured.Unstructured{secret("connection", "password", "not base64")},
		},
		"Hashes": {
			reason: "Hashes are numbered by themselves.",
			in:     []unstructured.Unstructured{hashed(hashA), hashed(hashB), hashed(hashA)},
			want:   []unstructured.Unstructured{hashed("(sha256 1)"), hashed("(sha256 2)"), hashed("(sha256 1)")},
		},
		"NoHashStays": {
			reason: "What is no SHA-256 is not masked.",
			in:     []unstructured.Unstructured{hashed("abc")},
			want:   []unstructured.Unstructured{hashed("abc")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, NewMask().Apply(tc.in)); d != "" {
				t.Errorf("%s\nApply (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	in := []unstructured.Unstructured{secret("admin-credentials", "password", "b25lb25lb25lb25l"), secret("connection", "password", "b25lb25lb25lb25l")}
	want := []unstructured.Unstructured{secret("admin-credentials", "password", "ZXhhbXBsZS0xLWV4"), secret("connection", "password", "ZXhhbXBsZS0xLWV4")} // example-1-ex
	if d := cmp.Diff(want, Freeze(in)); d != "" {
		t.Errorf("Frozen values are always the same, as long as the generated ones.\nFreeze (-want +got):\n%s", d)
	}
	if d := cmp.Diff(secret("admin-credentials", "password", "b25lb25lb25lb25l"), in[0]); d != "" {
		t.Errorf("Freeze must not change what it is given (-want +got):\n%s", d)
	}
}

func TestPatchAll(t *testing.T) {
	cases := map[string]struct {
		reason  string
		objects []unstructured.Unstructured
		patches []unstructured.Unstructured
		want    []unstructured.Unstructured
		err     bool
	}{
		"Merged": {
			reason:  "A patch adds, replaces and, with null, removes fields of the object of its kind and name.",
			objects: []unstructured.Unstructured{obj("A", "x", map[string]any{"spec": map[string]any{"a": "1", "b": "2", "c": "3"}}), obj("A", "y", nil)},
			patches: []unstructured.Unstructured{obj("A", "x", map[string]any{"spec": map[string]any{"a": "9", "b": nil}, "status": map[string]any{"d": "4"}})},
			want:    []unstructured.Unstructured{obj("A", "x", map[string]any{"spec": map[string]any{"a": "9", "c": "3"}, "status": map[string]any{"d": "4"}}), obj("A", "y", nil)},
		},
		"NoSuchObject": {
			reason:  "A patch of something that was never composed is a mistake in the example.",
			objects: []unstructured.Unstructured{obj("A", "x", nil)},
			patches: []unstructured.Unstructured{obj("B", "x", nil)},
			err:     true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			// obj merges, and so drops nulls: put the one of the test back.
			for _, p := range tc.patches {
				if spec, ok := p.Object["spec"].(map[string]any); ok {
					spec["b"] = nil
				}
			}
			got, err := patchAll(tc.objects, tc.patches)
			if (err != nil) != tc.err {
				t.Fatalf("%s\npatchAll: error %v, want one: %t", tc.reason, err, tc.err)
			}
			if d := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s\npatchAll (-want +got):\n%s", tc.reason, d)
			}
		})
	}
}

// A rendererFunc is a Renderer.
type rendererFunc func(in engine.Input) (engine.Output, error)

func (f rendererFunc) Render(_ context.Context, in engine.Input) (engine.Output, error) {
	return f(in)
}

func TestRenderChain(t *testing.T) {
	xr := obj("XR", "files", map[string]any{"spec": map[string]any{"size": "10Gi"}})
	e := &Example{
		CompositeResource: xr,
		Functions:         []string{"f"},
		Stages: []Stage{
			{Name: "1-first"},
			{Name: "2-second", Status: []unstructured.Unstructured{obj("A", "x", map[string]any{"status": map[string]any{"ready": true}})}},
			{Name: "3-third", Required: []unstructured.Unstructured{obj("S", "s", nil)}},
		},
	}
	var calls []engine.Input
	_, err := e.Render(t.Context(), rendererFunc(func(in engine.Input) (engine.Output, error) {
		calls = append(calls, in)
		return engine.Output{
			CompositeResource: obj("XR", "files", map[string]any{"status": map[string]any{"phase": "Running"}}),
			Composed:          []unstructured.Unstructured{obj("A", "x", nil)},
		}, nil
	}), "127.0.0.1:1", false)
	if err != nil {
		t.Fatal(err)
	}

	functions := map[string]string{"f": "127.0.0.1:1"}
	later := obj("XR", "files", map[string]any{"spec": map[string]any{"size": "10Gi"}, "status": map[string]any{"phase": "Running"}})
	ready := obj("A", "x", map[string]any{"status": map[string]any{"ready": true}})
	want := []engine.Input{
		{CompositeResource: xr, Functions: functions},
		{CompositeResource: later, Functions: functions, Observed: []unstructured.Unstructured{ready}},
		{CompositeResource: later, Functions: functions, Observed: []unstructured.Unstructured{ready}, Required: []unstructured.Unstructured{obj("S", "s", nil)}},
	}
	if d := cmp.Diff(want, calls, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("A stage finds what the one before composed, with the status that the cluster added, and the spec that a person wrote (-want +got):\n%s", d)
	}
}

func TestRenderFails(t *testing.T) {
	cases := map[string]struct {
		reason string
		out    engine.Output
		err    error
	}{
		"Error": {reason: "An engine that cannot run is an error.", err: errors.New("boom")},
		"Fatal": {reason: "An example must not be refused.", out: engine.Output{Fatal: "spec.x: Invalid value"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e := &Example{Stages: []Stage{{Name: "1-first"}}}
			_, err := e.Render(t.Context(), rendererFunc(func(engine.Input) (engine.Output, error) { return tc.out, tc.err }), "", false)
			if err == nil {
				t.Errorf("%s\nRender: no error", tc.reason)
			}
		})
	}
}

func TestReadObjects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "objects.yaml")
	content := "# A comment.\n---\n# Another.\napiVersion: v1\nkind: A\nmetadata: {name: one}\nsize: 1\n---\napiVersion: v1\nkind: A\nmetadata: {name: two}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadObjects(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []unstructured.Unstructured{obj("A", "one", map[string]any{"size": float64(1)}), obj("A", "two", nil)}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ReadObjects (-want +got):\n%s", d)
	}
}
